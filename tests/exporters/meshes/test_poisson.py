"""Meshes of solids with known surfaces: error, bias, normals, volume, area, topology, and how much worse a shell is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from hgs_toolkit.exporters.meshes import simplify
from hgs_toolkit.exporters.meshes.color import vertex_colors
from hgs_toolkit.exporters.meshes.grid import Grid
from hgs_toolkit.exporters.meshes.isosurface import isosurface
from hgs_toolkit.exporters.meshes.meshing import mesh
from hgs_toolkit.exporters.meshes.settings import Keep
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from tests.exporters.meshes import shapes
from tests.exporters.meshes.quality import judge
from tests.exporters.meshes.shapes import Solid, cover, paint


class Case(NamedTuple):
    solid: Solid
    scene: Callable[[int], GaussianHierarchy]
    error: float = 0.15
    bias: float = 0.1
    outset: float | None = None


def uneven(count: int) -> GaussianHierarchy:
    """Half the solid covered once, the other half eight times."""
    layers = [cover(shapes.BUMPY, count // 4, seed=seed) for seed in range(8)]
    return concatenate([layers[0], *(layer.select(layer.means[0, :, 0] > 0.1) for layer in layers[1:])])


def cluttered(count: int) -> GaussianHierarchy:
    """Dark Gaussians of all directions buried in the solid."""
    rng = np.random.default_rng(2)
    points = rng.uniform(-1, 1, (20_000, 3))
    points = points[shapes.BUMPY.function(points) < -0.08][:1500]
    scales = np.exp(rng.normal(-3, 0.4, points.shape))
    dark = np.full_like(points, 0.05)
    opacities = rng.uniform(0.2, 0.9, len(points))
    buried = shapes.gaussians(points, rng.standard_normal(points.shape), scales, dark, opacities, rng)
    return concatenate([buried, cover(shapes.BUMPY, count)])


CASES = {
    "bumpy": Case(shapes.BUMPY, lambda n: cover(shapes.BUMPY, n)),
    "torus": Case(shapes.TORUS, lambda n: cover(shapes.TORUS, n)),
    "box": Case(shapes.BOX, lambda n: cover(shapes.BOX, n)),
    "noisy": Case(shapes.BUMPY, lambda n: cover(shapes.BUMPY, n, jitter=0.5, tilt=0.3)),
    "gappy": Case(shapes.BUMPY, lambda n: cover(shapes.BUMPY, n, gaps=0.08)),
    "thin": Case(shapes.PLATE, lambda n: cover(shapes.PLATE, n), 0.25),
    "blobs": Case(shapes.BUMPY, lambda n: cover(shapes.BUMPY, n // 4, flat=1), 0.35, outset=0),
    "few": Case(shapes.BUMPY, lambda n: cover(shapes.BUMPY, 1280), 0.25),
    "cone": Case(shapes.CONE, lambda n: cover(shapes.CONE, n)),
    "cross": Case(shapes.CROSS, lambda n: cover(shapes.CROSS, n)),
    "mug": Case(shapes.MUG, lambda n: cover(shapes.MUG, n)),
    "asymmetric": Case(shapes.BLOB, lambda n: cover(shapes.BLOB, n)),
    "levels": Case(
        shapes.BUMPY, lambda n: concatenate([cover(shapes.BUMPY, m) for m in (300, 3000, n)])
    ),
    "uneven": Case(shapes.BUMPY, uneven),
    "cluttered": Case(shapes.BUMPY, cluttered, bias=0.15),
}  # fmt: skip


def check(case: Case, count: int, resolution: int, sharp: float) -> None:
    """``sharp`` loosens what edges of solids cost at low resolution: area and normals."""
    scene = case.scene(count)
    surface = mesh(scene, resolution=resolution, faces=0, color="none", outset=case.outset)
    quality = judge(surface, case.solid)
    assert quality.error <= case.error
    assert abs(quality.bias) <= case.bias
    assert quality.normals >= 0.98 - sharp
    assert 0.98 <= quality.volume <= 1.02
    assert 0.95 - sharp <= quality.area <= 1.05
    assert (quality.euler, quality.parts, quality.watertight) == (case.solid.euler, 1, True)
    everything = mesh(scene, resolution=resolution, faces=0, color="none", keep="all")
    assert everything.body_count == 1
    shell = judge(mesh(scene, "shell", resolution=resolution, faces=0, color="none", keep="all"), case.solid)
    assert shell.error >= 5 * quality.error
    smaller = mesh(scene, resolution=resolution, faces=20_000, color="none")
    assert len(smaller.faces) <= 20_000
    assert smaller.is_watertight
    assert smaller.euler_number == case.solid.euler


@pytest.mark.parametrize("name", CASES)
def test_solids_come_back_at_low_resolution(name: str) -> None:
    check(CASES[name], 12_000, 80, sharp=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_solids_come_back_within_the_targets(name: str) -> None:
    check(CASES[name], 89_000, 160, sharp=0.0)


@cache
def blob() -> GaussianHierarchy:
    return cover(shapes.BLOB, 12_000)


def test_colours_of_vertices_are_those_of_the_surface() -> None:
    made = mesh(blob(), resolution=96)
    painted = vertex_colors(made)
    assert painted is not None
    colors = painted / 255.0
    mse = np.mean((colors - paint(np.asarray(made.vertices))) ** 2)
    assert -10 * np.log10(mse) >= 33


def moved(scene: GaussianHierarchy, rotation: Rotation, scale: float, shift: tuple[float, ...]) -> GaussianHierarchy:
    turn = torch.from_numpy(rotation.as_matrix()).float()
    quats = Rotation.from_quat(np.roll(scene.quats[0].numpy(), -1, axis=1))
    turned = np.roll((rotation * quats).as_quat(), 1, axis=1)
    return scene.replace(
        means=scale * scene.means @ turn.T + torch.tensor(shift), log_scales=scene.log_scales + np.log(scale),
        quats=torch.from_numpy(turned).float()[None],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rotation", "scale", "shift"),
    [
        (Rotation.from_euler("xyz", [0.4, 1.1, -0.7]), 1.0, (0.0, 0.0, 0.0)),
        (Rotation.identity(), 1.0, (30.0, -7.0, 11.0)),
        (Rotation.identity(), 1000.0, (0.0, 0.0, 0.0)),
        (Rotation.from_euler("z", 2.0), 0.01, (1.0, 0.0, 0.0)),
    ],
)
def test_a_mesh_moves_with_its_scene(rotation: Rotation, scale: float, shift: tuple[float, ...]) -> None:
    made = mesh(moved(blob(), rotation, scale, shift), resolution=80, faces=0, color="none")
    made.vertices = rotation.inv().apply((made.vertices - np.array(shift)) / scale)
    made.metadata["hgs"]["voxel"] /= scale
    quality, reference = (
        judge(made, shapes.BLOB),
        judge(mesh(blob(), resolution=80, faces=0, color="none"), shapes.BLOB),
    )
    assert quality.error < 0.1
    assert (quality.euler, quality.parts) == (2, 1)
    assert quality.volume == pytest.approx(reference.volume, abs=3e-3)


def test_the_order_of_the_gaussians_does_not_matter() -> None:
    scene = blob()
    order = torch.randperm(scene.num_gaussians, generator=torch.Generator().manual_seed(0))
    shuffled = GaussianHierarchy(**{name: value[:, order] for name, value in scene.parameters().items()})  # type: ignore[arg-type]
    a, b = (mesh(s, resolution=64, faces=0, color="none") for s in (scene, shuffled))
    np.testing.assert_allclose(a.volume, b.volume, rtol=1e-4)
    np.testing.assert_allclose(a.bounds, b.bounds, atol=1e-3)


def test_the_number_of_threads_does_not_matter() -> None:
    threads = torch.get_num_threads()
    try:
        meshes = []
        for count in (1, 3):
            torch.set_num_threads(count)
            meshes.append(mesh(blob(), resolution=64, faces=0))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(meshes[0].vertices, meshes[1].vertices, atol=1e-5)
    np.testing.assert_array_equal(meshes[0].faces, meshes[1].faces)


def test_the_background_and_transparent_gaussians_take_no_part() -> None:
    scene = blob()
    far = cover(shapes.BOX, 300, seed=5)
    sky = far.replace(means=far.means * 5, level=torch.full_like(far.level, -1))
    ghost = far.replace(means=far.means + 3, opacity_logits=torch.full_like(far.opacity_logits, -6))
    a, b = (mesh(s, resolution=48, faces=0, color="none") for s in (scene, concatenate([scene, sky, ghost])))
    np.testing.assert_array_equal(a.vertices, b.vertices)


def test_an_open_front_is_closed() -> None:
    scene = cover(shapes.BLOB, 12_000)
    front = scene.select(scene.means[0, :, 2] > -0.15)
    made = mesh(front, resolution=64, faces=0, color="none")
    assert made.is_watertight
    assert made.volume > 0


@pytest.mark.parametrize(("keep", "parts"), [("largest", 1), ("all", 2)])
def test_separate_parts_are_kept_or_dropped_as_told(keep: Keep, parts: int) -> None:
    big, small = cover(shapes.BLOB, 8000), cover(shapes.BLOB, 2000)
    small = small.replace(means=small.means * 0.4 + torch.tensor([2.0, 0.0, 0.0]), log_scales=small.log_scales - 0.9)
    made = mesh(concatenate([big, small]), resolution=96, faces=0, color="none", keep=keep)
    assert made.body_count == parts


def test_a_shell_has_two_walls() -> None:
    made = mesh(blob(), "shell", resolution=96, faces=0, color="none", keep="all", level=0.5)
    assert made.area > 1.8 * shapes.BLOB.truth.area


def test_a_decimation_that_tears_is_given_more_triangles(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = mesh(blob(), resolution=64, faces=0, color="none")
    honest = simplify._simplified

    def torn(given: trimesh.Trimesh, faces: int, aggressiveness: int) -> trimesh.Trimesh:
        made = honest(given, faces, aggressiveness)
        return made if faces > 3000 else trimesh.Trimesh(made.vertices, made.faces[1:], process=False)

    monkeypatch.setattr(simplify, "_simplified", torn)
    made = simplify.decimate(whole, 1000)
    assert made.is_watertight
    assert 3000 < len(made.faces) < 4000
    assert "fewer, such as 1000, would tear the surface" in caplog.text
    assert not simplify.decimate(whole, 1000, strict=False).is_watertight


def test_a_surface_through_grid_points_is_not_pinched() -> None:
    x, y, z = np.abs(np.mgrid[-8:9, -8:9, -8:9]).astype(np.float32)
    octahedra = np.maximum(5 - (x + y + z), 3 - (np.abs(x - 6) + y + z))  # they touch in grid points, at the level
    made = isosurface(octahedra, 0.0, Grid((0.0, 0.0, 0.0), 1.0, (17, 17, 17)))
    joined = made.copy()
    joined.merge_vertices(digits_vertex=4)
    assert len(joined.vertices) == len(made.vertices)
    assert joined.is_watertight
    assert joined.area_faces.min() > 0
