"""Gaussians in another world frame, or transformed by a matrix as nodes of a .glb or prims of a USD stage are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import rotmats_to_quats, sh_bases, sh_degree
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import turn_signs
from hgs_toolkit.exporters.splats.reading import Offset, offset_of, tell_offset
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing.distance import far_offset
from hgs_toolkit.rendering.harmonics import sh_basis

Matrix = NDArray[np.float64]

TOLERANCE = 1e-4
"""Relative deviation from a rotation times a scale at which a matrix is refused; float32 rounding stays below it."""


def convert_frame(scene: GaussianHierarchy, source: str, target: str) -> GaussianHierarchy:
    """``scene`` and its anchors, whose coordinates are in the frame ``source``, expressed in ``target``; exact.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    signs = turn_signs(source, target, scene.sh.shape[2])
    if source == target:
        return scene
    means, quats, sh = (torch.from_numpy(sign).to(scene.means) for sign in signs)
    return scene.replace(
        means=scene.means * means, quats=scene.quats * quats, sh=scene.sh * sh[:, None],
        anchors=None if scene.anchors is None else convert_frame(scene.anchors, source, target),
    )  # fmt: skip


def transform_scene(scene: GaussianHierarchy, matrix: Matrix) -> GaussianHierarchy:
    """``scene`` with its coordinates mapped by ``matrix`` (4, 4): a rotation, one positive scale and a translation.

    Raises:
        FormatError: if the matrix mirrors, shears or stretches.
    """
    if np.array_equal(matrix, np.eye(4)):
        return scene
    linear = torch.from_numpy(np.ascontiguousarray(matrix[:3, :3], np.float64))
    determinant = float(torch.linalg.det(linear))
    scale = math.cbrt(determinant)
    if not scale > 0 or not torch.allclose(linear @ linear.T / scale**2, torch.eye(3).double(), atol=TOLERANCE):
        raise FormatError("a node mirrors or stretches its Gaussians; expected a rotation, one scale, a translation")
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


def transform_scenes(
    path: Path, parts: list[tuple[GaussianHierarchy, Matrix]]
) -> tuple[list[GaussianHierarchy], Offset]:
    """Each scene of a file with its coordinates mapped by its matrix, and the offset that was subtracted from them all.

    The offset is found in double precision, before the coordinates become float32.

    Raises:
        FormatError: if a matrix mirrors, shears or stretches.
    """
    sizes = np.concatenate([scene.log_scales[0].numpy() for scene, _ in parts])
    with np.errstate(all="ignore"):  # values that are not finite are counted later
        centres = [scene.means[0].numpy() @ matrix[:3, :3].T + matrix[:3, 3] for scene, matrix in parts]
        shift = far_offset(np.concatenate(centres), sizes)
    if shift.any():
        tell_offset(path, shift)
    moved = np.eye(4)
    moved[:3, 3] = -shift
    return [transform_scene(scene, moved @ matrix) for scene, matrix in parts], offset_of(shift)


def turn_harmonics(sh: Tensor, turn: Tensor) -> Tensor:
    """The coefficients (..., K, 3) of the same colours after the world was rotated by ``turn`` (3, 3).

    A rotation maps the functions of one degree to combinations of themselves. The combination follows from the values
    of the functions in at least as many directions as the degree has functions; more directions lower the rounding.
    """
    degree = sh_degree(sh.shape[-2])
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(64, 3, generator=generator, dtype=torch.float64)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    # The colour towards d is now what it was towards the direction that the rotation maps to d.
    after, before = sh_basis(directions, degree), sh_basis(directions @ turn, degree)  # (64, K)
    turned = sh.clone()
    for l_ in range(1, degree + 1):
        part = slice(sh_bases(l_ - 1), sh_bases(l_))
        blend = torch.linalg.lstsq(after[:, part], before[:, part]).solution  # (2l + 1, 2l + 1)
        turned[..., part, :] = blend.to(sh.dtype) @ sh[..., part, :]
    return turned


def multiply_quats(a: Tensor, b: Tensor) -> Tensor:
    """The products (..., 4) of wxyz quaternions: the rotation ``b``, then the rotation ``a``."""
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
