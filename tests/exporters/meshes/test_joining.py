"""Thin parts, and parts that nearly touch, belong to the solid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import cKDTree

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.exporters.meshes import poisson
from hgs_toolkit.exporters.meshes.joining import LEAST, REACH, join_parts
from hgs_toolkit.exporters.meshes.meshing import mesh
from hgs_toolkit.exporters.meshes.settings import MeshSettings
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.meshes.shapes import Solid, cover

Field = NDArray[np.float32]
SHAPE = (64, 48, 48)


def balls(*parts: tuple[float, float]) -> Field:
    """A field (X, Y, Z) above 0 in balls on the first axis, each a place and a radius in voxels."""
    x, y, z = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in SHAPE), indexing="ij")
    away = [radius - np.sqrt((x - place) ** 2 + (y - 24) ** 2 + (z - 24) ** 2) for place, radius in parts]
    return np.asarray(np.max(away, axis=0) / 16, np.float32)


def parts_of(field: Field) -> int:
    return int(label(field > 0)[1])


def test_parts_that_nearly_touch_become_one_and_hardly_grow() -> None:
    field = balls((16, 14), (36, 4), (46, 4))  # gaps of 2 voxels: the last one hangs on the middle one
    before = np.count_nonzero(field > 0)
    assert parts_of(field) == 3
    assert join_parts(field, 0.0) == 2
    assert parts_of(field) == 1
    assert before < np.count_nonzero(field > 0) < 1.01 * before
    assert join_parts(field, 0.0) == 0


def test_what_is_far_away_or_tiny_stays_loose() -> None:
    far = balls((16, 14), (30 + REACH * SHAPE[0] + 5, 4))
    tiny = balls((16, 14), (33, 0.9))
    assert np.count_nonzero(tiny > 0) - np.count_nonzero(balls((16, 14)) > 0) < LEAST * np.count_nonzero(tiny > 0)
    for field in (far, tiny):
        unchanged = field.copy()
        assert join_parts(field, 0.0) == 0
        assert np.array_equal(field, unchanged)


@pytest.fixture(scope="module")
def eared() -> GaussianHierarchy:
    """A ball with two long ears, about three voxels thick at 96 points along the longest side, of round Gaussians."""

    def function(points: NDArray[np.float64]) -> NDArray[np.float64]:
        ball = np.linalg.norm(points - [0, -0.3, 0], axis=-1) - 0.6
        ears = []
        for side in (-0.25, 0.25):
            along = np.clip(points[:, 1], 0.2, 0.95)
            foot = np.stack([np.full_like(along, side), along, np.zeros_like(along)], axis=-1)
            ears.append(np.linalg.norm(points - foot, axis=-1) - 0.045)
        return np.asarray(np.minimum(ball, np.minimum(*ears)))

    return cover(Solid("eared", function, 2), 2_000, flat=0.9)


def test_thin_ears_are_there_up_to_their_tips(eared: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mesh(eared, resolution=96, faces=0, color="none", outset=0)
    assert made.is_watertight
    assert len(made.split()) == 1
    for side in (-1, 1):
        ear = made.vertices[(side * made.vertices[:, 0] > 0) & (made.vertices[:, 1] > 0.5)]
        assert ear[:, 1].max() > 0.93
    monkeypatch.setattr(poisson, "local_offsets", lambda *_: np.float32(0))
    blunt = mesh(eared, resolution=96, faces=0, color="none", keep="all", outset=0)
    assert blunt.bounds[1, 1] < 0.8, "with one level for everything there would be no ears"


def test_the_surface_passes_through_the_centres_of_thin_parts(eared: GaussianHierarchy) -> None:
    made = mesh(eared, resolution=96, faces=0, color="none", outset=0)
    means = eared.means[0].numpy()
    tips = means[means[:, 1] > 0.5]
    assert len(tips) > 50
    distance = cKDTree(made.sample(50_000, seed=0)).query(tips)[0]
    assert np.median(distance) < 0.7 * made.metadata["hgs"]["voxel"]


def test_separate_things_stay_separate_where_all_of_them_are_kept() -> None:
    def function(points: NDArray[np.float64]) -> NDArray[np.float64]:
        near = np.linalg.norm(points - [-0.5, 0, 0], axis=-1) - 0.42
        return np.asarray(np.minimum(near, np.linalg.norm(points - [0.42, 0, 0], axis=-1) - 0.42))

    scene = cover(Solid("two balls", function, 4), 4_000)
    together = mesh(scene, resolution=64, faces=0, color="none")
    apart = mesh(scene, resolution=64, faces=0, color="none", keep="all")
    assert (together.body_count, together.metadata["hgs"]["bridges"]) == (1, 1)
    assert (apart.body_count, apart.metadata["hgs"]["bridges"]) == (2, 0)


def test_an_outset_moves_the_surface_by_standard_deviations_and_thin_discs_hardly_at_all() -> None:
    ball = Solid("ball", lambda points: np.asarray(np.linalg.norm(points, axis=-1) - 0.7), 2)
    for flat, moves in ((1.0, True), (0.05, False)):
        scene = cover(ball, 4_000, flat=flat)
        across = float(scene.log_scales.exp().amin(dim=-1).mean())
        radii = [
            float(
                np.linalg.norm(mesh(scene, resolution=64, faces=0, color="none", outset=outset).vertices, axis=1).mean()
            )
            for outset in (0.0, 1.0, 2.0)
        ]
        assert radii[0] == pytest.approx(0.7, abs=0.01)
        assert np.diff(radii) == pytest.approx([across, across], abs=0.35 * across if moves else 0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outset": 5.0}, "expected 0 to 4.5"),
        ({"outset": -1.0}, "expected 0 to 4.5"),
        ({"method": "shell", "outset": 1.0}, "only 'surface'"),
    ],
)
def test_an_outset_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MeshSettings(**settings)
