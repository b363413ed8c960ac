# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations as unit quaternions, real part first, and as matrices."""

from __future__ import annotations

import numpy as np

from .harmonics import degree_of, evaluate
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


CHUNK = 4096
"""Number of rotations whose effect on harmonics is computed at a time."""


def turned_each(coefficients: Array, quaternions: Array) -> Array:
    """Coefficients (N, K, 3) of harmonics, each turned by its own unit quaternion (N, 4), wxyz.

    As :func:`~.harmonics.turned` for each; Gaussians that turn alike are computed once.
    """
    degree = degree_of(coefficients.shape[1])
    if degree == 0 or not len(coefficients):
        return coefficients
    unique, member = np.unique(quaternions, axis=0, return_inverse=True)
    member = member.ravel()
    directions = np.random.default_rng(0).standard_normal((64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    solve = np.linalg.pinv(evaluate(directions, degree))  # (K, 64)
    order = np.argsort(member, kind="stable")
    result = np.empty_like(coefficients)
    for start in range(0, len(unique), CHUNK):
        rotation = quaternions_to_matrices(unique[start : start + CHUNK])
        mixing = solve @ evaluate(directions @ rotation, degree)  # (U, K, K)
        first, last = np.searchsorted(member, (start, start + CHUNK), sorter=order)
        for low in range(first, last, CHUNK):
            chosen = order[low : min(low + CHUNK, last)]
            result[chosen] = mixing[member[chosen] - start] @ coefficients[chosen]
    return result
