"""Which ellipsoid each ray meets first, on the CPU: the fast twin of ``ellipsoids._nearest_in_torch``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.rendering.cpu.jit import cached
from hgs_toolkit.rendering.cpu.workers import run

NOTHING = -1
"""Index of a ray that meets no ellipsoid."""


def find_nearest(
    to_ball: NDArray[np.float32], origin: NDArray[np.float32], boxes: NDArray[np.int64],
    lens: tuple[float, float, float, float], width: int, height: int,
) -> NDArray[np.int64]:  # fmt: skip
    """The index (H, W) of the ellipsoid that each pixel's ray meets first, or :data:`NOTHING`.

    Args:
        to_ball: (E, 3, 3) maps camera coordinates to those in which the ellipsoid is a unit ball.
        origin: (E, 3) the camera in these coordinates.
        boxes: (E, 4) first column, first row, width and height of the pixels that may see it, within the image.
        lens: focal lengths in x and y, then the centre, pixels.
        width, height: size of the image, pixels.
    """
    index = np.full((height, width), NOTHING, np.int64)
    run(_scan, to_ball, origin, boxes, np.array(lens), np.full((height, width), np.inf), index)
    return index


def _scan_rows(
    worker: int, workers: int, to_ball: Any, origin: Any, boxes: Any, lens: Any, depths: Any, index: Any
) -> None:
    """A worker's share of the rows; of equally near ellipsoids the first one is kept, so that shares change nothing."""
    height = depths.shape[0]
    first, last = height * worker // workers, height * (worker + 1) // workers
    fx, fy, cx, cy = lens
    for e in range(len(boxes)):
        left, top = boxes[e, 0], max(boxes[e, 1], first)
        right, bottom = left + boxes[e, 2], min(boxes[e, 1] + boxes[e, 3], last)
        ox, oy, oz = np.float64(origin[e, 0]), np.float64(origin[e, 1]), np.float64(origin[e, 2])
        for row in range(top, bottom):
            y = (row + 0.5 - cy) / fy
            bx = to_ball[e, 0, 1] * y + to_ball[e, 0, 2]
            by = to_ball[e, 1, 1] * y + to_ball[e, 1, 2]
            bz = to_ball[e, 2, 1] * y + to_ball[e, 2, 2]
            for column in range(left, right):
                x = (column + 0.5 - cx) / fx
                dx, dy, dz = to_ball[e, 0, 0] * x + bx, to_ball[e, 1, 0] * x + by, to_ball[e, 2, 0] * x + bz
                squared = dx * dx + dy * dy + dz * dz
                middle = -(ox * dx + oy * dy + oz * dz) / squared
                px, py, pz = ox + middle * dx, oy + middle * dy, oz + middle * dz
                inside = 1.0 - (px * px + py * py + pz * pz)
                if inside >= 0.0:
                    depth = middle - math.sqrt(inside / squared)
                    if depth < depths[row, column]:
                        depths[row, column] = depth
                        index[row, column] = e


_scan = cached(_scan_rows)
