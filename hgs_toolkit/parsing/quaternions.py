# SPDX-License-Identifier: Apache-2.0
"""Quaternions of files: as a matrix, and unit ones without their largest component.

Since q and -q are the same rotation and |q| = 1, the component of largest magnitude can be made positive, and then
follows from the other three, which lie within +-1/sqrt(2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stored import Floats

BOUND = np.float32(np.sqrt(0.5))
"""Greatest magnitude of a component that is not the largest one."""

BLOCK = 4096
"""Quaternions that are worked on at a time, which a processor's cache holds."""

KEPT = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Indices of the three other components for a largest component of 0, 1, 2 or 3."""


def rotation_matrix(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (3, 3) of a quaternion wxyz (4,) of any length."""
    w, x, y, z = quat.tolist()
    s = 2.0 / max(w * w + x * x + y * y + z * z, np.finfo(np.float64).tiny)
    return np.array([
        [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
        [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
        [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
    ])  # fmt: skip


def restore_largest(largest: NDArray[Any], three: Floats) -> Floats:
    """Unit quaternions (N, 4): the inverse of leaving the largest component out; ``largest`` holds 0..3."""
    quats: Floats = np.empty((len(three), 4), np.float32)
    for start in range(0, len(quats), BLOCK):
        rows = slice(start, start + BLOCK)
        _restore_largest(largest[rows], np.ascontiguousarray(three[rows].T, np.float32), quats[rows])
    return quats


def _restore_largest(largest: NDArray[Any], three: Floats, quats: Floats) -> None:
    """Fill ``quats`` (M, 4); the rows of ``three`` (3, M) are the components that were kept."""
    first, second, third = three
    left_out = np.sqrt((1 - (first * first + second * second + third * third)).clip(0))
    columns = (
        np.where(largest == 0, left_out, first),
        np.where(largest == 1, left_out, np.where(largest == 0, first, second)),
        np.where(largest == 2, left_out, np.where(largest <= 1, second, third)),
        np.where(largest == 3, left_out, third),
    )
    a, b, c, d = columns
    length = np.sqrt(a * a + b * b + c * c + d * d)
    for target, column in zip(quats.T, columns, strict=True):
        np.divide(column, length, out=target)


def drop_largest(quats: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """The index (N,) of the largest component of unit quaternions (N, 4), and the other three components (N, 3).

    The components may be in any order. The others have the sign that makes the largest one positive.
    """
    largest, three = np.empty(len(quats), np.uint8), np.empty((len(quats), 3), np.float32)
    for start in range(0, len(quats), BLOCK):
        rows = slice(start, start + BLOCK)
        largest[rows], three[rows] = _drop_largest(np.ascontiguousarray(quats[rows].T))
    return largest, three


def _drop_largest(columns: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """The indices (M,) and the other components (M, 3) of quaternions whose components are the rows of (4, M).

    Whole columns are compared and chosen from: NumPy finds the largest of four in each row twenty times as slowly.
    """
    a, b, c, d = np.abs(columns)
    first, second = b > a, d > c  # of equal components, the first one is the largest
    later = np.maximum(c, d) > np.maximum(a, b)
    largest = np.where(later, second + np.uint8(2), first)
    a, b, c, d = columns
    sign = np.where(np.where(later, np.where(second, d, c), np.where(first, b, a)) < 0, np.float32(-1), np.float32(1))
    kept = np.where(largest == 0, b, a), np.where(largest <= 1, c, b), np.where(largest <= 2, d, c)
    return largest, np.stack([values * sign for values in kept], axis=1)
