"""Gaussians moved, turned and resized by a matrix, as the nodes of a scene file place them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import rotmats_to_quats, sh_bases, sh_degree
from hgs_toolkit.errors import FormatError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.harmonics import sh_basis

TOLERANCE = 1e-4
"""Relative deviation from a turn and a scale, beyond which a matrix is refused: more than float32 rounding."""


def place(scene: GaussianHierarchy, matrix: NDArray[np.float64]) -> GaussianHierarchy:
    """``scene`` with its coordinates mapped by ``matrix`` (4, 4): a turn, one positive scale and a shift.

    Raises:
        FormatError: if the matrix mirrors, shears or stretches.
    """
    if np.array_equal(matrix, np.eye(4)):
        return scene
    linear = torch.from_numpy(np.ascontiguousarray(matrix[:3, :3], np.float64))
    determinant = float(torch.linalg.det(linear))
    scale = math.cbrt(determinant)
    if not scale > 0 or not torch.allclose(linear @ linear.T / scale**2, torch.eye(3).double(), atol=TOLERANCE):
        raise FormatError("a node mirrors or stretches its Gaussians; expected a turn, one scale and a shift")
    turn = linear / scale
    shift = torch.from_numpy(np.ascontiguousarray(matrix[:3, 3], np.float64))
    quat = rotmats_to_quats(turn).float()
    return scene.replace(
        means=(scene.means.double() @ linear.T + shift).float(),
        log_scales=scene.log_scales + math.log(scale),
        quats=multiply_quats(quat, scene.quats),
        sh=turn_harmonics(scene.sh, turn),
        check_finite=False,
    )


def turn_harmonics(sh: Tensor, turn: Tensor) -> Tensor:
    """Coefficients (..., K, 3) of the same colours seen from the world turned by ``turn`` (3, 3).

    Each degree is a space of its own that turns map to itself, so the map follows from what its functions are in as
    many directions as it has dimensions, here more for good measure.
    """
    degree = sh_degree(sh.shape[-2])
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(64, 3, generator=generator, dtype=torch.float64)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    # The colour towards d is now what it was towards the direction that the turn maps to d.
    after, before = sh_basis(directions, degree), sh_basis(directions @ turn, degree)  # (64, K)
    turned = sh.clone()
    for l_ in range(1, degree + 1):
        part = slice(sh_bases(l_ - 1), sh_bases(l_))
        blend = torch.linalg.lstsq(after[:, part], before[:, part]).solution  # (2l + 1, 2l + 1)
        turned[..., part, :] = blend.to(sh.dtype) @ sh[..., part, :]
    return turned


def multiply_quats(a: Tensor, b: Tensor) -> Tensor:
    """Products (..., 4) wxyz of quaternions: the rotation ``b`` followed by ``a``."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )
