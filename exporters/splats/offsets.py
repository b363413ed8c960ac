"""The point of the world to which the coordinates of a scene far from the origin are relative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Offset = tuple[float, float, float]

NO_OFFSET: Offset = (0.0, 0.0, 0.0)


def offset_of(values: NDArray[np.float64]) -> Offset:
    """Three numbers as an offset, without negative zeros."""
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
