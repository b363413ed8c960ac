"""The order of points along a Morton curve, in which neighbours in the list are neighbours in space.

Packed formats use it because it makes their images compress better and the bounds of their chunks tighter.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.exporters.splats.stored import Floats

Real = TypeVar("Real", np.float32, np.float64)

BITS = 21
"""Bits of each axis; those of three axes fill 63."""


def morton_order(means: Floats) -> NDArray[np.intp]:
    """The indices (N,) that sort points (N, 3) along the curve; equal points keep their order."""
    low, high = bounds_of(means)
    extent = high - low
    scale = np.where(extent > 0, (2**BITS - 1) / np.where(extent > 0, extent, 1), 0)
    code = np.zeros(len(means), np.uint64)
    for start in range(0, len(means), BLOCK):
        block = means[start : start + BLOCK]
        for axis in range(3):
            cell = ((block[:, axis] - low[axis]) * scale[axis]).astype(np.uint64)
            code[start : start + BLOCK] |= _spread(cell) << np.uint64(axis)
    order = np.argsort(code)
    ordered = code[order]
    # A stable order takes NumPy twice as long, and differs only where points share a cell.
    return np.argsort(code, kind="stable") if bool((ordered[1:] == ordered[:-1]).any()) else order


def bounds_of(points: NDArray[Real]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest coordinates, each (D,), of points (N, D); infinite if there are none.

    Columns one by one take an eighth of NumPy's time for all of them.
    """
    low = [column.min(initial=np.inf) for column in points.T]
    high = [column.max(initial=-np.inf) for column in points.T]
    return np.array(low, np.float64), np.array(high, np.float64)


def _spread(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``value`` with each bit i of its 21 moved to bit 3 i, in five steps of which each halves the distance."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value
