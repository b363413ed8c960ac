"""Hard ellipsoids: the exact outline, the nearest surface, and agreement with intersections written down otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hgs_toolkit.cameras import from_yaw_pitch, frontal
from hgs_toolkit.encoding import dc_to_rgb, rgb_to_dc
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.rendering import ellipsoids, render_ellipsoids

SIZE = 40


def one(
    mean: tuple[float, float, float], scales: tuple[float, float, float], opacity: float = 4.0
) -> GaussianHierarchy:
    return GaussianHierarchy(
        means=torch.tensor([[mean]]),
        log_scales=torch.tensor([[scales]]).log(),
        quats=torch.tensor([[[1.0, 0, 0, 0]]]),
        sh=rgb_to_dc(torch.tensor([[[[1.0, 0.5, 0.25]]]])),
        opacity_logits=torch.full((1, 1), opacity),
    )


def nearest_by_matrices(scene: GaussianHierarchy, yaw: float) -> NDArray[np.int64]:
    """Which Gaussian each ray meets first (-1: none), every pair tried: x' A x = 1 with A the inverse covariance."""
    camera = from_yaw_pitch(torch.tensor([yaw]), torch.tensor([0.2]))
    fine = SIZE * ellipsoids.SUPERSAMPLING
    K = camera.pixel_intrinsics(fine, fine)[0].double().numpy()
    pose = camera.cam_to_world[0].double().numpy()
    pixels = np.stack(np.meshgrid(np.arange(fine) + 0.5, np.arange(fine) + 0.5), -1).reshape(-1, 2)
    rays = np.concatenate([(pixels - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones((len(pixels), 1))], 1) @ pose[:3, :3].T
    depths = np.full((scene.num_gaussians, len(rays)), np.inf)
    for n in range(scene.num_gaussians):
        if torch.sigmoid(scene.opacity_logits[0, n]) < ellipsoids.MIN_OPACITY:
            continue
        w, x, y, z = (scene.quats[0, n] / scene.quats[0, n].norm()).double().numpy()
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        R = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        A = R @ np.diag(1 / (ellipsoids.SIGMAS * scene.log_scales[0, n].double().exp().numpy()) ** 2) @ R.T
        o = pose[:3, 3] - scene.means[0, n].double().numpy()
        a, b, c = np.einsum("pi,ij,pj->p", rays, A, rays), rays @ A @ o, o @ A @ o - 1
        disc = b * b - a * c
        with np.errstate(invalid="ignore"):
            depths[n] = np.where(disc >= 0, (-b - np.sqrt(disc)) / a, np.inf)
    return np.where(np.isfinite(depths.min(0)), depths.argmin(0), -1)


def test_every_ray_sees_what_solving_every_pair_finds(scene_factory: Callable[..., GaussianHierarchy]) -> None:
    scene = scene_factory((5, 20))
    colors = (torch.arange(25)[:, None] * torch.tensor([1.0, 0, 0]) + torch.tensor([0.0, 30, 30])) / 30
    scene = scene.replace(sh=rgb_to_dc(colors)[None, :, None], log_scales=scene.log_scales + 1)
    expected = nearest_by_matrices(scene, 0.7).reshape(SIZE, 2, SIZE, 2)
    camera = from_yaw_pitch(torch.tensor([0.7]), torch.tensor([0.2]))
    image, coverage = render_ellipsoids(scene, camera, SIZE, SIZE)
    np.testing.assert_allclose(coverage[..., 0], (expected >= 0).mean((1, 3)), atol=1e-6)
    # The share of red in a pixel's light names the Gaussian, where all four rays meet the same one.
    alike = (expected == expected[:, :1, :, :1]).all((1, 3)) & (expected[:, 0, :, 0] >= 0)
    assert alike.sum() > 100
    found = (image[..., 0] / image[..., 1]).numpy()[alike] * 30
    np.testing.assert_allclose(found, expected[:, 0, :, 0][alike], atol=1e-3)


def test_a_balls_outline_is_the_cone_that_touches_it() -> None:
    radius, distance, focal = 0.3, 2.7, 2.0
    ball = one((0.0, 0.0, 0.0), (radius / ellipsoids.SIGMAS,) * 3)
    _, coverage = render_ellipsoids(ball, frontal(focal, distance), 200, 200)
    tangent = radius / math.sqrt(distance**2 - radius**2)
    assert float(coverage.sum()) == pytest.approx(math.pi * (focal * 200 * tangent) ** 2, rel=2e-3)


def test_the_light_comes_from_above_left() -> None:
    image, _ = render_ellipsoids(one((0.0, 0.0, 0.0), (0.2,) * 3), frontal(), 64, 64)
    assert image[27, 27, 0] > image[32, 32, 0] > image[37, 37, 0] > 0


def test_the_nearer_one_hides_the_farther_wherever_it_stands_in_the_list() -> None:
    near, far = one((0.0, 0.0, 0.5), (0.05,) * 3), one((0.0, 0.0, -0.5), (0.1,) * 3)
    near = near.replace(sh=rgb_to_dc(torch.tensor([[[[0.0, 1.0, 0.0]]]])))
    for scene in (concatenate([near, far]), concatenate([far, near])):
        image, _ = render_ellipsoids(scene, frontal(), 33, 33)
        assert image[16, 16, 0] == 0
        assert image[16, 16, 1] > 0.3


def test_what_is_faint_or_reaches_the_camera_is_left_out() -> None:
    faint, around = one((0.0, 0.0, 0.0), (0.1,) * 3, opacity=-3.0), one((0.0, 0.0, 2.6), (0.2,) * 3)
    behind = one((0.0, 0.0, 5.0), (0.2,) * 3)
    image, coverage = render_ellipsoids(concatenate([faint, around, behind]), frontal(), 16, 16)
    assert float(coverage.sum()) == 0
    assert float(image.abs().sum()) == 0


def test_nothing_at_all_is_an_empty_image() -> None:
    scene = one((0.0, 0.0, 0.0), (0.1,) * 3)
    _, coverage = render_ellipsoids(scene.select(torch.tensor([False])), frontal(), 8, 8)
    assert float(coverage.sum()) == 0


def test_the_kernel_sees_what_torch_operations_see(scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = from_yaw_pitch(torch.tensor([0.7]), torch.tensor([0.2]))
    one_worker, coverage = render_ellipsoids(scene, camera, 50, 37)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(render_ellipsoids(scene, camera, 50, 37)[0], one_worker)
    monkeypatch.setattr(ellipsoids, "_nearest", ellipsoids._nearest_in_torch)
    plain, plain_coverage = render_ellipsoids(scene, camera, 50, 37)
    assert float((plain_coverage != coverage).float().mean()) < 0.01  # rays that graze an ellipsoid
    assert float(((plain - one_worker).abs() > 1e-4).float().mean()) < 0.01
    assert float(coverage.mean()) > 0.1


def test_pairs_in_portions_give_the_same_image(scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ellipsoids, "_nearest", ellipsoids._nearest_in_torch)
    whole = render_ellipsoids(scene, frontal(), 32, 32)[0]
    monkeypatch.setattr(ellipsoids, "PAIRS_AT_ONCE", 777)
    assert torch.equal(render_ellipsoids(scene, frontal(), 32, 32)[0], whole)
    assert float(whole.max()) <= float(dc_to_rgb(scene.sh).max())
