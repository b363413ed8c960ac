# SPDX-License-Identifier: GPL-3.0-or-later
"""How Gaussians are bound to what deforms them: by probes beside their centres, by triangles of a mesh, by bones."""

from __future__ import annotations

import numpy as np

from .harmonics import COUNTS, evaluate
from .splats import Array

PROBES = 4
"""Number of points that follow a deformation for each Gaussian: its centre, and one beside it along each axis."""

RELATIVE_STEP = 1e-3
"""Distance of a probe from the centre, as a share of the scene's extent: small against what bends, large against the
rounding of 32-bit positions."""

BONES = 4
"""Greatest number of bones that hold a Gaussian."""

SHARPNESS = 4
"""Power of the distance by which a bone's hold fades."""


def probe_points(position: Array) -> tuple[Array, float]:
    """Points (4 N, 3), four for each of the centres (N, 3), and the distance of the last three from the first."""
    step = float(RELATIVE_STEP * max(np.ptp(position, 0).max(), 1e-6))
    offsets = step * np.concatenate([np.zeros((1, 3)), np.eye(3)])
    points = (position[:, None].astype(np.float64) + offsets).reshape(-1, 3)
    return points.astype(np.float32), step


def in_triangles(points: Array, corners: Array) -> Array:
    """Coordinates (M, 3) of points (M, 3) relative to triangles (M, 3 corners, 3): along two edges and the unit normal.

    Those of a triangle without area are 0.
    """
    edges = corners[:, 1:] - corners[:, :1]  # (M, 2, 3)
    normal = np.cross(edges[:, 0], edges[:, 1])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    flat = length[:, 0] < 1e-12
    axes = np.concatenate([edges, (normal / np.maximum(length, 1e-12))[:, None]], 1).transpose(0, 2, 1)
    axes[flat] = np.eye(3)
    found: Array = np.linalg.solve(axes, (points - corners[:, 0])[..., None])[..., 0]
    found[flat] = 0
    return found


def bone_weights(points: Array, heads: Array, tails: Array) -> Array:
    """Weights (N, B) with which bones from ``heads`` to ``tails`` (B, 3) hold points (N, 3); rows add up to 1."""
    along = tails - heads
    square = np.maximum(np.square(along).sum(1), 1e-12)
    weights = np.empty((len(points), len(heads)))
    for bone in range(len(heads)):
        share = np.clip((points - heads[bone]) @ along[bone] / square[bone], 0, 1)
        nearest = heads[bone] + share[:, None] * along[bone]
        weights[:, bone] = np.maximum(np.linalg.norm(points - nearest, axis=1), 1e-6) ** -SHARPNESS
    if len(heads) > BONES:
        weights[weights < np.sort(weights, 1)[:, -BONES, None]] = 0
    shares: Array = weights / weights.sum(1, keepdims=True)
    return shares


def sampling_directions(degree: int) -> tuple[Array, Array]:
    """Unit vectors (D, 3), D = 2 degree + 1, and the matrix (D, D) from a harmonic's values there to its coefficients.

    The harmonic is a sum of those of ``degree`` alone. Of many sets of directions the one that magnifies errors least.
    """
    best: tuple[Array, Array] | None = None
    least = np.inf
    for seed in range(200):
        directions = np.random.default_rng(seed).standard_normal((2 * degree + 1, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        values = evaluate(directions, degree)[:, COUNTS[degree - 1] :]
        if (condition := np.linalg.cond(values)) < least:
            least, best = condition, (directions, np.linalg.inv(values))
    assert best is not None
    return best
