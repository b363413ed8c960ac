"""Solids with holes and hollows, of one level and of several, also with faint Gaussians that float in the hole."""

from __future__ import annotations

import numpy as np
import pytest

from hgs_toolkit.exporters.meshes.explained import explained_shares
from hgs_toolkit.exporters.meshes.grid import fit_grid
from hgs_toolkit.exporters.meshes.meshing import mesh
from hgs_toolkit.exporters.meshes.visible import visible_gaussians
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from tests.exporters.meshes import shapes
from tests.exporters.meshes.quality import judge
from tests.exporters.meshes.shapes import Solid, cover

Box = tuple[tuple[float, float, float], tuple[float, float, float]]

HOLES: dict[str, tuple[Solid, Box]] = {
    "picture frame": (shapes.FRAME, ((0, 0, 0), (0.4, 0.2, 0.06))),
    "washer": (shapes.WASHER, ((0, 0, 0), (0.3, 0.05, 0.3))),
    "mug from above": (shapes.MUG, ((-0.2, 0.1, 0), (0.25, 0.3, 0.25))),
    "chair with arms": (shapes.CHAIR, ((0, 0.25, 0), (0.3, 0.2, 0.3))),
}
"""Solids, and a box in the hole of each: its centre and half its sides."""


def floaters(box: Box, count: int = 30) -> GaussianHierarchy:
    """Faint Gaussians of all directions, of opacity 0.03 to 0.15."""
    rng = np.random.default_rng(3)
    points = np.array(box[0]) + np.array(box[1]) * rng.uniform(-1, 1, (count, 3))
    scales = np.exp(rng.normal(-3.2, 0.5, (count, 3)))
    grey = np.full((count, 3), 0.5)
    return shapes.gaussians(points, rng.standard_normal((count, 3)), scales, grey, rng.uniform(0.03, 0.15, count), rng)


def check(name: str, levels: tuple[int, ...], haze: bool, resolution: int) -> None:
    solid, hole = HOLES[name]
    scene = concatenate([cover(solid, count) for count in levels] + [floaters(hole)] * haze)
    quality = judge(mesh(scene, resolution=resolution, faces=0, color="none"), solid)
    assert quality.error <= 0.3
    assert 0.97 <= quality.volume <= 1.03
    assert (quality.euler, quality.parts, quality.watertight) == (solid.euler, 1, True)


@pytest.mark.parametrize("haze", [False, True])
@pytest.mark.parametrize("levels", [(12_000,), (64, 256, 1024, 4096, 12_000)], ids=["one level", "five levels"])
@pytest.mark.parametrize("name", HOLES)
def test_holes_stay_open_at_low_resolution(name: str, levels: tuple[int, ...], haze: bool) -> None:
    check(name, levels, haze, 96)


def test_coarse_discs_that_lie_beside_the_surface_do_not_fill_the_hole() -> None:
    coarse = [cover(shapes.FRAME, count, jitter=0.5, tilt=0.3, seed=seed) for seed, count in enumerate((300, 3000))]
    scene = concatenate([*coarse, cover(shapes.FRAME, 12_000, seed=2)])
    quality = judge(mesh(scene, resolution=96, faces=0, color="none"), shapes.FRAME)
    assert quality.error <= 0.3
    assert 0.97 <= quality.volume <= 1.03
    assert (quality.euler, quality.parts) == (0, 1)


def test_a_plain_back_of_a_detailed_front_is_another_wall() -> None:
    front, back = cover(shapes.PLATE, 12_000), cover(shapes.PLATE, 1500, seed=1)
    scene = concatenate([front.select(front.means[0, :, 1] > 0), back.select(back.means[0, :, 1] <= 0)])
    quality = judge(mesh(scene, resolution=96, faces=0, color="none"), shapes.PLATE)
    assert quality.error <= 0.3
    assert 0.97 <= quality.volume <= 1.03
    assert (quality.euler, quality.parts) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("haze", [False, True])
@pytest.mark.parametrize("levels", [(89_000,), (300, 3000, 89_000)], ids=["one level", "three levels"])
@pytest.mark.parametrize("name", HOLES)
def test_holes_stay_open(name: str, levels: tuple[int, ...], haze: bool) -> None:
    check(name, levels, haze, 160)


def test_only_gaussians_that_finer_ones_pass_are_explained() -> None:
    fine = cover(shapes.BOX, 4000)
    left = fine.select(fine.means[0, :, 0] < 0)
    coarse = visible_gaussians(cover(shapes.BOX, 200, seed=1))
    gaussians = visible_gaussians(concatenate([left, cover(shapes.BOX, 200, seed=1)]))
    explained = explained_shares(gaussians, fit_grid(gaussians, 96))
    assert explained[: left.num_gaussians].mean() < 0.2  # sizes within a level differ, too
    x = coarse.means[:, 0]
    assert explained[left.num_gaussians :][x < -0.1].mean() > 0.95
    assert explained[left.num_gaussians :][x > 0.3].mean() < 0.1
