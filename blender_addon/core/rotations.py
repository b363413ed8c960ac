# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations as unit quaternions, real part first, and as matrices."""

from __future__ import annotations

import numpy as np

from .splats import Array


def quaternions_to_matrices(quaternions: Array) -> Array:
    """Rotation matrices (N, 3, 3) of unit quaternions (N, 4), wxyz."""
    w, x, y, z = quaternions.astype(np.float64).T
    return np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip


def matrices_to_quaternions(axes: Array) -> Array:
    """Unit quaternions (N, 4), wxyz, float32, of axes (N, 3, 3) in columns; one is turned round if they are mirrored.

    The quaternion belongs to the largest eigenvalue of a symmetric matrix (Bar-Itzhack 2000, "New method for extracting
    the quaternion from a rotation matrix"), which no angle upsets.
    """
    axes = axes * np.where(np.linalg.det(axes) < 0, np.array([[1.0], [1.0], [-1.0]]), 1.0).T[:, None, :]
    m = [[axes[:, i, j] for j in range(3)] for i in range(3)]
    matrix = np.zeros((len(axes), 4, 4))
    matrix[:, 0, 0] = m[0][0] + m[1][1] + m[2][2]
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        matrix[:, 0, i + 1] = matrix[:, i + 1, 0] = m[k][j] - m[j][k]
        matrix[:, i + 1, i + 1] = m[i][i] - m[j][j] - m[k][k]
        matrix[:, j + 1, k + 1] = matrix[:, k + 1, j + 1] = m[j][k] + m[k][j]
    _, vectors = np.linalg.eigh(matrix)
    found = vectors[:, :, -1]
    found = found * np.where(found[:, :1] < 0, -1, 1)
    quaternions: Array = found.astype(np.float32)
    return quaternions
