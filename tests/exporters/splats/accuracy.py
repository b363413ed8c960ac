"""How near a format must keep a scene, and the scene on which that is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.exporters.splats.merge_tree import merge_tree
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.packing.quaternions import equal_rotations
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats, splats_of
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.conftest import make_scene


@dataclass(frozen=True)
class Errors:
    """Differences: of positions, log scales, rotations (1 - |q . q'|), coefficients and opacities."""

    means: float
    log_scales: float
    quats: float
    dc: float
    sh: float
    alpha: float

    def assert_within(self, bound: Errors) -> None:
        beyond = {n: (v, getattr(bound, n)) for n, v in vars(self).items() if not v <= getattr(bound, n)}
        assert not beyond, f"error and bound: {beyond}"

    def times(self, factor: float) -> Errors:
        return Errors(*(factor * value for value in vars(self).values()))


EXACT = Errors(0, 0, 2e-7, 0, 0, 0)

MEASURED = {
    ".splat": Errors(0, 1e-6, 1e-4, 7e-3, 0, 2e-3),
    ".spz": Errors(1.2e-4, 0.031, 1.6e-6, 0.0131, 0.066, 2e-3),
    ".compressed.ply": Errors(3e-4, 9e-4, 2e-6, 7e-3, 0.016, 2e-3),
    ".sog": Errors(1.3e-5, 0.011, 1e-4, 9e-3, 9e-3, 2e-3),
    ".rad": Errors(0, 1.5e-3, 1.3e-7, 9e-4, 2.5e-4, 2.5e-4),
}
MEASURED["lod-meta.json"] = MEASURED[".sog"]  # its finest level is a .sog in a folder
MEASURED["tileset.json"] = MEASURED[".spz"]  # its tiles hold .spz
"""Greatest errors of 5,000 random Gaussians of a unit's extent, as measured with readers of others (harmonics of .sog:
what a codebook leaves of them; .rad: what half floats leave)."""

BOUNDS = {suffix: errors.times(1.5) for suffix, errors in MEASURED.items()} | {
    ".ply": EXACT, ".hgs": EXACT, ".glb": Errors(0, 1e-6, 2e-7, 0, 0, 1e-6), ".usdc": Errors(0, 1e-6, 2e-7, 0, 0, 1e-6),
    ".usda": Errors(0, 1e-6, 2e-7, 0, 0, 1e-6),
}  # fmt: skip


def reference_scene(degree: int = 0, count: int = 5000) -> GaussianHierarchy:
    """Random Gaussians, as far apart as a critter's, whose colours and harmonics every format has in range."""
    scene = make_scene((count,), degree=degree)
    random = torch.Generator().manual_seed(1)
    sh = 0.2 * scene.sh.clamp(-3, 3)
    sh[:, :, 0] = (torch.rand(1, count, 3, generator=random) - 0.5) / SH_C0
    return scene.replace(means=0.8 * torch.rand(1, count, 3, generator=random) - 0.4, sh=sh)


def file_order(suffix: str, scene: GaussianHierarchy) -> NDArray[np.intp]:
    """The order in which our writer puts the Gaussians, in the format's own frame."""
    splats = splats_of(scene, "rdf")
    if suffix in (".sog", ".compressed.ply", "lod-meta.json"):
        return morton_order(splats.means)
    if suffix == ".splat":
        importance = splats.log_scales.sum(axis=1) - np.logaddexp(0, -splats.logits)
        return np.argsort(-importance, kind="stable")
    if suffix == ".rad":
        leaf = merge_tree(scene).leaf
        return leaf[leaf >= 0]
    return np.arange(len(splats))


def expected_in(suffix: str, scene: GaussianHierarchy, found: StoredSplats) -> StoredSplats:
    """``scene`` as a file of ours should give it back, in our frame and the file's order.

    A .rad file may turn a Gaussian to one that is equal to it, see :func:`turned_as`.
    """
    expected = splats_of(scene, "y_up").take(file_order(suffix, scene))
    return turned_as(found, expected) if suffix == ".rad" else expected


def turned_as(found: StoredSplats, expected: StoredSplats) -> StoredSplats:
    """``expected`` with the rotations nearest to ``found`` of the four, half a turn apart, that are equal."""
    equal = equal_rotations(expected.quats)  # (4, N, 4)
    nearest = np.abs((equal * found.quats).sum(axis=2)).argmax(axis=0)
    return replace(expected, quats=equal[nearest, np.arange(len(expected))])


def matched(found: StoredSplats, expected: StoredSplats) -> StoredSplats:
    """``found`` in the order of ``expected``: each by its nearest position, which must be a different one each."""
    nearest = cKDTree(found.means).query(expected.means)[1]
    assert len(np.unique(nearest)) == len(found) == len(expected)
    return found.take(nearest)


def paired(found: StoredSplats, expected: StoredSplats) -> StoredSplats:
    """``found`` in the order of ``expected``, where positions alone do not tell which is which.

    Two Gaussians are a pair if each is the other's nearest, by position and, since many Gaussians of a real scene share
    one, by all that it has; those left over are paired among themselves, until none is left. So each has one partner.
    """
    assert len(found) == len(expected)
    order = np.full(len(expected), -1)
    theirs, ours = np.arange(len(found)), np.arange(len(expected))
    points = [_points(splats) for splats in (found, expected)]
    while len(ours):
        trees = [cKDTree(points[0][theirs]), cKDTree(points[1][ours])]
        nearest = trees[0].query(trees[1].data)[1]  # of each of ours, the number of one of theirs
        back = trees[1].query(trees[0].data)[1]
        mutual = back[nearest] == np.arange(len(ours))
        assert mutual.any()
        order[ours[mutual]] = theirs[nearest[mutual]]
        theirs, ours = np.delete(theirs, nearest[mutual]), ours[~mutual]
    assert len(np.unique(order)) == len(order)
    return found.take(order)


def _points(splats: StoredSplats) -> NDArray[np.float64]:
    """Points (N, 8) of which distances count a thousandth of the scene's extent as much as 1 of anything else."""
    extent = float((splats.means.max(axis=0) - splats.means.min(axis=0)).max())
    alpha = 1 / (1 + np.exp(-splats.logits.astype(np.float64)))
    return np.column_stack([1000 / extent * splats.means, splats.log_scales, splats.sh[:, 0], alpha])


def differences(found: StoredSplats, expected: StoredSplats, reduce: str = "max") -> Errors:
    """Greatest (or root mean square, ``rms``) differences of Gaussians in the same order; the degree may be lower."""
    assert len(found) == len(expected)
    bases = found.sh.shape[1]

    def reduced(values: NDArray[np.floating]) -> float:
        if not values.size:
            return 0.0
        return float(np.abs(values).max() if reduce == "max" else np.sqrt(np.square(values, dtype=np.float64).mean()))

    def unit(quats: Floats) -> Floats:
        result: Floats = quats / np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
        return result

    return Errors(
        means=reduced(found.means - expected.means),
        log_scales=reduced(found.log_scales - expected.log_scales),
        quats=reduced(1 - np.abs((unit(found.quats) * unit(expected.quats)).sum(axis=1))),
        dc=reduced(found.sh[:, 0] - expected.sh[:, 0]),
        sh=reduced(found.sh[:, 1:] - expected.sh[:, 1:bases]),
        alpha=reduced(1 / (1 + np.exp(-found.logits)) - 1 / (1 + np.exp(-expected.logits))),
    )
