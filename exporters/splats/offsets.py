"""The point of the world to which the coordinates of a scene far from the origin are relative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Offset = tuple[float, float, float]

NO_OFFSET: Offset = (0.0, 0.0, 0.0)


LARGEST_OFFSET = 1e300
"""Bound on the numbers of an offset: that of the metadata of a .hgs."""


def parse_offset(text: str) -> Offset:
    """The offset that a file's comment states as three numbers; none if it states something else."""
    try:
        x, y, z = map(float, text.split())
    except ValueError:
        return NO_OFFSET
    return (x, y, z) if all(abs(value) < LARGEST_OFFSET for value in (x, y, z)) else NO_OFFSET


def offset_of(values: NDArray[np.float64]) -> Offset:
    """Three numbers as an offset, without negative zeros."""
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
