"""View-dependent colour: real spherical harmonics up to degree 3, in the order and signs of 3D-GS files."""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.encoding import SH_C0, sh_bases

# Normalisation of the real harmonics: sqrt of (2l + 1)(l - m)! / (4 pi (l + m)!), times sqrt(2) for m != 0.
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Values (..., K) of the K = (degree + 1)^2 real harmonics for unit ``directions`` (..., 3)."""
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis += [C2[0] * x * y, -C2[0] * y * z, C2[1] * (2 * zz - xx - yy), -C2[0] * x * z, C2[2] * (xx - yy)]
    if degree >= 3:
        basis += [
            -C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            -C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            -C3[2] * x * (4 * zz - xx - yy),
            C3[4] * z * (xx - yy),
            -C3[0] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, dim=-1)


def sh_to_rgb(coefficients: Tensor, means: Tensor, viewmats: Tensor, degree: int) -> Tensor:
    """Display colours (B, C, N, 3) of Gaussians as the cameras see them: max(0, 0.5 + sum of SH), as in 3D-GS.

    Args:
        coefficients: (B, N, K, 3) or (B, C, N, K, 3); those above ``degree`` are ignored.
        means: (B, N, 3) world.
        viewmats: (B, C, 4, 4) world-to-camera.
        degree: 0 to 3.
    """
    if coefficients.ndim == 4:
        coefficients = coefficients[:, None]  # (B, 1, N, K, 3)
    coefficients = coefficients[..., : sh_bases(degree), :]
    if degree == 0:
        colors = SH_C0 * coefficients[..., 0, :]
        colors = colors.expand(-1, viewmats.shape[1], -1, -1)
    else:
        positions = torch.linalg.inv(viewmats)[..., None, :3, 3]  # (B, C, 1, 3)
        directions = torch.nn.functional.normalize(means[:, None] - positions, dim=-1)  # (B, C, N, 3)
        colors = torch.einsum("...k,...kd->...d", sh_basis(directions, degree), coefficients)
    return (colors + 0.5).clamp_min(0.0)
