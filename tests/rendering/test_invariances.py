"""What must hold whoever draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.rendering import rasterize

BACKENDS = ["cpu", "torch"]
MIN_ALPHA = 1 / 255

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def one_gaussian(opacity: float = 0.5, scale: float = 0.1, depth: float = 2.0) -> dict[str, Tensor]:
    """A white Gaussian whose centre is the centre of pixel (4, 4) of an 8 x 8 image."""
    return {
        "means": torch.tensor([[[0.0, 0.0, depth]]]), "quats": torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]),
        "scales": torch.full((1, 1, 3), scale), "opacities": torch.full((1, 1), opacity),
        "colors": torch.ones(1, 1, 3), "viewmats": torch.eye(4).view(1, 1, 4, 4),
        "Ks": torch.tensor([[[[8.0, 0.0, 4.5], [0.0, 8.0, 4.5], [0.0, 0.0, 1.0]]]]),
    }  # fmt: skip


def draw(inputs: dict[str, Tensor], backend: str, width: int = 8, height: int = 8, **options: Any) -> Any:
    return rasterize(**inputs, width=width, height=height, backend=backend, **options)  # type: ignore[arg-type]


def test_white_gaussians_on_black_draw_their_alpha(studio: Any, backend: str) -> None:
    inputs = studio.scene(background=False)
    inputs["colors"] = torch.ones_like(inputs["colors"])
    drawn = studio.draw(inputs, backend=backend)
    torch.testing.assert_close(drawn.image, drawn.alpha.expand_as(drawn.image), atol=1e-6, rtol=0)


def test_the_background_is_seen_through_what_is_left(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    over = studio.draw(inputs, backend=backend)
    black = studio.draw({name: v for name, v in inputs.items() if name != "backgrounds"}, backend=backend)
    expected = black.image + (1 - black.alpha) * inputs["backgrounds"][:, :, None, None]
    torch.testing.assert_close(over.image, expected, atol=1e-6, rtol=0)


def test_the_image_is_linear_in_the_colours(studio: Any, backend: str) -> None:
    inputs = studio.scene(background=False)
    first, second = torch.randn(2, *inputs["colors"].shape, generator=torch.Generator().manual_seed(1))
    drawn = [studio.draw(inputs | {"colors": c}, backend=backend).image for c in (first, second, first + 2 * second)]
    torch.testing.assert_close(drawn[2], drawn[0] + 2 * drawn[1], atol=1e-5, rtol=0)


def test_the_order_of_the_gaussians_does_not_matter(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(2))
    per_gaussian = ("means", "quats", "scales", "opacities", "colors")
    shuffled = studio.draw({k: v[:, order] if k in per_gaussian else v for k, v in inputs.items()}, backend=backend)
    plain = studio.draw(inputs, backend=backend)
    torch.testing.assert_close(shuffled.image, plain.image, atol=1e-6, rtol=0)
    torch.testing.assert_close(shuffled.grads["means"], plain.grads["means"][:, order], atol=1e-4, rtol=1e-4)


def test_gaussians_at_equal_depth_are_drawn_in_their_order(backend: str) -> None:
    inputs = one_gaussian(opacity=0.9)
    per_gaussian = ("means", "quats", "scales", "opacities")
    inputs |= {name: inputs[name].repeat_interleave(2, dim=1) for name in per_gaussian}
    inputs["colors"] = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    image, _ = draw(inputs, backend)
    torch.testing.assert_close(image[0, 0, 4, 4], torch.tensor([0.9, 0.09, 0.0]), atol=1e-6, rtol=0)


def test_moving_world_and_camera_together_changes_nothing(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    motion = torch.eye(4)
    motion[:3, :3] = quats_to_rotmats(torch.tensor([0.9, 0.3, -0.2, 0.4]))
    motion[:3, 3] = torch.tensor([1.0, -2.0, 0.5])
    quat, q = torch.tensor([0.9, 0.3, -0.2, 0.4]), inputs["quats"]
    w = quat[0] * q[..., :1] - (quat[1:] * q[..., 1:]).sum(-1, keepdim=True)
    xyz = quat[0] * q[..., 1:] + q[..., :1] * quat[1:] + torch.linalg.cross(quat[1:].expand_as(q[..., 1:]), q[..., 1:])
    moved = inputs | {
        "means": inputs["means"] @ motion[:3, :3].mT + motion[:3, 3],
        "quats": torch.cat([w, xyz], -1),
        "viewmats": inputs["viewmats"] @ torch.linalg.inv(motion),
    }
    before, after = studio.draw(inputs, backend=backend), studio.draw(moved, backend=backend)
    torch.testing.assert_close(after.image, before.image, atol=2e-5, rtol=0)


def test_the_length_of_quaternions_does_not_matter(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    longer = studio.draw(inputs | {"quats": inputs["quats"] * 7.0}, backend=backend)
    plain = studio.draw(inputs, backend=backend)
    torch.testing.assert_close(longer.image, plain.image, atol=1e-6, rtol=0)
    torch.testing.assert_close(longer.grads["quats"] * 7.0, plain.grads["quats"], atol=1e-4, rtol=1e-4)


def test_scenes_and_cameras_drawn_together_equal_each_drawn_alone(studio: Any, backend: str) -> None:
    inputs = studio.scene(batch=2, cameras=3, gaussians=60)
    together = studio.draw(inputs, backend=backend)
    for b in range(2):
        for c in range(3):
            alone = {k: v[b : b + 1] for k, v in inputs.items()}
            alone |= {k: alone[k][:, c : c + 1] for k in ("viewmats", "Ks", "backgrounds")}
            drawn = studio.draw(alone, backend=backend)
            torch.testing.assert_close(drawn.image[0, 0], together.image[b, c], atol=5e-6, rtol=0)
            torch.testing.assert_close(drawn.alpha[0, 0], together.alpha[b, c], atol=5e-6, rtol=0)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 15), (8, 16), (9, 17), (33, 5), (5, 50)])
def test_any_image_size_shows_a_crop_of_the_same_image(studio: Any, backend: str, width: int, height: int) -> None:
    inputs = studio.scene(background=False, size=0.1)
    inputs["Ks"][..., :2, 2] = torch.tensor([3.3, 4.2])
    large, _ = draw(inputs, backend, 60, 60, eps2d=0.3)
    small, _ = draw(inputs, backend, width, height)
    inside = large[:, :, :height, :width]
    # The Jacobian's clamp depends on the image size: only Gaussians far outside of the frustum may differ.
    assert float((small - inside).abs().mean()) < 0.02
    assert small.shape == (1, 1, height, width, 3)
    assert float(small.max()) > 0.01


def test_without_gaussians_the_background_is_drawn(studio: Any, backend: str) -> None:
    inputs = studio.scene(gaussians=0)
    drawn = studio.draw(inputs, backend=backend)
    assert torch.equal(drawn.image, inputs["backgrounds"][:, :, None, None].expand_as(drawn.image))
    assert not drawn.alpha.any()
    assert drawn.grads["means"].shape == (1, 0, 3)
    assert drawn.grads["backgrounds"].abs().sum() > 0


def test_gaussians_behind_the_camera_or_beyond_the_far_plane_are_not_drawn(backend: str) -> None:
    for depth in (-2.0, 0.0, 0.005, 50.0):
        _, alpha = draw(one_gaussian(depth=depth), backend, far_plane=40.0)
        assert not alpha.any(), depth
    _, alpha = draw(one_gaussian(depth=2.0), backend, far_plane=40.0)
    assert alpha.any()


def test_culled_gaussians_receive_zero_gradients_without_nan(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    inputs["means"][:, ::3] *= 1e3
    inputs["opacities"][:, 1::3] = 0.0
    drawn = studio.draw(inputs, backend=backend, rasterize_mode="antialiased")
    for name, grad in drawn.grads.items():
        assert grad.isfinite().all(), name
    for name in ("means", "quats", "scales"):
        assert not drawn.grads[name][:, 1::3].any(), name
        assert drawn.grads[name][:, 2::3].any(), name


def test_a_gaussian_of_less_than_the_smallest_alpha_is_skipped_and_one_above_is_drawn(backend: str) -> None:
    assert not draw(one_gaussian(opacity=MIN_ALPHA * 0.999), backend)[1].any()
    _, alpha = draw(one_gaussian(opacity=MIN_ALPHA * 1.001), backend)
    assert int((alpha > 0).sum()) == 1
    assert float(alpha[0, 0, 4, 4]) == pytest.approx(MIN_ALPHA * 1.001, rel=1e-4)


def test_the_opacity_at_a_pixel_is_bounded_and_passes_no_gradient_there(backend: str) -> None:
    inputs = one_gaussian(opacity=1.0, scale=1e-3)
    inputs["opacities"].requires_grad_()
    image, alpha = draw(inputs, backend)
    assert float(alpha.detach().max()) == pytest.approx(0.999, abs=1e-6)
    image[0, 0, 4, 4].sum().backward()
    assert inputs["opacities"].grad is not None
    assert not inputs["opacities"].grad.any()


def test_a_pixel_ends_before_the_gaussian_that_would_hide_all_others(backend: str) -> None:
    inputs = one_gaussian(opacity=0.98, scale=1.0)
    inputs |= {name: inputs[name].expand(1, 3, -1).clone() for name in ("means", "quats", "scales", "colors")}
    inputs["opacities"] = torch.full((1, 3), 0.98)
    _, alpha = draw(inputs, backend)
    # 0.02, then 4e-4; a third would leave 8e-6.
    assert 1 - float(alpha[0, 0, 4, 4]) == pytest.approx(4e-4, rel=1e-3)


def test_giant_and_tiny_gaussians_are_drawn_without_nan(studio: Any, backend: str) -> None:
    for size in (1e-12, 1e-6, 10.0, 1e4, 1e8):
        drawn = studio.draw(studio.scene(size=size, gaussians=20), backend=backend)
        assert drawn.image.isfinite().all(), size
        for name, grad in drawn.grads.items():
            assert grad.isfinite().all(), (name, size)


def test_degenerate_quaternions_and_scales_have_finite_gradients(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    inputs["quats"][:, :20] = 0.0
    inputs["scales"][:, 10:40] = 0.0
    inputs["scales"][:, 40:60, 1:] = 0.0
    for mode in ("classic", "antialiased"):
        drawn = studio.draw(inputs, backend=backend, rasterize_mode=mode)
        assert drawn.image.isfinite().all()
        for name, grad in drawn.grads.items():
            assert grad.isfinite().all(), (name, mode)


def test_radius_clip_drops_small_gaussians_only(backend: str) -> None:
    assert not draw(one_gaussian(scale=0.01), backend, radius_clip=5.0)[1].any()
    assert draw(one_gaussian(scale=0.01), backend, radius_clip=1.0)[1].any()
    assert draw(one_gaussian(scale=2.0), backend, radius_clip=5.0)[1].any()


def test_antialiasing_keeps_the_light_of_small_gaussians(backend: str) -> None:
    """A Gaussian of a tenth of a pixel lights eps2d's blur with its true area, not with the blur's."""
    sharp = one_gaussian(opacity=1.0, scale=0.025)
    _, classic = draw(sharp, backend)
    _, antialiased = draw(sharp, backend, rasterize_mode="antialiased")
    variance = (8.0 * 0.025 / 2.0) ** 2
    assert float(antialiased[0, 0, 4, 4]) == pytest.approx(variance / (variance + 0.3), rel=1e-3)
    assert float(classic[0, 0, 4, 4]) == pytest.approx(0.999, rel=1e-3)


def test_expected_depth_of_one_gaussian_is_its_depth(backend: str) -> None:
    image, alpha = draw(one_gaussian(depth=3.0), backend, render_mode="RGB+ED")
    covered = alpha[..., 0] > 0
    torch.testing.assert_close(image[..., 3][covered], torch.full((int(covered.sum()),), 3.0), atol=1e-4, rtol=0)
    assert not image[..., 3][~covered].any()


def test_depth_has_no_background(backend: str) -> None:
    inputs = one_gaussian() | {"backgrounds": torch.ones(1, 1, 3)}
    image, _ = draw(inputs, backend, render_mode="RGB+D")
    assert float(image[0, 0, 0, 0, 3]) == 0.0
    assert draw(inputs, backend, render_mode="D")[0].shape[-1] == 1


def test_non_finite_gaussians_are_refused_and_counted(studio: Any, backend: str) -> None:
    inputs = studio.scene()
    inputs["means"][0, 3, 1] = float("nan")
    inputs["scales"][0, 7, 0] = float("inf")
    with pytest.raises(ValueError, match="2 Gaussians hold NaN or infinite"):
        draw(inputs, backend)
