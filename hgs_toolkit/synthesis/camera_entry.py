"""A view's camera as JSON, in every convention that readers expect."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.cameras import CAMERA_AXES
from hgs_toolkit.synthesis.views import PlannedView


def describe_camera(view: PlannedView, size: int) -> dict[str, Any]:
    """The camera of a view of ``size`` x ``size`` pixels.

    Matrices are 4 x 4, row by row; intrinsics are in pixels, whose centres are at +0.5.
    """
    matrix, K = (
        view.label[:16].astype(np.float64).reshape(4, 4),
        view.label[16:].astype(np.float64).reshape(3, 3) * size,
    )
    inverse = np.eye(4)
    inverse[:3, :3], inverse[:3, 3] = matrix[:3, :3].T, -matrix[:3, :3].T @ matrix[:3, 3]
    return {
        "eg3d_label": shortest(view.label),
        "cam_to_world_opencv": shortest(matrix),
        "cam_to_world_opengl": shortest(matrix * [*CAMERA_AXES["opengl"], 1.0]),
        "world_to_cam_opencv": shortest(inverse),
        "fx": float(K[0, 0]), "fy": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2]),
        "width": size, "height": size,
    }  # fmt: skip


def shortest(values: NDArray[np.floating]) -> Any:
    """Nested lists of the shortest decimals that give the same float32 numbers again; -0 becomes 0."""
    positive_zero = values.astype(np.float32) + np.float32(0)
    return np.reshape([float(str(value)) for value in positive_zero.ravel()], values.shape).tolist()
