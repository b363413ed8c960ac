"""Random scenes, and drawing them with gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.rendering import rasterize

Inputs = dict[str, Tensor]


class Drawing(NamedTuple):
    """What a rasterisation gave, and the gradients of a fixed random weighting of it."""

    image: Tensor
    alpha: Tensor
    grads: dict[str, Tensor]


class Studio:
    """Makes scenes and draws them; the fixture ``studio``."""

    @staticmethod
    def cameras(batch: int, count: int, seed: int = 0) -> Cameras:
        generator = torch.Generator().manual_seed(seed + 1)
        yaw, pitch = torch.randn(2, batch, count, generator=generator) * 0.4
        return from_yaw_pitch(yaw, pitch, focal=1.4)

    @classmethod
    def scene(
        cls, batch: int = 1, gaussians: int = 120, cameras: int = 1, *, channels: int = 3, width: int = 40,
        height: int = 24, size: float = 0.06, seed: int = 0, background: bool = True,
    ) -> Inputs:  # fmt: skip
        """Arguments of ``rasterize`` but for the image size, float32."""
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        views = cls.cameras(batch, cameras, seed)
        inputs = {
            "means": normal(batch, gaussians, 3) * 0.35,
            "quats": normal(batch, gaussians, 4),
            "scales": (normal(batch, gaussians, 3) * 0.6).exp() * size,
            "opacities": torch.rand(batch, gaussians, generator=generator),
            "colors": torch.rand(batch, gaussians, channels, generator=generator),
            "viewmats": views.viewmats.clone(),
            "Ks": views.pixel_intrinsics(width, height).clone(),
        }
        if background:
            inputs["backgrounds"] = torch.rand(batch, cameras, channels, generator=generator)
        return inputs

    @staticmethod
    def draw(inputs: Inputs, width: int = 40, height: int = 24, dtype: torch.dtype = torch.float32,
             **options: Any) -> Drawing:  # fmt: skip
        """Draw with gradients to everything but Ks."""
        leaves = {name: value.to(dtype).clone().requires_grad_(name != "Ks") for name, value in inputs.items()}
        image, alpha = rasterize(**leaves, width=width, height=height, **options)  # type: ignore[arg-type]
        differentiate(image, alpha)
        grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        return Drawing(image.detach(), alpha.detach(), grads)


def differentiate(image: Tensor, alpha: Tensor) -> None:
    """Backward from random weights of every value of image and alpha."""
    generator = torch.Generator().manual_seed(99)
    weights = [torch.randn(value.shape, generator=generator).to(value) for value in (image, alpha)]
    torch.autograd.backward([image, alpha], weights)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are drawn faster by one thread, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def studio() -> Studio:
    return Studio()
