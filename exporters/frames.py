"""The conversion between the two world frames of splat files.

``y_up`` is the toolkit's frame and that of glTF, .spz and USD: x right, y up, z towards the frontal camera (RUB).
``rdf`` is the frame of COLMAP and of the 3D-GS .ply: x right, y down, z forward. Either is the other turned by 180
degrees about x.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import WORLD_FRAMES
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import Frame

Signs = NDArray[np.float32]

FRAMES: tuple[Frame, ...] = get_args(Frame)

SH_AXES = ("", "y", "z", "x", "xy", "yz", "", "xz", "", "y", "xyz", "y", "z", "x", "z", "x")
"""The axes in which each real spherical harmonic up to degree 3 is odd (3D-GS order: m from -l to l)."""


def turn_signs(source: str, target: str, bases: int) -> tuple[Signs, Signs, Signs]:
    """The factors of +-1 that turn means (3,), wxyz quaternions (4,) and SH coefficients (bases,) into ``target``.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    signs = np.array(frame_signs(source, target), np.float32)
    # A half turn D about an axis maps a rotation R to D R; D R D is the same ellipsoid and leaves w as it is.
    return signs, np.concatenate([np.ones(1, np.float32), signs]), sh_signs(signs, bases)


def frame_signs(source: str, target: str) -> list[float]:
    """The factors of +-1 by which x, y and z of the frame ``source`` become those of ``target``.

    Raises:
        FormatError: if a frame is not one of FRAMES.
    """
    for frame in (source, target):
        if frame not in FRAMES:
            raise FormatError(f"unknown frame '{frame}'; expected one of: {', '.join(FRAMES)}")
    signs: list[float] = (np.array(WORLD_FRAMES[target]) @ np.array(WORLD_FRAMES[source]).T).diagonal().tolist()
    return signs


def sh_signs(signs: Signs, bases: int) -> Signs:
    """The factors (bases,) of SH coefficients when the axes x, y, z are multiplied by ``signs`` (3,) of +-1."""
    sign = dict(zip("xyz", signs.tolist(), strict=True))
    return np.array([np.prod([sign[axis] for axis in axes]) for axes in SH_AXES[:bases]], np.float32)
