"""The CUDA backend: gsplat's rasteriser, imported only when it is going to be used.

Untested on hardware. The call is checked against gsplat's signature and its conventions against gsplat's own PyTorch
code.
"""

from __future__ import annotations

import functools
import logging

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.errors import HgsError
from hgs_toolkit.rendering.gsplat_build import load_kernels
from hgs_toolkit.rendering.settings import RasterSettings

logger = logging.getLogger(__name__)

WARP = 32
"""Number of CUDA threads that run in step."""


@functools.cache
def unavailable_reason() -> str | None:
    """Why gsplat cannot rasterise here, in a few words, or None if it did: one Gaussian is drawn to find out.

    A successful import proves nothing: the wheel is pure Python and compiles or loads its kernels on first use. The
    Gaussian is drawn forward and backward, since training needs both.
    """
    if not torch.cuda.is_available():
        return "no CUDA device"
    try:
        _draw_one_gaussian()
    except HgsError as error:
        return str(error)
    except Exception as error:  # a missing compiler, an old driver, an unsupported card: each has its own type
        logger.warning("gsplat does not work on this machine: %s", error)
        return f"gsplat failed on the CUDA device ({type(error).__name__}: {error})"
    return None


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    sh_degree: int | None,
    settings: RasterSettings,
) -> tuple[Tensor, Tensor]:
    """``gsplat.rasterization`` of B scenes with C cameras each; see :func:`hgs_toolkit.rendering.rasterize`."""
    if means.device.type != "cuda":
        raise HgsError(f"backend 'gsplat' was given tensors on {means.device}; move them to a CUDA device")
    if means.shape[0] > 1:
        means, quats, scales, opacities, colors = pad_to_warps(means, quats, scales, opacities, colors, sh_degree)
    return call_gsplat(means, quats, scales, opacities, colors, viewmats, Ks, backgrounds, sh_degree, settings)


def pad_to_warps(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, sh_degree: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The Gaussians of B scenes with invisible ones appended, so that their number is a multiple of :data:`WARP`.

    gsplat's backward pass sums gradients over the threads of a warp and does not tell scenes apart: with several
    scenes, a warp that holds the end of one and the beginning of the next would mix their gradients.
    """
    missing = -means.shape[1] % WARP
    if missing == 0:
        return means, quats, scales, opacities, colors
    last = (0, 0) * (1 if sh_degree is None else 2)  # dimensions after that of the Gaussians
    return (
        functional.pad(means, (0, 0, 0, missing)),
        functional.pad(quats, (0, 0, 0, missing), value=1.0),
        functional.pad(scales, (0, 0, 0, missing), value=1.0),
        functional.pad(opacities, (0, missing)),
        functional.pad(colors, (*last, 0, missing)),
    )


def call_gsplat(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    sh_degree: int | None,
    settings: RasterSettings,
) -> tuple[Tensor, Tensor]:
    """The call itself, in gsplat's names; ``packed`` is off since training scenes are seen whole by their cameras."""
    import gsplat

    images, alphas, _ = gsplat.rasterization(
        means=means,
        quats=quats,
        scales=scales,
        opacities=opacities,
        colors=colors,
        viewmats=viewmats,
        Ks=Ks,
        width=settings.width,
        height=settings.height,
        near_plane=settings.near_plane,
        far_plane=settings.far_plane,
        radius_clip=settings.radius_clip,
        eps2d=settings.eps2d,
        sh_degree=sh_degree,
        packed=False,
        backgrounds=backgrounds,
        render_mode=settings.render_mode,
        rasterize_mode=settings.rasterize_mode,
    )
    return images, alphas


def _draw_one_gaussian() -> None:
    load_kernels()

    def cuda(*values: float) -> Tensor:
        return torch.tensor(values, device="cuda")

    eye = torch.eye(4, device="cuda")[None, None]
    Ks = cuda(8.0, 0.0, 4.0, 0.0, 8.0, 4.0, 0.0, 0.0, 1.0).view(1, 1, 3, 3)
    means = cuda(0.0, 0.0, 2.0).view(1, 1, 3).requires_grad_()
    images, alphas = call_gsplat(
        means, cuda(1.0, 0.0, 0.0, 0.0).view(1, 1, 4), cuda(0.3, 0.3, 0.3).view(1, 1, 3),
        cuda(0.9).view(1, 1), cuda(1.0, 1.0, 1.0).view(1, 1, 3), eye, Ks, None, None, RasterSettings(8, 8),
    )  # fmt: skip
    if not float(alphas.max()) > 0.5:
        raise RuntimeError("a Gaussian in front of the camera was not drawn")
    images[..., :4, :].sum().backward()
    if means.grad is None or not bool(means.grad.isfinite().all()) or not bool(means.grad.any()):
        raise RuntimeError("the gradient of a Gaussian in front of the camera is missing or not finite")
