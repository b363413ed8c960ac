"""Both CPU backends against gsplat's own PyTorch projection and a compositing loop written only here, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hgs_toolkit.rendering import rasterize

gsplat_torch = pytest.importorskip("gsplat.cuda._torch_impl")

WIDTH, HEIGHT = 40, 24


def composite(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    radii: Tensor,
    depths: Tensor,
    colors: Tensor,
    background: Tensor,
) -> tuple[Tensor, Tensor]:
    """One image, one Gaussian after another."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    left = torch.ones(HEIGHT, WIDTH, dtype=colors.dtype)
    done = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    image = torch.zeros(HEIGHT, WIDTH, colors.shape[-1], dtype=colors.dtype)
    for n in depths.argsort(stable=True).tolist():
        if not bool((radii[n] > 0).all()):
            continue
        dx, dy = means2d[n, 0] - x, means2d[n, 1] - y
        sigma = 0.5 * (conics[n, 0] * dx**2 + conics[n, 2] * dy**2) + conics[n, 1] * dx * dy
        alpha = (opacities[n] * torch.exp(-sigma)).clamp(max=0.999)
        hit = (sigma >= 0) & (alpha >= 1 / 255) & ~done
        stop = hit & (left * (1 - alpha) <= 1e-4)
        done = done | stop
        alpha = torch.where(hit & ~stop, alpha, 0.0)
        image = image + (alpha * left)[..., None] * colors[n]
        left = left * (1 - alpha)
    return image + left[..., None] * background, 1 - left


def oracle(inputs: dict[str, Tensor], render_mode: str = "RGB", rasterize_mode: str = "classic") -> Any:
    covariances, _ = gsplat_torch._quat_scale_to_covar_preci(inputs["quats"], inputs["scales"], True, False)
    radii, means2d, depths, conics, compensations = gsplat_torch._fully_fused_projection(
        inputs["means"], covariances, inputs["viewmats"], inputs["Ks"], WIDTH, HEIGHT,
        calc_compensations=rasterize_mode == "antialiased",
    )  # fmt: skip
    batch, cameras = depths.shape[:2]
    opacities = inputs["opacities"][:, None].expand(-1, cameras, -1)
    if compensations is not None:
        opacities = opacities * compensations
    colors = inputs["colors"] if inputs["colors"].ndim == 4 else inputs["colors"][:, None].expand(-1, cameras, -1, -1)
    background = inputs.get("backgrounds", torch.zeros(batch, cameras, colors.shape[-1], dtype=colors.dtype))
    if render_mode != "RGB":
        keep = colors.shape[-1] if render_mode.startswith("RGB") else 0
        colors = torch.cat([colors[..., :keep], depths[..., None]], -1)
        background = torch.nn.functional.pad(background[..., :keep], (0, 1))
    images, alphas = [], []
    for b in range(batch):
        for c in range(cameras):
            image, alpha = composite(
                means2d[b, c], conics[b, c], opacities[b, c], radii[b, c], depths[b, c], colors[b, c], background[b, c]
            )
            images.append(image)
            alphas.append(alpha[..., None])
    image = torch.stack(images).unflatten(0, (batch, cameras))
    alpha = torch.stack(alphas).unflatten(0, (batch, cameras))
    if render_mode.endswith("ED"):
        image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp(min=1e-10)], -1)
    return image, alpha


def oracle_gradients(inputs: dict[str, Tensor], **options: str) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The oracle's image and alpha, and its gradients of what ``studio.draw`` differentiates."""
    leaves = {name: value.double().requires_grad_(name != "Ks") for name, value in inputs.items()}
    image, alpha = oracle(leaves, **options)
    generator = torch.Generator().manual_seed(99)
    weights = [torch.randn(value.shape, generator=generator).double() for value in (image, alpha)]
    torch.autograd.backward([image, alpha], weights)
    grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return image.detach(), alpha.detach(), grads


def relative(value: Tensor, expected: Tensor) -> float:
    """Relative L2 error."""
    return float((value.double() - expected).norm() / expected.norm().clamp_min(1e-12))


def assert_gradients_agree(drawn: dict[str, Tensor], expected: dict[str, Tensor], bound: float) -> None:
    for name, grad in expected.items():
        if bool(grad.any()):
            assert relative(drawn[name], grad) < bound, name


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rasterize_mode": "antialiased"},
        {"render_mode": "RGB+ED"},
        {"render_mode": "RGB+D", "rasterize_mode": "antialiased"},
        {"render_mode": "D"},
        {"render_mode": "ED"},
    ],
    ids=lambda options: "-".join(options.values()) or "RGB",
)
def test_images_and_gradients_agree_with_gsplat_projection_and_a_plain_loop(
    studio: Any, backend: str, options: dict[str, str]
) -> None:
    inputs = studio.scene(batch=2, gaussians=90, cameras=2, seed=3)
    image, alpha, grads = oracle_gradients(inputs, **options)
    drawn = studio.draw(inputs, WIDTH, HEIGHT, backend=backend, **options)
    assert float(alpha.mean()) > 0.2, "the scene must cover the images"
    assert drawn.image.shape == image.shape
    assert relative(drawn.image, image) < 1e-5
    assert float((drawn.alpha - alpha).abs().max()) < 1e-5
    # 1 - T has an error of 6e-8 in float32, which is 1.5e-5 of the smallest alpha that depth is divided by.
    assert_gradients_agree(drawn.grads, grads, 5e-5 if "ED" in options.get("render_mode", "") else 1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 13, 40])
def test_any_number_of_channels_agrees_with_the_oracle(studio: Any, channels: int) -> None:
    inputs = studio.scene(gaussians=60, channels=channels, seed=channels)
    image, _, grads = oracle_gradients(inputs)
    drawn = studio.draw(inputs, WIDTH, HEIGHT, backend="cpu")
    assert relative(drawn.image, image) < 1e-6
    assert_gradients_agree(drawn.grads, grads, 1e-5)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_colours_may_differ_between_the_cameras(studio: Any, backend: str) -> None:
    inputs = studio.scene(batch=2, gaussians=50, cameras=3)
    inputs["colors"] = torch.rand(2, 3, 50, 3, generator=torch.Generator().manual_seed(4))
    image, _, grads = oracle_gradients(inputs)
    drawn = studio.draw(inputs, WIDTH, HEIGHT, backend=backend)
    assert relative(drawn.image, image) < 1e-6
    assert_gradients_agree(drawn.grads, grads, 1e-5)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_gaussians_beyond_the_frustum_margin_and_needles_agree_too(studio: Any, backend: str) -> None:
    """Large x / z meets the clamp of the Jacobian; scales from 1e-4 to 1 make needles that float32 conics blur."""
    inputs = studio.scene(gaussians=80, seed=8)
    inputs["means"] *= torch.tensor([6.0, 4.0, 1.0])
    inputs["scales"] = torch.logspace(-4, 0, 80)[None, :, None] * torch.tensor([1.0, 0.1, 0.01])
    image, _, grads = oracle_gradients(inputs)
    drawn = studio.draw(inputs, WIDTH, HEIGHT, backend=backend)
    bound = 1e-5 if backend == "cpu" else 1e-3
    assert relative(drawn.image, image) < bound
    assert_gradients_agree(drawn.grads, grads, bound)


def test_the_kernels_keep_float64_accuracy_at_the_far_corner_of_a_large_image(studio: Any) -> None:
    """Pixel coordinates near 4000 have no float32 digits to spare; the kernels measure from the tile's corner."""
    inputs = studio.scene(gaussians=1, background=False)
    inputs |= {
        "means": torch.tensor([[[0.1, 0.1, 2.0]]]), "scales": torch.full((1, 1, 3), 1e-4),
        "viewmats": torch.eye(4).view(1, 1, 4, 4),
        "Ks": torch.tensor([[[[2000.0, 0.0, 3900.1], [0.0, 2000.0, 10.3], [0.0, 0.0, 1.0]]]]),
    }  # fmt: skip
    image, _ = rasterize(**inputs, width=4008, height=120, backend="cpu")
    exact, _ = rasterize(**{k: v.double() for k, v in inputs.items()}, width=4008, height=120, backend="torch")
    assert float(image.max()) > 0.05
    assert float((image - exact).abs().max()) < 1e-6
