"""A view's camera as JSON, in every convention that readers expect."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.cameras import Cameras, convert_camera_axes, invert_rigid
from hgs_toolkit.synthesis.views import PlannedView


def describe_camera(view: PlannedView, size: int) -> dict[str, Any]:
    """The camera of a view of ``size`` x ``size`` pixels.

    Matrices are 4 x 4, row by row; intrinsics are in pixels, whose centres are at +0.5.
    """
    camera = Cameras.from_labels(torch.from_numpy(view.label.astype(np.float64)))
    K = camera.pixel_intrinsics(size, size)
    return {
        "eg3d_label": shortest(view.label),
        "cam_to_world_opencv": shortest(camera.cam_to_world.numpy()),
        "cam_to_world_opengl": shortest(convert_camera_axes(camera.cam_to_world, "opencv", "opengl").numpy()),
        "world_to_cam_opencv": shortest(invert_rigid(camera.cam_to_world).numpy()),
        "fx": float(K[0, 0]), "fy": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2]),
        "width": size, "height": size,
    }  # fmt: skip


def shortest(values: NDArray[np.floating]) -> Any:
    """Nested lists of the shortest decimals that give the same float32 numbers again; -0 becomes 0."""
    if values.ndim:
        return [shortest(value) for value in values]
    return float(str(np.float32(values) + np.float32(0)))
