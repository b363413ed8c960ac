"""gsplat on the GPU draws what the float64 reference draws, forward and backward. Untested on hardware."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.rendering import RENDER_MODES, rasterize

pytestmark = pytest.mark.gpu

SIZE = 40
PIXEL_TOLERANCE, PIXEL_SHARE = 1e-3, 0.999
"""Largest difference of a channel, and the share of values within it: gsplat is compiled with fast mathematics."""
GRADIENT_TOLERANCE = 5e-3
"""Largest relative difference of a gradient, in its L2 norm."""

LEAVES = ("means", "quats", "scales", "opacities", "colors")


def make_inputs(batch: int, cameras: int, count: int, channels: int) -> dict[str, Tensor]:
    """Random float64 Gaussians before cameras on a sphere."""
    generator = torch.Generator().manual_seed(count)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    views = from_yaw_pitch(normal(batch, cameras) * 0.3, normal(batch, cameras) * 0.2)
    return {
        "means": normal(batch, count, 3) * 0.35, "quats": normal(batch, count, 4),
        "scales": (normal(batch, count, 3) * 0.6).exp() * 0.06, "opacities": torch.sigmoid(normal(batch, count)),
        "colors": torch.sigmoid(normal(batch, count, channels)), "viewmats": views.viewmats.double(),
        "Ks": views.pixel_intrinsics(SIZE, SIZE).double(),
        "backgrounds": torch.sigmoid(normal(batch, cameras, channels)),
    }  # fmt: skip


@pytest.fixture
def kernels(dry: bool) -> str:
    """The backend that is compared with the reference."""
    return "cpu" if dry else "gsplat"


def draw(inputs: dict[str, Tensor], backend: str, **options: Any) -> list[Tensor]:
    """Image, alpha, and the gradients of the leaves, on the CPU in float64."""
    leaves = [inputs[name].clone().requires_grad_() for name in LEAVES]
    given: dict[str, Any] = inputs | dict(zip(LEAVES, leaves, strict=True))
    image, alpha = rasterize(**given, width=SIZE, height=SIZE, backend=backend, **options)
    weights = torch.linspace(0.5, 1.5, image.shape[-1], dtype=image.dtype, device=image.device)
    gradients = torch.autograd.grad((image * weights).sum() + alpha.sum(), leaves, allow_unused=True)
    filled = [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gradients, leaves, strict=True)]
    return [value.detach().double().cpu() for value in (image, alpha, *filled)]


@pytest.mark.parametrize("render_mode", RENDER_MODES)
@pytest.mark.parametrize(("batch", "cameras", "count", "channels"), [
    (1, 1, 1, 3), (1, 3, 31, 3), (3, 1, 31, 1), (2, 2, 90, 4), (3, 3, 90, 40), (2, 1, 5440, 3),
])  # fmt: skip
def test_images_and_gradients_are_those_of_the_reference(
    cuda: torch.device, kernels: str, render_mode: str, batch: int, cameras: int, count: int, channels: int
) -> None:
    inputs = make_inputs(batch, cameras, count, channels)
    expected = draw(inputs, "torch", render_mode=render_mode)
    found = draw({k: v.float().to(cuda) for k, v in inputs.items()}, kernels, render_mode=render_mode)
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        assert float(((ours - theirs).abs() < PIXEL_TOLERANCE).double().mean()) >= PIXEL_SHARE
    for name, ours, theirs in zip(LEAVES, found[2:], expected[2:], strict=True):
        assert float((ours - theirs).norm()) <= GRADIENT_TOLERANCE * float(theirs.norm()) + 1e-6, name


@pytest.mark.parametrize("fault", ["behind", "tiny", "needle", "transparent", "at the camera"])
def test_degenerate_scenes_give_finite_images_and_gradients(cuda: torch.device, kernels: str, fault: str) -> None:
    inputs = {name: value.float().to(cuda) for name, value in make_inputs(2, 1, 33, 3).items()}
    changes = {
        "behind": ("means", inputs["means"] + torch.tensor([0.0, 0.0, 50.0], device=cuda)),
        "tiny": ("scales", inputs["scales"] * 1e-8),
        "needle": ("scales", inputs["scales"] * torch.tensor([1.0, 1.0, 1e-6], device=cuda)),
        "transparent": ("opacities", inputs["opacities"] * 0),
        "at the camera": ("means", torch.linalg.inv(inputs["viewmats"])[:, 0, None, :3, 3].expand(-1, 33, -1)),
    }
    name, value = changes[fault]
    assert all(bool(result.isfinite().all()) for result in draw(inputs | {name: value.contiguous()}, kernels))
