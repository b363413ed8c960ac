"""The way from the axes that an .spz declares to ``y_up``, and the extension that declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.parsing.spz_axes import AXES, EXTENSION, RECORD

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

DIRECTIONS = {
    "L": (-1, 0, 0), "R": (1, 0, 0), "D": (0, -1, 0), "U": (0, 1, 0), "F": (0, 0, -1), "B": (0, 0, 1),
}  # fmt: skip
"""Directions left, right, down, up, front and back in the ``y_up`` frame."""

FRAME = "y_up"
"""Frame of a file that declares no axes."""

FRAMES = {"RUB": "y_up", "RDF": "rdf"}
"""Axes that are a frame of the toolkit."""


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
    import torch  # the usual axes do without

    from hgs_toolkit.encoding import rotmats_to_quats
    from hgs_toolkit.exporters.splats.transform import multiply_quats, turn_harmonics

    matrix = torch.from_numpy(axes_matrix(axes))
    turn = matrix * torch.linalg.det(matrix).round()
    return scene.replace(
        means=(scene.means.double() @ matrix.T).float(),
        quats=multiply_quats(rotmats_to_quats(turn).float(), scene.quats),
        sh=turn_harmonics(scene.sh, matrix),
        check_finite=False,
    )
