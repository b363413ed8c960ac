"""The reference: its derivatives against finite differences, its memory bound against none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hgs_toolkit.rendering import rasterize, reference

NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds")


@pytest.mark.parametrize(
    "options", [{}, {"rasterize_mode": "antialiased", "render_mode": "RGB+ED"}], ids=["classic", "antialiased-depth"]
)
def test_derivatives_agree_with_finite_differences(studio: Any, options: dict[str, str]) -> None:
    inputs = {k: v.double() for k, v in studio.scene(gaussians=4, width=5, height=4, size=0.4, seed=5).items()}
    inputs["opacities"] = inputs["opacities"] * 0.5 + 0.2
    leaves = [inputs[name].requires_grad_() for name in NAMES]

    def render(*values: Tensor) -> tuple[Tensor, Tensor]:
        tensors = dict(zip(NAMES, values, strict=True))
        return rasterize(**tensors, Ks=inputs["Ks"], width=5, height=4, backend="torch", **options)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(render, leaves, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_intrinsics_receive_gradients_too(studio: Any) -> None:
    inputs = {k: v.double() for k, v in studio.scene(gaussians=4, width=5, height=4, size=0.4, seed=5).items()}
    Ks = inputs.pop("Ks").requires_grad_()
    assert torch.autograd.gradcheck(
        lambda K: rasterize(**inputs, Ks=K, width=5, height=4, backend="torch")[0], [Ks], eps=1e-6, atol=1e-5, rtol=1e-4
    )


def test_drawing_a_few_pixels_at_a_time_changes_nothing(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = studio.scene(gaussians=30)
    whole = studio.draw(inputs, backend="torch")
    monkeypatch.setattr(reference, "CHUNK_ELEMENTS", 30 * 17)
    pieces = studio.draw(inputs, backend="torch")
    torch.testing.assert_close(pieces.image, whole.image, atol=1e-6, rtol=0)
    torch.testing.assert_close(pieces.grads["means"], whole.grads["means"], atol=1e-4, rtol=1e-4)
