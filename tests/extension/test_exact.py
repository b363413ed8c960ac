"""The exact engine's arithmetic against the toolkit's CPU rasteriser; tests/blender tries the same inside Blender."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blender_addon.core.projection import BLUR, Lens, Solids, cropped, in_camera, joined, project, rotation_matrices
from blender_addon.core.rasterizing import SplatImage, rasterize
from blender_addon.core.splats import ActivatedSplats, splats_from_stored
from hgs_toolkit.cameras import Cameras, from_yaw_pitch, frontal
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import PARAMETERS, GaussianHierarchy
from hgs_toolkit.model_files import PRETRAINED
from hgs_toolkit.rendering import render
from hgs_toolkit.rendering.harmonics import sh_basis
from hgs_toolkit.sampling import sample_assets

MIN_DB = 60.0
WHITE = (1.0, 1.0, 1.0)


def random_scene(kind: str, count: int = 1500) -> GaussianHierarchy:
    """Gaussians in a ball: ``flat``, ``needles`` far longer than a tile, or ``harmonics`` of degree 3."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, count, *shape, generator=generator)

    sizes = torch.tensor({"flat": [-2.7, -2.5, -6.0], "needles": [-0.7, -6.5, -6.5], "harmonics": [-3.0] * 3}[kind])
    bases = 16 if kind == "harmonics" else 1
    colors = torch.cat([normal(1, 3), 0.25 * normal(bases - 1, 3)], 2)
    return GaussianHierarchy(0.25 * normal(3), sizes + 0.2 * normal(3), normal(4), colors, 2 * normal() - 0.5)


def to_splats(scene: GaussianHierarchy) -> ActivatedSplats:
    return splats_from_stored(*(getattr(scene, name)[0].numpy() for name in PARAMETERS), frame="y_up")


def draw(splats: ActivatedSplats, camera: Cameras, width: int, height: int) -> SplatImage:
    k = camera.intrinsics[0].numpy()
    lens = Lens(width, height, k[0, 0] * width, k[1, 1] * height, k[0, 2] * width, k[1, 2] * height)
    world_to_camera = np.linalg.inv(np.float64(camera.cam_to_world[0].numpy()))
    picture = rasterize(project(in_camera(splats, world_to_camera), lens), width, height)
    assert picture is not None
    return picture


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-14)))


def check(scene: GaussianHierarchy, camera: Cameras, width: int = 256, height: int = 256) -> None:
    wanted = render(scene, camera, width, height, WHITE, backend="cpu")[0][0, 0].numpy()
    picture = draw(to_splats(scene), camera, width, height)
    assert 0.02 < picture.alphas.mean() < 0.98
    assert psnr(picture.colors + 1 - picture.alphas[..., None], wanted) >= MIN_DB


@pytest.mark.parametrize("kind", ["flat", "needles", "harmonics"])
@pytest.mark.parametrize("size", [(256, 256), (150, 90)])
def test_pictures_equal_the_toolkits(kind: str, size: tuple[int, int]) -> None:
    check(random_scene(kind), from_yaw_pitch(torch.tensor([0.5]), torch.tensor([0.3])), *size)


@pytest.mark.skipif(not PRETRAINED.is_file(), reason="the package ships no model")
def test_a_sample_of_the_shipped_model_is_drawn_as_the_toolkit_draws_it() -> None:
    check(next(iter(sample_assets(load_model(), [7]))).scene, frontal())


def turn(angle: float) -> np.ndarray:
    """(4, 4) rotation about (1, 2, 3) and a shift."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrices(np.array([[np.cos(angle / 2), *(np.sin(angle / 2) * axis)]]))[0]
    matrix[:3, 3] = 0.1, -0.2, 2.7
    return matrix


def test_colours_turn_with_the_object() -> None:
    # Harmonics of a turned object, evaluated from one side, are those of the object from the side turned back.
    splats = to_splats(random_scene("harmonics", 50))
    there, camera = turn(0.8), turn(-2.0)
    position = np.linalg.inv(camera @ there)[:3, 3]
    directions = torch.from_numpy(splats.position - position).float()
    coefficients = np.concatenate([splats.base[:, None, :3], splats.harmonics], 1)
    basis = sh_basis(torch.nn.functional.normalize(directions, dim=-1), 3).numpy()
    wanted = np.maximum(0.5 + np.einsum("nk,nkc->nc", basis, coefficients), 0)
    np.testing.assert_allclose(in_camera(splats, camera @ there).colors, wanted, atol=1e-5)


def test_several_objects_are_sorted_together() -> None:
    scene, lens = to_splats(random_scene("flat", 400)), Lens(64, 64, 128, 128, 32, 32)
    whole = in_camera(scene, turn(0.3))
    halves = joined([Solids(*(values[part::2] for values in whole)) for part in (0, 1)])
    one, two = (rasterize(project(solids, lens), 64, 64) for solids in (whole, halves))
    assert one is not None
    assert two is not None
    np.testing.assert_allclose(one.colors, two.colors, atol=1e-6)


def one_ball(depth: float, scale: float = 0.1, opacity: float = 0.9) -> Solids:
    return Solids(np.array([[0.0, 0.0, depth]]), scale * np.eye(3)[None], np.ones((1, 3)), np.array([opacity]))


def test_gaussians_behind_the_limit_are_not_drawn() -> None:
    lens = Lens(40, 40, 40, 40, 20, 20)
    splats = project(one_ball(2.0, scale=1.0), lens)
    limits = np.full((40, 40), np.inf)
    limits[:, :20], limits[:, 30:] = 1.9, 2.1
    picture, free = rasterize(splats, 40, 40, limits=limits), rasterize(splats, 40, 40)
    assert picture is not None
    assert free is not None
    assert not picture.alphas[:, :20].any()
    np.testing.assert_array_equal(picture.alphas[:, 20:], free.alphas[:, 20:])
    np.testing.assert_allclose(free.depths, 2.0, atol=1e-5)


def test_an_orthographic_camera_sees_a_balls_true_size_at_any_depth() -> None:
    lens = Lens(64, 64, 100, 100, 32, 32, orthographic=True)
    near, far = (rasterize(project(one_ball(depth), lens), 64, 64) for depth in (1.0, 50.0))
    assert near is not None
    assert far is not None
    np.testing.assert_array_equal(near.alphas, far.alphas)
    variance = (0.1 * 100) ** 2 + BLUR
    wanted = 0.9 * np.exp(-0.5 * (5.5**2 + 0.5**2) / variance)  # row 32, column 37 from the middle
    assert near.alphas[32, 37] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", ["flat", "needles"])
def test_pictures_do_not_depend_on_the_size_of_tiles(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lens = Lens(83, 61, 160, 160, 40, 30)
    splats = project(in_camera(to_splats(random_scene(kind, 400)), turn(0.3)), lens)
    pictures = []
    for small in (0.0, np.inf):
        monkeypatch.setattr("blender_addon.core.rasterizing.SMALL", small)
        pictures.append(rasterize(splats, 83, 61))
    large, fine = pictures
    assert large is not None
    assert fine is not None
    assert 0.02 < large.alphas.mean() < 0.98
    np.testing.assert_allclose(fine.colors, large.colors, atol=1e-5)
    np.testing.assert_allclose(fine.alphas, large.alphas, atol=1e-5)


def test_a_part_of_a_picture_is_as_it_is_in_the_whole() -> None:
    lens = Lens(80, 60, 160, 160, 40, 30)
    splats = project(in_camera(to_splats(random_scene("flat", 400)), turn(0.3)), lens)
    whole, part = rasterize(splats, 80, 60), rasterize(cropped(splats, 21, 13, 37, 30), 37, 30)
    assert whole is not None
    assert part is not None
    np.testing.assert_allclose(part.colors, whole.colors[13:43, 21:58], atol=1e-6)


def test_a_picture_can_be_stopped_and_reports_how_far_it_is() -> None:
    lens, seen = Lens(20, 100, 40, 40, 10, 50), []
    splats = project(one_ball(1.0), lens)

    def stop(fraction: float) -> bool:
        seen.append(fraction)
        return len(seen) < 3

    assert rasterize(splats, 20, 100, progress=stop) is None
    assert seen == pytest.approx([1 / 7, 2 / 7, 3 / 7])
    assert rasterize(splats, 20, 100, progress=lambda _: True) is not None


def test_nothing_in_view_is_an_empty_picture() -> None:
    lens = Lens(20, 20, 40, 40, 10, 10)
    for nothing in (one_ball(-1.0), one_ball(1.0, opacity=0.003), one_ball(1e11)):
        picture = rasterize(project(nothing, lens), 20, 20)
        assert picture is not None
        assert not picture.alphas.any()
        assert np.isfinite(picture.depths).all()
