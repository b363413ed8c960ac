# SPDX-License-Identifier: GPL-3.0-or-later
"""Floaters: which Gaussians are faint, large, or apart from the body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from .splats import ActivatedSplats, Array

AUTOMATIC_GAP = 1 / 40
"""The gap between parts where none is given, as a share of the extent of the middle nine tenths of the Gaussians."""

MAX_CELLS = 1 << 20
"""Number of cells along an axis; a smaller gap would overflow the numbers that cells go by."""

AHEAD = [offset for offset in product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)]
"""Half of a cell's 26 neighbours; the others have it as theirs."""

Nearest = Callable[[Array, Array], Array]
"""Distances (M,) from points (M, 3), the second argument, to the nearest of the points (N, 3), the first."""


@dataclass(frozen=True)
class FloaterLimits:
    """What makes a Gaussian a floater: any of these, in the Gaussians' own units; 0 leaves a limit out."""

    opacity: float = 0.0
    """Opacity below which it is one."""
    size: float = 0.0
    """Greatest standard deviation above which it is one."""
    share: float = 0.0
    """Share of the Gaussians below which a connected part is one."""
    distance: float = 0.0
    """Distance to the nearest Gaussian of the body, the largest connected part, above which it is one."""
    gap: float = 0.0
    """Distance at which parts are apart (up to 3.5 times as much where they lie diagonally); 0 chooses one."""


def find_floaters(splats: ActivatedSplats, limits: FloaterLimits, candidates: Array, nearest: Nearest) -> Array:
    """Which of the ``candidates`` (N,), a mask, are floaters; the others are taken to be gone.

    Faint and large ones connect nothing.
    """
    found = splats.base[:, 3] < limits.opacity
    if limits.size > 0:
        found |= splats.scale.max(1) > limits.size
    found &= candidates
    rest = np.flatnonzero(candidates & ~found)
    if len(rest) and (limits.share > 0 or limits.distance > 0):
        places = splats.position[rest]
        part = connected_parts(places, limits.gap or automatic_gap(places))
        apart = np.bincount(part)[part] < limits.share * len(rest)
        if limits.distance > 0:
            outside = part > 0
            far = nearest(places[~outside], places[outside]) > limits.distance
            apart[np.flatnonzero(outside)[far]] = True
        found[rest[apart]] = True
    return found


def automatic_gap(position: Array) -> float:
    """The gap for positions (N, 3), from their extent without outliers."""
    low, high = np.quantile(position, (0.05, 0.95), axis=0)
    return float(AUTOMATIC_GAP * (high - low).max()) or 1.0


def connected_parts(position: Array, gap: float) -> Array:
    """The part (N,) that each of the positions (N, 3) belongs to: 0 is the largest one, 1 the next, ...

    Space is divided into cubes of side ``gap``; points in one cube or in neighbouring ones belong together.
    """
    low = position.min(0).astype(np.float64)
    gap = max(gap, float((position.max(0) - low).max()) / MAX_CELLS)
    cell = np.floor((position - low) / gap).astype(np.int64) + 1
    strides = np.array([1, *np.cumprod(cell.max(0)[:2] + 2)])
    keys, member = np.unique(cell @ strides, return_inverse=True)
    label = _joined(keys, [int(np.dot(offset, strides)) for offset in AHEAD])[member.ravel()]
    _, label, sizes = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    ranks: Array = rank[label.ravel()]
    return ranks


def _joined(keys: Array, steps: list[int]) -> Array:
    """A label (K,) for sorted ``keys``, equal where a chain of ``steps`` leads from one key to the other."""
    first, second = [], []
    for step in steps:
        place = np.minimum(np.searchsorted(keys, keys + step), len(keys) - 1)
        there = np.flatnonzero(keys[place] == keys + step)
        first.append(there)
        second.append(place[there])
    one, other = np.concatenate(first), np.concatenate(second)
    label = np.arange(len(keys))
    while (label[one] != label[other]).any():
        # Each root is attached to the smallest root next to it, and then every path is made short.
        mine, theirs = label[one], label[other]
        np.minimum.at(label, np.maximum(mine, theirs), np.minimum(mine, theirs))
        while (label != label[label]).any():
            label = label[label]
    return label
