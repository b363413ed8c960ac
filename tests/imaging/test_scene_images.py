"""Pictures along a camera path: where the cameras stand, and what each kind of picture shows."""

from __future__ import annotations

import math

import pytest
import torch

from hgs_toolkit.cameras import frontal, yaw_pitch_radius
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import SWEEP_YAW, TRAJECTORIES, camera_path, fit_cameras, subject_bounds
from hgs_toolkit.imaging.looks import LEVEL_COLORS
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images, natural_background
from hgs_toolkit.rendering import RASTERIZE_MODES


def blobs(*positions: tuple[float, float, float], levels: list[int] | None = None) -> GaussianHierarchy:
    """Opaque balls of radius 0.1 and red, green, blue, red, ... colour."""
    count = len(positions)
    colors = (torch.eye(3).repeat(count, 1)[:count] - 0.5) / 0.28209479177387814
    return GaussianHierarchy(
        means=torch.tensor([positions]),
        log_scales=torch.full((1, count, 3), math.log(0.1)),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        sh=colors[None, :, None],
        opacity_logits=torch.full((1, count), 16.0),
        level=torch.tensor(levels or [0] * count),
    )


def picture(scene: GaussianHierarchy, mode: str, shot: ImageSettings | None = None) -> torch.Tensor:
    return next(draw_images(scene, frontal(), shot or ImageSettings(33), mode))


LEFT_AND_RIGHT = ((-0.4, 0.0, 0.5), (0.4, 0.0, -0.5))
"""A near red ball on the left of the frontal picture, a far green one on the right."""


@pytest.mark.parametrize("name", TRAJECTORIES)
@pytest.mark.parametrize("frames", [1, 7])
def test_every_trajectory_keeps_its_distance_and_looks_at_the_origin(name: str, frames: int) -> None:
    cameras = camera_path(name, frames, focal=1.5, radius=3.0)
    assert cameras.cam_to_world.shape == (frames, 4, 4)
    torch.testing.assert_close(cameras.positions, -3.0 * cameras.forward)
    assert (cameras.intrinsics[:, 0, 0] == 1.5).all()


def test_a_sweep_goes_from_side_to_side_and_one_view_is_in_the_middle() -> None:
    yaw, _, _ = yaw_pitch_radius(camera_path("sweep", 5, 2.0, 2.7).cam_to_world)
    torch.testing.assert_close(yaw, torch.linspace(-SWEEP_YAW, SWEEP_YAW, 5))
    assert yaw_pitch_radius(camera_path("sweep", 1, 2.0, 2.7).cam_to_world)[0] == 0


def test_paths_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="trajectory 'spiral' is unknown; expected one of: orbit"):
        camera_path("spiral", 3, 2.0, 2.7)
    with pytest.raises(ConfigError, match="0 frames"):
        camera_path("orbit", 0, 2.0, 2.7)


def test_colours_appear_where_the_gaussians_are() -> None:
    image = picture(blobs(*LEFT_AND_RIGHT), "rgb")
    assert image.shape == (33, 33, 3)
    assert image[16, 4].argmax() == 0
    assert image[16, 25].argmax() == 1
    torch.testing.assert_close(image[0, 0], torch.ones(3))


def test_without_background_the_picture_has_straight_alpha() -> None:
    image = picture(blobs(*LEFT_AND_RIGHT), "rgb", ImageSettings(33, background=None))
    assert image.shape == (33, 33, 4)
    assert image[0, 0, 3] == 0
    visible = image[..., 3] > 0.1
    torch.testing.assert_close(image[visible][:, :2].sum(-1), torch.ones(int(visible.sum())), atol=0.05, rtol=0)


def test_near_is_brighter_than_far_and_nothing_is_black() -> None:
    image = picture(blobs(*LEFT_AND_RIGHT), "depth")
    assert image[16, 4, 0] > image[16, 25, 0] > 0
    assert (image[0, 0] == 0).all()


def test_alpha_is_white_on_black() -> None:
    image = picture(blobs(*LEFT_AND_RIGHT), "alpha")
    assert image[16, 25, 0] > 0.9
    assert image[0, 0, 0] == 0


def test_normals_face_the_camera_and_are_grey_where_nothing_is() -> None:
    flat = blobs((0.0, 0.0, 0.0))
    flat = flat.replace(log_scales=torch.tensor([[[0.2, 0.2, 0.01]]]).log())
    image = picture(flat, "normal")
    torch.testing.assert_close(image[16, 16], torch.tensor([0.5, 0.5, 1.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(image[0, 0], torch.full((3,), 0.5))


def test_levels_have_their_own_colours_and_they_repeat() -> None:
    repeated = len(LEVEL_COLORS) - 1  # the level after the last colour has the first one again
    image = picture(blobs(*LEFT_AND_RIGHT, levels=[1, repeated]), "level")
    torch.testing.assert_close(image[16, 4], torch.tensor(LEVEL_COLORS[2]))
    torch.testing.assert_close(image[16, 25], torch.tensor(LEVEL_COLORS[1]))
    torch.testing.assert_close(image[0, 0], torch.ones(3))


@pytest.mark.parametrize("mode", ["rgb", "depth", "alpha", "normal", "level", "ellipsoid"])
def test_without_background_every_mode_is_transparent_where_nothing_is(mode: str) -> None:
    image = picture(blobs((0.0, 0.0, 0.0)), mode, ImageSettings(33, None))
    assert image.shape == (33, 33, 4)
    assert image[0, 0, 3] == 0
    assert image[16, 16, 3] > 0.9


@pytest.mark.parametrize("mode", ["rgb", "alpha", "normal"])
def test_scenes_made_for_antialiased_rendering_are_drawn_so(mode: str) -> None:
    scene = blobs((0.0, 0.0, 0.0))
    scene = scene.replace(log_scales=scene.log_scales - 3.5)  # a fifth of a pixel
    drawings = [picture(scene, mode, ImageSettings(33, None, rasterize_mode=way)) for way in RASTERIZE_MODES]
    classic, sharp = (drawing[16, 16, 3] for drawing in drawings)
    assert sharp < 0.5 * classic


def test_small_splats_cover_less() -> None:
    scene = blobs(*LEFT_AND_RIGHT)
    small, large = (picture(scene, "alpha", ImageSettings(33, splat_scale=scale)).sum() for scale in (0.5, 1.0))
    assert small < large / 2


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="mode 'heat' is unknown; expected one of: rgb"):
        picture(blobs((0.0, 0.0, 0.0)), "heat")


def test_the_subject_is_the_foreground_wherever_it_lies() -> None:
    scene = blobs((5.0, 5.0, 5.0), (5.0, 5.0, 6.0), (5.0, 5.0, 4.0), (90.0, 0.0, 0.0), levels=[0, 0, 0, -1])
    center, radius = subject_bounds(scene, 1.0)
    torch.testing.assert_close(center, torch.full((3,), 5.0))
    assert radius == 1.0
    only_background, _ = subject_bounds(scene.levels(), 1.0)
    torch.testing.assert_close(only_background, torch.tensor([90.0, 0.0, 0.0]))


def test_fitted_cameras_see_a_moved_and_scaled_scene_alike(scene: GaussianHierarchy) -> None:
    moved = scene.replace(means=scene.means * 8 - 3, log_scales=scene.log_scales + math.log(8))
    first, second = (next(draw_images(s, fit_cameras(frontal(), s), ImageSettings(32))) for s in (scene, moved))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=0)


def test_scenes_with_a_background_of_their_own_stand_before_black(scene: GaussianHierarchy) -> None:
    assert natural_background(scene) == (0.0, 0.0, 0.0)
    assert natural_background(scene.levels(range(3), background=False)) == (1.0, 1.0, 1.0)
