# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians moved, turned, scaled and thinned out. Nothing here knows Blender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .harmonics import turned
from .splats import NO_PARENT, Array, Splats

STILL = 1e-6
"""A matrix this close to that of no movement moves nothing, so that files come back as they were."""

UNEVEN = 1e-5
"""Relative difference of a matrix's scales from which Gaussians change their shape."""


def moved(splats: Splats, matrix: Array) -> Splats:
    """``splats`` after the affine map ``matrix`` (4, 4): places, shapes and colours, which turn along.

    Uneven scales and shears give each Gaussian new axes; harmonics follow the rotation that is closest to the map.
    """
    if np.abs(matrix - np.eye(4)).max() < STILL:
        return splats
    linear = matrix[:3, :3].astype(np.float64)
    left, sizes, right = np.linalg.svd(linear)
    rotation = left @ right  # the closest rotation, or reflection
    position = splats.position @ linear.T + matrix[:3, 3]
    axes = quaternions_to_matrices(splats.rotation)
    if np.ptp(sizes) <= UNEVEN * sizes.max():
        scale, axes = splats.scale * sizes.mean(), rotation @ axes
    else:
        arms = linear @ (axes * splats.scale[:, None, :].astype(np.float64))
        axes, scale, _ = np.linalg.svd(arms)
    return replace(
        splats, position=position.astype(np.float32), scale=scale.astype(np.float32),
        rotation=matrices_to_quaternions(axes), harmonics=turned(splats.harmonics, rotation),
    )  # fmt: skip


def kept(splats: Splats, keep: Array) -> Splats:
    """The Gaussians where ``keep`` (N,) is true; orphans go to the nearest ancestor that is left."""
    arrays = {name: getattr(splats, name)[keep] for name in ("position", "scale", "rotation", "base", "harmonics")}
    if splats.level is None or splats.parent is None:
        return replace(splats, **arrays)
    parent = splats.parent.copy()
    while (lost := (parent != NO_PARENT) & ~keep[parent]).any():
        parent[lost] = splats.parent[parent[lost]]
    number = np.append(np.cumsum(keep) - 1, NO_PARENT)  # the last one stands for no parent
    return replace(splats, **arrays, level=splats.level[keep], parent=number[parent[keep]].astype(np.int32))


def parents_by_index(level: Array, parent: Array, index: Array) -> Array:
    """Places (N,) of the parents, which ``parent`` names by the numbers ``index`` that Gaussians came in with.

    Gaussians may have been deleted, copied or joined with others since: where no Gaussian has the number, several
    have it, or the one that has it is of no lower level, there is no parent.
    """
    order = np.argsort(index, kind="stable")
    first, last = (np.searchsorted(index[order], parent, side) for side in ("left", "right"))
    place = order[np.minimum(first, len(order) - 1)]
    found = (parent != NO_PARENT) & (last - first == 1) & (level[place] < level)
    return np.where(found, place, NO_PARENT).astype(np.int32)


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
