"""Stored <-> activated parameters of a Gaussian: the only place that converts between the two.

Stored is what networks emit and 3D-GS files hold (natural-log scales, logit opacities, SH coefficients);
activated is what a renderer needs (standard deviations, opacities in 0..1, display RGB).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.conventions import MAX_OPACITY_LOGIT as MAX_OPACITY_LOGIT
from hgs_toolkit.conventions import USUAL_LENGTHS
from hgs_toolkit.conventions import sh_bases as sh_bases
from hgs_toolkit.conventions import sh_degree as sh_degree
from hgs_toolkit.parsing.stored import SH_C0 as SH_C0


def dc_to_rgb(dc: Tensor) -> Tensor:
    """SH degree-0 coefficient to display RGB, unclamped: rgb = 0.5 + C0 * dc."""
    return 0.5 + SH_C0 * dc


def rgb_to_dc(rgb: Tensor) -> Tensor:
    """Display RGB to the SH degree-0 coefficient; inverse of :func:`dc_to_rgb`."""
    return (rgb - 0.5) / SH_C0


def bound_dc(dc: Tensor) -> Tensor:
    """SH degree-0 coefficients of any size, squashed so that their colours lie in 0..1.

    rgb = (1 + tanh(2 C0 dc)) / 2: the same as unbounded near grey.
    """
    return torch.tanh(2 * SH_C0 * dc) * (0.5 / SH_C0)


def unbound_dc(dc: Tensor) -> Tensor:
    """Inverse of :func:`bound_dc`; black and white, which it reaches in no finite number, stay finite."""
    nearly = 1 - torch.finfo(dc.dtype).eps
    return torch.atanh((2 * SH_C0 * dc).clamp(-nearly, nearly)) / (2 * SH_C0)


def logits_to_opacities(logits: Tensor) -> Tensor:
    """Stored opacity logits to opacities in 0..1."""
    return torch.sigmoid(logits)


def opacities_to_logits(opacities: Tensor) -> Tensor:
    """Opacities in 0..1 to stored logits, bounded by +-:data:`MAX_OPACITY_LOGIT` so that 0 and 1 stay finite."""
    return torch.logit(opacities).clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)


def log_scales_to_scales(log_scales: Tensor) -> Tensor:
    """Stored natural-log standard deviations to standard deviations in world units."""
    return log_scales.exp()


def scales_to_log_scales(scales: Tensor) -> Tensor:
    """Standard deviations in world units to stored logs; zeros become the smallest normal float, not -inf."""
    return scales.clamp_min(torch.finfo(scales.dtype).tiny).log()


def normalize_quats(quats: Tensor) -> Tensor:
    """Quaternions (..., 4) wxyz scaled to unit length; a zero quaternion becomes the identity rotation."""
    tiny, (shortest, longest) = torch.finfo(quats.dtype).tiny, USUAL_LENGTHS
    largest = quats.detach().abs().amax(dim=-1, keepdim=True)
    usual = (largest > shortest) & (largest < longest)
    quats = torch.where(usual, quats, quats / largest.clamp_min(tiny))
    norm = quats.norm(dim=-1, keepdim=True)
    identity = quats.new_tensor([1.0, 0.0, 0.0, 0.0])
    return torch.where(norm > 0, quats / norm.clamp_min(tiny), identity)


def quats_to_rotmats(quats: Tensor) -> Tensor:
    """Quaternions (..., 4) wxyz, of any length, to rotation matrices (..., 3, 3).

    Differentiable; written with 2/|q|^2 in place of a normalisation, so that no square root is taken.
    """
    w, x, y, z = quats.unbind(-1)
    s = 2.0 / (quats * quats).sum(-1).clamp_min(torch.finfo(quats.dtype).tiny)
    rows = (
        1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
        s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),
        s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*quats.shape[:-1], 3, 3)


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """Covariances (..., 3, 3) of Gaussians: quaternions (..., 4) wxyz of any length, standard deviations (..., 3)."""
    axes = quats_to_rotmats(quats) * scales[..., None, :]  # columns: the axes, as long as the deviations
    return axes @ axes.mT


def rotmats_to_quats(rotmats: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) wxyz; inverse of :func:`quats_to_rotmats` up to sign.

    The rows of 4 q q^T are sums of the matrix's elements; the one with the largest diagonal is taken, which is
    accurate for every rotation.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotmats.unbind(-2))
    outer = torch.stack([
        1 + a + e + i, h - f, c - g, d - b,
        h - f, 1 + a - e - i, b + d, c + g,
        c - g, b + d, 1 - a + e - i, f + h,
        d - b, c + g, f + h, 1 - a - e + i,
    ], dim=-1).unflatten(-1, (4, 4))  # fmt: skip
    largest = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*rotmats.shape[:-2], 1, 4)
    return normalize_quats(outer.gather(-2, largest).squeeze(-2))
