# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether positions were moved, turned or scaled alone, told by a few Gaussians whose places are remembered."""

from __future__ import annotations

import numpy as np

from .splats import Array

COUNT = 64
"""Number of Gaussians that are remembered."""

FIT = 1e-4
"""Greatest distance from an affine map, as a share of the extent, at which positions count as moved by one."""

LEAST = 4
"""Number of points, not in one plane, that determine an affine map."""

STILL = 1e-5
"""Greatest change of an element of the map at which nothing was turned or scaled."""


def chosen(count: int) -> Array:
    """Indices (K,) of the Gaussians to remember, of ``count`` in all, evenly spread over the file."""
    return np.unique(np.linspace(0, count - 1, min(COUNT, count)).astype(np.int64))


def bare_map(before: Array, now: Array) -> Array | None:
    """The linear map (3, 3) by which positions ``now`` (K, 3) came from ``before``, if it is more than a shift.

    None where nothing was turned or scaled, where positions were changed otherwise (sculpted, edited one by one), or
    where the points cannot tell: fewer than four, or all in one plane.
    """
    if len(before) < LEAST:
        return None
    before, now = before.astype(np.float64), now.astype(np.float64)
    centered, moved = before - before.mean(0), now - now.mean(0)
    found, _, rank, _ = np.linalg.lstsq(centered, moved, rcond=1e-6)
    extent = np.abs(moved).max()
    if rank < 3 or extent == 0 or np.abs(centered @ found - moved).max() > FIT * extent:
        return None
    linear: Array = found.T
    return None if np.abs(linear - np.eye(3)).max() < STILL else linear
