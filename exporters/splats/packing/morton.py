"""The order of points along a Morton curve, in which neighbours in the list are neighbours in space.

Packed formats use it because it makes their images compress better and the bounds of their chunks tighter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.exporters.splats.stored import Floats

BITS = 21
"""Bits of each axis; those of three axes fill 63."""


def morton_order(means: Floats) -> NDArray[np.intp]:
    """The indices (N,) that sort points (N, 3) along the curve; equal points keep their order."""
    low = means.min(axis=0, initial=np.inf).astype(np.float64)
    extent = means.max(axis=0, initial=-np.inf) - low
    scale = np.where(extent > 0, (2**BITS - 1) / np.where(extent > 0, extent, 1), 0)
    code = np.zeros(len(means), np.uint64)
    for axis in range(3):
        cell = ((means[:, axis] - low[axis]) * scale[axis]).astype(np.uint64)
        code |= _spread(cell) << np.uint64(axis)
    return code.argsort(kind="stable")


def _spread(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``value`` with each bit i of its 21 moved to bit 3 i, in five steps of which each halves the distance."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value
