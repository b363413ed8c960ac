"""The conversion between the two world frames of splat files.

``y_up`` is the toolkit's frame and that of glTF, .spz and USD: x right, y up, z towards the frontal camera (RUB).
``rdf`` is the frame of COLMAP and of the 3D-GS .ply: x right, y down, z forward. Either is the other turned by 180
degrees about x.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from hgs_toolkit.cameras import world_rotation
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import Frame
from hgs_toolkit.gaussians import GaussianHierarchy

FRAMES: tuple[Frame, ...] = get_args(Frame)

SH_AXES = ("", "y", "z", "x", "xy", "yz", "", "xz", "", "y", "xyz", "y", "z", "x", "z", "x")
"""The axes in which each real spherical harmonic up to degree 3 is odd (3D-GS order: m from -l to l)."""


def convert_frame(scene: GaussianHierarchy, source: str, target: str) -> GaussianHierarchy:
    """``scene`` and its anchors, whose coordinates are in the frame ``source``, expressed in ``target``; exact.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    turn = turn_signs(source, target, scene.sh.shape[2])
    if source == target:
        return scene
    means, quats, sh = (sign.to(scene.means) for sign in turn)
    return scene.replace(
        means=scene.means * means, quats=scene.quats * quats, sh=scene.sh * sh[:, None],
        anchors=None if scene.anchors is None else convert_frame(scene.anchors, source, target),
    )  # fmt: skip


def turn_signs(source: str, target: str, bases: int) -> tuple[Tensor, Tensor, Tensor]:
    """The factors of +-1 that turn means (3,), wxyz quaternions (4,) and SH coefficients (bases,) into ``target``.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    signs = torch.tensor(frame_signs(source, target))
    # A half turn D about an axis maps a rotation R to D R; D R D is the same ellipsoid and leaves w as it is.
    return signs, torch.cat([signs.new_ones(1), signs]), sh_signs(signs, bases)


def frame_signs(source: str, target: str) -> list[float]:
    """The factors of +-1 by which x, y and z of the frame ``source`` become those of ``target``.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    for frame in (source, target):
        if frame not in FRAMES:
            raise FormatError(f"unknown frame '{frame}'; expected one of: {', '.join(FRAMES)}")
    signs: list[float] = world_rotation(source, target).diagonal().tolist()
    return signs


def sh_signs(signs: Tensor, bases: int) -> Tensor:
    """The factors (bases,) of SH coefficients when the axes x, y, z are multiplied by ``signs`` (3,) of +-1."""
    sign = dict(zip("xyz", signs, strict=True))
    return torch.stack([torch.stack([signs.new_ones(()), *(sign[a] for a in axes)]).prod() for axes in SH_AXES[:bases]])
