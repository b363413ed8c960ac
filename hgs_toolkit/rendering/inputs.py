"""Checking what :func:`hgs_toolkit.rendering.rasterize` is given, before anything is allocated."""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.encoding import sh_bases
from hgs_toolkit.errors import ShapeError


def check_inputs(
    gaussians: dict[str, Tensor],
    colors: Tensor,
    features: Tensor | None,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    sh_degree: int | None,
) -> None:
    """Raise :class:`ShapeError` unless shapes, types and devices fit.

    Args:
        gaussians: ``means``, ``quats``, ``scales`` and ``opacities``.
        colors: see ``rasterize``, as the others.
    """
    means = gaussians["means"]
    if means.ndim != 3 or viewmats.ndim != 4:
        raise ShapeError(
            f"means is {tuple(means.shape)} and viewmats {tuple(viewmats.shape)}; expected (B, N, 3) and (B, C, 4, 4)"
        )
    if means.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"means is {means.dtype}; expected torch.float32 (or torch.float64): convert with .float()")
    batch, count, cameras = means.shape[0], means.shape[1], viewmats.shape[1]
    if batch == 0 or cameras == 0:
        raise ShapeError(f"{batch} scenes and {cameras} cameras; expected at least one of each")
    lasts = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": ()}
    for name, value in gaussians.items():
        _expect(name, value, (batch, count, *lasts[name]))
    _expect("viewmats", viewmats, (batch, cameras, 4, 4))
    _expect("Ks", Ks, (batch, cameras, 3, 3))
    channels = _check_colors(colors, (batch, cameras, count), sh_degree)
    if features is not None:
        _check_values("features", features, (batch, cameras, count))
    if backgrounds is not None:
        _expect("backgrounds", backgrounds, (batch, cameras, channels))

    others = {"colors": colors, "features": features, "viewmats": viewmats, "Ks": Ks, "backgrounds": backgrounds}
    for name, other in others.items():
        if other is not None and (other.dtype != means.dtype or other.device != means.device):
            _mismatch(name, other, means)
    for name, value in gaussians.items():
        if value.dtype != means.dtype or value.device != means.device:
            _mismatch(name, value, means)


def _expect(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise ShapeError(f"{name} is {tuple(value.shape)}; expected {shape}")


def _check_values(name: str, values: Tensor, sizes: tuple[int, int, int], hint: str = "") -> None:
    batch, cameras, count = sizes
    if tuple(values.shape[:-1]) not in ((batch, count), (batch, cameras, count)) or values.shape[-1] < 1:
        raise ShapeError(
            f"{name} is {tuple(values.shape)}; expected ({batch}, {count}, D) or ({batch}, {cameras}, {count}, D){hint}"
        )


def _check_colors(colors: Tensor, sizes: tuple[int, int, int], sh_degree: int | None) -> int:
    """The number of channels of the rendered colour."""
    batch, cameras, count = sizes
    if sh_degree is None:
        _check_values("colors", colors, sizes, "; spherical harmonics need sh_degree")
        return colors.shape[-1]
    if not 0 <= sh_degree <= 3:
        raise ShapeError(f"sh_degree is {sh_degree}; expected 0 to 3")
    bases = sh_bases(sh_degree)
    leads = ((batch, count), (batch, cameras, count))
    if tuple(colors.shape[:-2]) not in leads or colors.shape[-1] != 3 or colors.shape[-2] < bases:
        raise ShapeError(
            f"colors is {tuple(colors.shape)}; expected ({batch}, {count}, K, 3) or ({batch}, {cameras}, {count}, K, 3)"
            f" with K >= {bases} for sh_degree {sh_degree}"
        )
    return 3


def _mismatch(name: str, value: Tensor, means: Tensor) -> None:
    raise ShapeError(
        f"{name} is {value.dtype} on {value.device} but means is {means.dtype} on {means.device}; "
        "expected one type and one device"
    )
