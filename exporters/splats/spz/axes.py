"""The axes that an .spz declares in its extension SPZ_ADOBE_coordinate_system, and the way from them to ``y_up``.

Extensions are records of type, length and content. They follow the header in version 4, and the planes before it. The
content of this one is a number: an entry of AXES, whose letters name the directions of x, y and z.
"""

from __future__ import annotations

import struct

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import rotmats_to_quats
from hgs_toolkit.exporters.splats.transform import multiply_quats, turn_harmonics
from hgs_toolkit.gaussians import GaussianHierarchy

EXTENSION = 0xADBE0003
"""Type of the extension: the vendor Adobe in the upper half, its third extension in the lower."""

RECORD = struct.Struct("<II")
"""Type and length of an extension."""

AXES = (
    "", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF", "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU",
)  # fmt: skip
"""Names of the axes by their number (enum CoordinateSystem of Niantic's library); 0 leaves them to convention."""

DIRECTIONS = {
    "L": (-1, 0, 0), "R": (1, 0, 0), "D": (0, -1, 0), "U": (0, 1, 0), "F": (0, 0, -1), "B": (0, 0, 1),
}  # fmt: skip
"""Directions left, right, down, up, front and back in the ``y_up`` frame."""

FRAMES = {"RUB": "y_up", "RDF": "rdf"}
"""Axes that are a frame of the toolkit."""


def declared_axes(extensions: bytes) -> str:
    """The name of the axes that the records of ``extensions`` declare; empty if they declare none that is known."""
    position = 0
    while position + RECORD.size <= len(extensions):
        kind, length = RECORD.unpack_from(extensions, position)
        position += RECORD.size
        content = extensions[position : position + length]
        if kind == EXTENSION and len(content) == length == 4:
            number = int.from_bytes(content, "little")
            return AXES[number] if number < len(AXES) else ""
        position += length
    return ""


def axes_record(frame: str) -> bytes:
    """The extension that declares the axes of ``frame``."""
    (name,) = (axes for axes, known in FRAMES.items() if known == frame)
    return RECORD.pack(EXTENSION, 4) + AXES.index(name).to_bytes(4, "little")


def axes_matrix(axes: str) -> NDArray[np.float64]:
    """The matrix (3, 3) from coordinates along ``axes`` to ``y_up``; it mirrors if the axes are left-handed."""
    return np.array([DIRECTIONS[letter] for letter in axes], np.float64).T


def from_axes(scene: GaussianHierarchy, axes: str) -> GaussianHierarchy:
    """``scene``, whose coordinates are along ``axes``, in the ``y_up`` frame.

    A mirror image of an ellipsoid is an ellipsoid that is turned otherwise: -M R is a rotation if M mirrors, and gives
    the same covariance as M R.
    """
    matrix = torch.from_numpy(axes_matrix(axes))
    turn = matrix * torch.linalg.det(matrix).round()
    return scene.replace(
        means=(scene.means.double() @ matrix.T).float(),
        quats=multiply_quats(rotmats_to_quats(turn).float(), scene.quats),
        sh=turn_harmonics(scene.sh, matrix),
        check_finite=False,
    )
