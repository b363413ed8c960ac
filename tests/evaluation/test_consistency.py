"""Reprojection of depth: a solid agrees with itself from everywhere, a picture that turns with the camera does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, frontal
from hgs_toolkit.evaluation.consistency import Shooter, ViewLayers, measure_consistency, reproject, unproject

SIZE, FOCAL, DISTANCE, RADIUS = 96, 2.0, 2.7, 0.6


def ball(camera: Cameras, swell: float = 0.0) -> ViewLayers:
    """A ball whose colour is its world position; ``swell`` moves its depth towards whatever camera looks at it."""
    one = camera[0]
    rays = unproject(torch.ones(SIZE, SIZE), one) - one.cam_to_world[:3, 3]  # camera z of 1
    origin = one.cam_to_world[:3, 3]
    a, b, c = (rays * rays).sum(-1), rays @ origin, origin @ origin - RADIUS**2
    inside = b * b - a * c
    depth = (-b - inside.clamp(min=0).sqrt()) / a
    hit = (inside > 0).float()
    color = (0.5 + 0.5 * (origin + rays * depth[..., None])).clamp(0, 1)
    return ViewLayers(color * hit[..., None], (depth - swell) * hit, hit)


def empty(camera: Cameras) -> ViewLayers:
    return ViewLayers(torch.zeros(SIZE, SIZE, 3), torch.zeros(SIZE, SIZE), torch.zeros(SIZE, SIZE))


def recolored(camera: Cameras) -> ViewLayers:
    """The ball in a colour that depends on the camera."""
    view = ball(camera)
    return view._replace(rgb=view.rgb * (0.5 + 0.5 * float(camera.cam_to_world[0, 0, 3] == 0)))


def measured(*scenes: Shooter) -> tuple[float, float, float]:
    found = measure_consistency(scenes, FOCAL, DISTANCE)
    assert found is not None
    return found


def test_a_solid_ball_agrees_with_itself() -> None:
    depth, seen_through, psnr = measured(ball)
    assert depth < 0.003
    assert seen_through < 0.02
    assert psnr > 35


def test_depth_that_turns_with_the_camera_is_found_out_by_its_amount() -> None:
    errors = [measured(lambda camera, swell=swell: ball(camera, swell)) for swell in (0.0, 0.05, 0.2)]  # type: ignore[misc]
    depths = [depth for depth, _, _ in errors]
    assert depths == sorted(depths)
    assert depths[2] > 10 * depths[0]


def test_colour_that_depends_on_the_camera_is_found_out() -> None:
    assert measured(recolored)[2] < measured(ball)[2] - 10


def test_a_view_agrees_exactly_with_itself() -> None:
    camera = frontal(FOCAL, DISTANCE)
    view = ball(camera.reshape(1))
    difference, squared = reproject(view, camera.reshape(1)[0], view, camera.reshape(1)[0])
    assert _largest(difference) < 1e-4  # float32 at a distance of 2.7
    assert _largest(squared) < 1e-10


def test_empty_scenes_have_no_consistency() -> None:
    assert measure_consistency([empty], FOCAL, DISTANCE) is None
    assert measured(ball, empty) == pytest.approx(measured(ball))


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
