"""Unit quaternions without their largest component, and the quaternions of equal ellipsoids.

Packed formats leave out the component of largest magnitude: since q and -q are the same rotation and |q| = 1, it can be
made positive, and then follows from the other three, which lie within +-1/sqrt(2).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.exporters.splats.stored import Floats

BOUND = np.float32(np.sqrt(0.5))
"""Greatest magnitude of a component that is not the largest one."""

Real = TypeVar("Real", np.float32, np.float64)

KEPT = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Indices of the three other components for a largest component of 0, 1, 2 or 3."""


def drop_largest(quats: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The index (N,) of the largest component of unit quaternions (N, 4), and the other three components (N, 3).

    The components may be in any order. The others have the sign that makes the largest one positive.
    """
    largest = np.abs(quats).argmax(axis=1)
    sign = np.where(np.take_along_axis(quats, largest[:, None], axis=1) < 0, np.float32(-1), np.float32(1))
    return largest, np.take_along_axis(quats, KEPT[largest], axis=1) * sign


def restore_largest(largest: NDArray[np.integer], three: Floats) -> Floats:
    """Unit quaternions (N, 4): the inverse of :func:`drop_largest`; ``largest`` holds 0..3."""
    quats: Floats = np.empty((len(three), 4), np.float32)
    np.put_along_axis(quats, KEPT[largest], three.astype(np.float32), axis=1)
    square = np.square(three, dtype=np.float32).sum(axis=1)
    np.put_along_axis(quats, largest[:, None].astype(np.intp), np.sqrt((1 - square).clip(0))[:, None], axis=1)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    return quats


def equal_rotations(quats: NDArray[Real]) -> NDArray[Real]:
    """The four rotations (4, N, 4) that give the same ellipsoids as wxyz ``quats`` (N, 4).

    The first is ``quats`` itself; each of the others has half a turn about one of the ellipsoid's own axes before it.
    """
    w, x, y, z = quats.T
    turned = np.stack([[w, x, y, z], [-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]])  # q, qi, qj, qk
    return turned.transpose(0, 2, 1)
