"""Framing: every scene is whole in the image, wherever it lies, whatever format it was stored in."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from hgs_toolkit.cameras import Cameras, frontal
from hgs_toolkit.conventions import DEFAULT_RADIUS
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.imaging.camera_paths import TRAJECTORIES, camera_path, fit_cameras, frame_scene, step_back, views
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images


def balls(positions: torch.Tensor, size: float) -> GaussianHierarchy:
    """Opaque Gaussians (N, 3) of one size."""
    count = len(positions)
    return GaussianHierarchy(
        means=positions[None],
        log_scales=torch.full((1, count, 3), math.log(size)),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        sh=torch.zeros(1, count, 1, 3),
        opacity_logits=torch.full((1, count), 16.0),
    )


def body(count: int = 400) -> torch.Tensor:
    """Points of a body with thin limbs: one in ten lies far out, where a quantile of centres would cut."""
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    points[: count // 10] *= torch.tensor([1.0, 4.0, 1.0])
    return points


def coverage(scene: GaussianHierarchy, cameras: Cameras) -> torch.Tensor:
    return torch.stack([image[..., 3] for image in draw_images(scene, cameras, ImageSettings(48, None))])


def touches_no_border(alpha: torch.Tensor) -> bool:
    edges = torch.cat([alpha[:, 0], alpha[:, -1], alpha[:, :, 0], alpha[:, :, -1]], dim=-1)
    return bool(edges.max() < 0.2)


SCENES = {
    "a body elsewhere": balls(body() + torch.tensor([7.0, -3.0, 5.0]), 0.02),
    "a large body": balls(body() * 40, 0.8),
    "one Gaussian": balls(torch.tensor([[3.0, 3.0, 3.0]]), 0.5),
    "all in one place": balls(torch.zeros(20, 3) + 2.0, 0.1),
    "large Gaussians with near centres": balls(body(60) * 0.1, 1.0),
    "a few strays far away": concatenate(
        [balls(body(), 0.02), balls(torch.tensor([[300.0, 0, 0], [0, 0, -500.0]]), 1.0)]
    ),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("path", [path for path in TRAJECTORIES if path != "ellipse"])
def test_every_scene_is_whole_and_large_enough_along_every_path(name: str, path: str) -> None:
    scene = SCENES[name]
    alpha = coverage(scene, fit_cameras(camera_path(path, 3, 2.0, DEFAULT_RADIUS), scene))
    assert touches_no_border(alpha)
    rows = (alpha > 0.2).any(2).sum(1)
    columns = (alpha > 0.2).any(1).sum(1)
    assert torch.maximum(rows, columns).min() >= 12  # a quarter of the image


def test_a_scene_that_the_standard_camera_shows_is_left_to_it() -> None:
    scene = balls(torch.tensor([[0.0, 0.4, 0.0], [0.0, -0.4, 0.1], [0.3, 0.0, 0.0]]), 0.03)
    center, distance = frame_scene(scene, 2.0)
    assert center.tolist() == [0, 0, 0]
    assert distance == DEFAULT_RADIUS
    moved = scene.replace(means=scene.means + 5)
    assert frame_scene(moved, 2.0)[0].tolist() != [0, 0, 0]


@pytest.mark.parametrize("fit", [fit_cameras, step_back])
def test_a_part_that_comes_near_a_camera_from_above_is_not_cut_off(fit: Callable[..., Cameras]) -> None:
    scene = balls(torch.tensor([[-0.55, 0.5, 0.0], [0.55, 0.5, 0.0], [0.0, -0.5, 0.0]]), 0.02)
    cameras = views([0, 90], [0, 30, 60], 2.0, DEFAULT_RADIUS)
    assert not touches_no_border(coverage(scene, cameras))
    assert touches_no_border(coverage(scene, fit(cameras, scene)))
    frontal = views([0], [0], 2.0, DEFAULT_RADIUS)
    assert torch.equal(fit(frontal, scene).cam_to_world, frontal.cam_to_world), "nothing is cut off there"


def test_a_needle_along_the_view_does_not_move_the_camera_and_one_across_it_does() -> None:
    along, across = (torch.tensor([math.log(s) for s in scales]) for scales in ((0.01, 0.01, 0.35), (0.35, 0.01, 0.01)))
    cameras = views([0], [0], 2.0, DEFAULT_RADIUS)
    corners = torch.tensor([[x, y, z] for x in (-0.4, 0.4) for y in (-0.4, 0.4) for z in (-0.4, 0.4)])
    scene = balls(torch.cat([corners, torch.zeros(1, 3)]), 0.01)
    for scales, moves in ((along, False), (across, True)):
        log_scales = scene.log_scales.clone()
        log_scales[0, -1] = scales
        fitted = step_back(cameras, scene.replace(log_scales=log_scales))
        assert torch.equal(fitted.cam_to_world, cameras.cam_to_world) is not moves


def test_at_the_poles_the_yaw_turns_the_image() -> None:
    for pitch in (90, -90):
        ups = -views([0, 90, 180, 270], [pitch], 2.0, 3.0).cam_to_world[:, :3, 1]
        near = -views([0, 90, 180, 270], [pitch * 0.999], 2.0, 3.0).cam_to_world[:, :3, 1]
        torch.testing.assert_close(ups, near, atol=2e-3, rtol=0)


def test_a_portrait_that_fills_its_image_stays_where_it_is() -> None:
    cameras = views([0], [0], 2.0, DEFAULT_RADIUS)
    assert torch.equal(step_back(cameras, balls(body() * 2, 0.02)).cam_to_world, cameras.cam_to_world)


def test_what_cannot_be_seen_does_not_count() -> None:
    seen = balls(body(), 0.02)
    haze = balls(body() * 20, 0.02)
    haze = haze.replace(opacity_logits=torch.full_like(haze.opacity_logits, -6.0))
    first, second = frame_scene(seen, 2.0), frame_scene(concatenate([seen, haze]), 2.0)
    torch.testing.assert_close(first[0], second[0])
    assert first[1] == pytest.approx(second[1])


def test_views_stand_where_their_angles_say() -> None:
    cameras = views([0, 90], [0, 90], 2.0, 3.0)
    expected = torch.tensor([[0.0, 0, 3], [3, 0, 0], [0, 3, 0], [0, 3, 0]])
    torch.testing.assert_close(cameras.positions, expected, atol=1e-5, rtol=0)
    assert len(cameras) == 4


def test_a_distance_in_proportion_is_kept() -> None:
    scene = balls(body() + 4, 0.02)
    near, far = (fit_cameras(frontal(2.0, radius), scene) for radius in (DEFAULT_RADIUS, 2 * DEFAULT_RADIUS))
    center, distance = frame_scene(scene, 2.0)
    assert (near.positions[0] - center).norm() == pytest.approx(distance, rel=1e-4)
    assert (far.positions[0] - center).norm() == pytest.approx(2 * distance, rel=1e-4)
