"""The definition of our rendering, written to be read: dense, in float32 or float64, differentiable to every input.

The other backends compute the same numbers faster; this file decides what is right. It follows 3D Gaussian
Splatting (Kerbl et al. 2023) with the conventions of gsplat's kernels (the pages ``rendering`` of the documentation).
Letters: B scenes, C cameras, N Gaussians, P pixels, D channels. Everything here is activated, not stored.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.rendering.settings import (
    FRUSTUM_MARGIN,
    MAX_ALPHA,
    MAX_EXTENT,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    RasterSettings,
)

CHUNK_ELEMENTS = 1 << 22
"""Number of (pixel, Gaussian) pairs held at a time; memory grows with it, results do not depend on it."""


class Projected(NamedTuple):
    """Gaussians as seen by the cameras; invisible ones have opacity 0."""

    means2d: Tensor  # (B, C, N, 2) pixels
    conics: Tensor  # (B, C, N, 3) inverse covariance: xx, xy, yy
    opacities: Tensor  # (B, C, N)
    depths: Tensor  # (B, C, N) z in the camera


def render(
    means: Tensor,  # (B, N, 3)
    quats: Tensor,  # (B, N, 4)
    scales: Tensor,  # (B, N, 3)
    opacities: Tensor,  # (B, N)
    colors: Tensor,  # (B, N, D) or (B, C, N, D)
    viewmats: Tensor,  # (B, C, 4, 4)
    Ks: Tensor,  # (B, C, 3, 3)
    backgrounds: Tensor | None,  # (B, C, D)
    settings: RasterSettings,
) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W, D), or D + 1 channels with depth (accumulated, not divided), and alphas (B, C, H, W, 1)."""
    batch, cameras = viewmats.shape[:2]
    _refuse_non_finite(means, quats, scales, opacities)
    splats = project(means, quats, scales, opacities, viewmats, Ks, settings)
    if colors.ndim == 3:
        colors = colors[:, None].expand(-1, cameras, -1, -1)
    if backgrounds is None:
        backgrounds = colors.new_zeros(batch, cameras, colors.shape[-1])
    if settings.with_depth:
        colors = torch.cat([colors, splats.depths[..., None]], dim=-1)
        backgrounds = torch.nn.functional.pad(backgrounds, (0, 1))

    pixels = pixel_centres(settings.width, settings.height).to(means)  # (P, 2)
    parts = [
        _composite_chunked(Projected(*(value[b, c] for value in splats)), colors[b, c], backgrounds[b, c], pixels)
        for b in range(batch)
        for c in range(cameras)
    ]
    images, alphas = (torch.stack(values) for values in zip(*parts, strict=True))  # (B * C, P, D), (B * C, P, 1)
    size = (settings.height, settings.width)
    return (
        images.unflatten(0, (batch, cameras)).unflatten(2, size),
        alphas.unflatten(0, (batch, cameras)).unflatten(2, size),
    )


def project(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, viewmats: Tensor, Ks: Tensor,
    settings: RasterSettings,
) -> Projected:  # fmt: skip
    """Perspective projection by the local affine approximation (EWA splatting, Zwicker et al. 2001, eq. 29)."""
    W = viewmats[..., :3, :3]  # (B, C, 3, 3)
    points = torch.einsum("bcij,bnj->bcni", W, means) + viewmats[..., None, :3, 3]  # (B, C, N, 3)
    depths = points[..., 2]
    in_range = (depths >= settings.near_plane) & (depths <= settings.far_plane)
    # Points that are culled anyway are moved away from z = 0, where their (unused) gradients would be infinite.
    x, y, z = torch.where(in_range[..., None], points, torch.ones_like(points)).unbind(-1)

    fx, fy, cx, cy = (Ks[..., i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))  # (B, C, 1)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)

    ratio_x = _clamp_to_frustum(x / z, fx, cx, settings.width)
    ratio_y = _clamp_to_frustum(y / z, fy, cy, settings.height)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * ratio_x / z, zero, fy / z, -fy * ratio_y / z], dim=-1).unflatten(-1, (2, 3))

    M = quats_to_rotmats(quats) * scales[..., None, :]  # (B, N, 3, 3)
    half = J @ W[:, :, None] @ M[:, None]  # (B, C, N, 2, 3)
    cov = half @ half.mT
    cov_xx, cov_xy, cov_yy = cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 1]
    det = cov_xx * cov_yy - cov_xy * cov_xy
    cov_xx, cov_yy = cov_xx + settings.eps2d, cov_yy + settings.eps2d
    blurred_det = cov_xx * cov_yy - cov_xy * cov_xy
    positive = blurred_det > 0
    blurred_det = torch.where(positive, blurred_det, torch.ones_like(det))
    conics = torch.stack([cov_yy, -cov_xy, cov_xx], dim=-1) / blurred_det[..., None]

    opacities = opacities[:, None].expand_as(depths)
    if settings.antialiased:
        opacities = opacities * _safe_sqrt(det / blurred_det)
    visible = in_range & positive & (opacities >= MIN_ALPHA) & _is_large(cov_xx, cov_yy, opacities, settings)
    return Projected(means2d, conics, torch.where(visible, opacities, zero), depths)


def composite(
    splats: Projected,  # of one image: (N, ...)
    colors: Tensor,  # (N, D)
    background: Tensor,  # (D,)
    pixels: Tensor,  # (P, 2)
) -> tuple[Tensor, Tensor]:
    """Front-to-back alpha compositing: colours (P, D) and accumulated alphas (P, 1)."""
    # gsplat sorts by the bits of the 32-bit depth and keeps the order of Gaussians at equal depth.
    order = splats.depths.float().argsort(stable=True)
    means2d, conics, opacities = splats.means2d[order], splats.conics[order], splats.opacities[order]

    dx, dy = (pixels[:, None] - means2d).unbind(-1)  # (P, N)
    xx, xy, yy = conics.unbind(-1)
    sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (opacities * torch.exp(-sigma)).clamp(max=MAX_ALPHA)
    alpha = torch.where((sigma >= 0) & (alpha >= MIN_ALPHA), alpha, torch.zeros_like(alpha))

    reached = torch.cumprod(1 - alpha.detach(), dim=1) > MIN_TRANSMITTANCE
    alpha = torch.where(reached, alpha, torch.zeros_like(alpha))
    behind = torch.cumprod(torch.nn.functional.pad(1 - alpha, (1, 0), value=1.0), dim=1)  # (P, N + 1)
    transmittance, final = behind[:, :-1], behind[:, -1:]
    return (alpha * transmittance) @ colors[order] + final * background, 1 - final


def pixel_centres(width: int, height: int) -> Tensor:
    """Pixel centres (H * W, 2) as x, y; the upper left pixel's is (0.5, 0.5)."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def _composite_chunked(splats: Projected, colors: Tensor, background: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`composite` a few pixels at a time, recomputed in the backward pass in place of being stored."""
    size = max(1, CHUNK_ELEMENTS // max(1, colors.shape[0]))
    parts = [
        checkpoint(composite, splats, colors, background, part, use_reentrant=False, preserve_rng_state=False)
        for part in pixels.split(size)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _refuse_non_finite(*gaussians: Tensor) -> None:
    usable = torch.ones_like(gaussians[0][..., 0], dtype=torch.bool)  # (B, N)
    for value in gaussians:
        usable &= value.isfinite().all(-1) if value.ndim == 3 else value.isfinite()
    if not bool(usable.all()):
        raise ShapeError(f"{int((~usable).sum())} Gaussians hold NaN or infinite values; expected finite numbers only")


def _clamp_to_frustum(ratio: Tensor, focal: Tensor, centre: Tensor, size: int) -> Tensor:
    """x / z (or y / z) kept within the image and a margin around it; the Jacobian explodes further out."""
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    return ratio.clamp(min=-(centre / focal + margin), max=(size - centre) / focal + margin)


def _safe_sqrt(value: Tensor) -> Tensor:
    """Square root with value and gradient 0 where ``value`` is not positive."""
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, torch.ones_like(value)).sqrt(), torch.zeros_like(value))


@torch.no_grad()
def _is_large(cov_xx: Tensor, cov_yy: Tensor, opacities: Tensor, settings: RasterSettings) -> Tensor:
    """Whether the box of the ellipse {alpha >= 1/255} is wider or higher than ``radius_clip`` (its half size)."""
    extent = (2 * (opacities / MIN_ALPHA).clamp_min(1).log()).sqrt().clamp_max(MAX_EXTENT)
    radius_x, radius_y = (extent * cov_xx.sqrt()).ceil(), (extent * cov_yy.sqrt()).ceil()
    return (radius_x > settings.radius_clip) | (radius_y > settings.radius_clip)
