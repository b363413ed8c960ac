"""Drawing a hierarchy: where things appear, and what the derived maps show."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, frontal, orbit
from hgs_toolkit.encoding import opacities_to_logits, rgb_to_dc
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy, stack
from hgs_toolkit.rendering import (
    NOTHING_DRAWN,
    level_membership,
    render,
    render_depth,
    render_features,
    render_level_map,
    render_normals,
    shortest_axes,
    strongest_levels,
)

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def dots(*positions: tuple[float, float, float], colors: Any = (RED,), size: float = 0.05) -> GaussianHierarchy:
    """Opaque round Gaussians, one scene; each its own level."""
    count = len(positions)
    rgb = torch.tensor(colors).expand(count, 3)
    return GaussianHierarchy(
        means=torch.tensor([positions]),
        log_scales=torch.full((1, count, 3), size).log(),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, count, 4),
        sh=rgb_to_dc(rgb)[None, :, None],
        opacity_logits=opacities_to_logits(torch.full((1, count), 0.95)),
        level=torch.arange(count),
        parent=torch.full((count,), -1),
    )


def brightest(image: torch.Tensor) -> tuple[int, int]:
    """Row and column of the largest value of (H, W)."""
    index = int(image.argmax())
    return index // image.shape[1], index % image.shape[1]


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_seen_from_the_front_x_is_right_and_y_is_up(backend: str) -> None:
    scene = dots((0.3, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.0), colors=(RED, GREEN, BLUE))
    image, alpha = render(scene, frontal(focal=2.0), 65, 65, backend=backend)
    assert image.shape == (1, 1, 65, 65, 3)
    assert alpha.shape == (1, 1, 65, 65, 1)
    red, green, blue = (brightest(image[0, 0, ..., k]) for k in range(3))
    assert red[0] == 32
    assert red[1] > 40
    assert green[1] == 32
    assert green[0] < 24
    assert blue == (32, 32)


def test_a_camera_from_the_right_sees_positive_x_in_the_middle() -> None:
    scene = dots((0.5, 0.0, 0.0), (0.0, 0.0, 0.5), colors=(RED, GREEN))
    image, _ = render(scene, from_yaw_pitch(torch.tensor([torch.pi / 2]), torch.zeros(1)), 65, 65)
    assert brightest(image[0, 0, ..., 0]) == (32, 32)
    assert brightest(image[0, 0, ..., 1])[1] < 24


def test_stored_colour_and_opacity_are_activated() -> None:
    image, alpha = render(dots((0.0, 0.0, 0.0), colors=((0.2, 0.4, 0.6),), size=0.5), frontal(), 17, 17)
    assert float(alpha[0, 0, 8, 8]) == pytest.approx(0.95, abs=1e-4)
    torch.testing.assert_close(image[0, 0, 8, 8], 0.95 * torch.tensor([0.2, 0.4, 0.6]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)])
def test_backgrounds_may_be_one_colour_or_one_per_scene_or_per_camera(shape: tuple[int, ...]) -> None:
    scene = dots((0.0, 0.0, 0.0))
    both = stack([scene, scene])
    background = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image, _ = render(both, orbit(4), 20, 20, background)
    expected = background if len(shape) != 2 else background[:, None]
    torch.testing.assert_close(image[:, :, 0, 0], expected.expand(2, 4, 3))


def test_a_background_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"background is .*expected \(3,\)"):
        render(dots((0.0, 0.0, 0.0)), orbit(4), 20, 20, torch.zeros(5, 3))


def test_cameras_may_be_shared_or_given_per_scene_but_not_for_another_batch() -> None:
    scene = dots((0.0, 0.0, 0.0))
    shared, _ = render(scene, orbit(3), 20, 20)
    own, _ = render(scene, orbit(3).expand(1, 3), 20, 20)
    assert torch.equal(shared, own)
    with pytest.raises(ShapeError, match=r"leading dimensions \(2, 3\); expected \(C,\) or \(1, C\)"):
        render(scene, orbit(3).expand(2, 3), 20, 20)


def test_view_dependent_colour_changes_with_the_camera() -> None:
    scene = dots((0.0, 0.0, 0.0), size=0.3)
    sh = torch.zeros(1, 1, 4, 3)
    sh[..., 0, :] = scene.sh[..., 0, :] * 0.2
    sh[..., 2, 0] = 0.5
    image, _ = render(scene.replace(sh=sh), orbit(2, pitch=0.0), 17, 17)
    assert float(image[0, 1, 8, 8, 0] - image[0, 0, 8, 8, 0]) == pytest.approx(0.95 * 0.4886, abs=1e-3)


def test_smaller_splats_cover_less() -> None:
    scene = dots((0.0, 0.0, 0.0), size=0.3)
    _, full = render(scene, frontal(), 33, 33)
    _, small = render(scene, frontal(), 33, 33, splat_scale=0.3)
    assert float(small.sum()) < 0.2 * float(full.sum())


def test_depth_is_the_distance_along_the_viewing_direction() -> None:
    depth = render_depth(dots((0.0, 0.0, 0.5), size=0.2), frontal(radius=2.7), 33, 33)
    assert depth.shape == (1, 1, 33, 33, 1)
    assert float(depth[0, 0, 16, 16]) == pytest.approx(2.2, abs=1e-4)
    assert float(depth[0, 0, 0, 0]) == 0.0


def test_normals_are_the_shortest_axes_turned_towards_the_camera() -> None:
    scene = dots((0.0, 0.0, 0.0), size=0.3)
    flat = scene.replace(log_scales=torch.tensor([[[0.3, 0.3, 0.01]]]).log())
    torch.testing.assert_close(shortest_axes(flat)[0, 0], torch.tensor([0.0, 0.0, 1.0]))
    normals, alphas = render_normals(flat, orbit(2, pitch=0.0), 33, 33)
    for camera, sign in ((0, 1.0), (1, -1.0)):
        seen = normals[0, camera, 16, 16] / alphas[0, camera, 16, 16]
        torch.testing.assert_close(seen, torch.tensor([0.0, 0.0, sign]), atol=1e-5, rtol=0)


def test_the_level_map_names_the_level_in_front_the_background_and_nothing() -> None:
    scene = dots((0.0, 0.0, 0.3), (0.0, 0.0, 0.0), (0.4, 0.0, 0.0), size=0.1)
    scene = scene.replace(level=torch.tensor([1, 0, -1]))
    levels = render_level_map(scene, frontal(), 65, 65)
    assert levels.dtype == torch.int64
    assert int(levels[0, 0, 32, 32]) == 1
    assert int(levels[0, 0, 32, 32 + 19]) == -1
    assert int(levels[0, 0, 0, 0]) == NOTHING_DRAWN
    assert set(levels.unique().tolist()) <= {NOTHING_DRAWN, -1, 0, 1}


def test_an_image_and_its_level_map_may_come_out_of_one_pass() -> None:
    scene = dots((0.0, 0.0, 0.3), (0.0, 0.0, 0.0), (0.4, 0.0, 0.0), size=0.1)
    drawn, alphas = render(scene, orbit(2), 33, 33, (1.0, 1.0, 1.0), features=level_membership(scene))
    image, _ = render(scene, orbit(2), 33, 33, (1.0, 1.0, 1.0))
    torch.testing.assert_close(drawn[..., :3], image)
    assert torch.equal(strongest_levels(drawn[..., 3:], alphas), render_level_map(scene, orbit(2), 33, 33))


def test_any_features_are_composited_like_colours() -> None:
    scene = dots((0.0, 0.0, 0.0), colors=((0.2, 0.4, 0.6),))
    image, _ = render(scene, frontal(), 33, 33)
    features, _ = render_features(scene, torch.tensor([[[0.2, 0.4, 0.6]]]), frontal(), 33, 33)
    torch.testing.assert_close(features, image, atol=1e-6, rtol=0)


def test_gradients_reach_every_stored_parameter() -> None:
    scene = dots((0.1, 0.0, 0.0), (0.0, 0.1, 0.3), colors=((0.2, 0.4, 0.6),), size=0.2)
    leaves = {k: v.clone().requires_grad_() for k, v in scene.parameters().items()}
    image, alpha = render(scene.replace(**leaves), orbit(2), 33, 33, torch.ones(3))
    (image.square().sum() + alpha.sum()).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None, name
        assert leaf.grad.isfinite().all(), name
        assert leaf.grad.any() or name == "quats", name


def test_double_precision_scenes_are_drawn_by_the_reference() -> None:
    scene = dots((0.0, 0.0, 0.0)).to(dtype=torch.float64)
    cameras = Cameras(frontal().cam_to_world, frontal().intrinsics)
    image, _ = render(scene, cameras, 9, 9)
    assert image.dtype == torch.float64


def test_autocast_changes_no_bit_of_the_image() -> None:
    scene = dots((0.1, 0.0, 0.0), (0.0, 0.1, 0.3), size=0.2)
    scene = scene.replace(sh=torch.randn(1, 2, 4, 3, generator=torch.Generator().manual_seed(0)))
    plain, _ = render(scene, orbit(3), 20, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image, _ = render(scene, orbit(3), 20, 20)
    assert torch.equal(image, plain)
