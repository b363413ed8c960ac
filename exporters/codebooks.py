"""Few values for many: scalar codebooks and palettes of vectors, as .sog files need them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.exporters.splats import Floats

CODES = 256
"""Entries of a codebook: what one byte tells apart."""

HALVINGS = 24
"""Bisections of the cell width: to the precision of float32."""

PALETTE = 65536
"""Entries of a palette: what the two bytes of a label tell apart."""

COARSE = 256
"""Clusters of the first stage of a palette; the second splits each on its own, which costs a 128th of one stage."""

ROUNDS = 6
"""Rounds of k-means of each stage; later ones move the error by less than a hundredth."""

Labels = NDArray[np.intp]


def codebook(values: Floats) -> Floats:
    """256 ascending values (256,) such that the greatest distance of any of ``values`` to its nearest is least.

    Intervals of one width cover the values, gaps left out; the least width for which 256 are enough is found by
    bisection. Up to 256 distinct values are kept exactly. On normal values the greatest error is a sixtieth of that
    of k-means (which starves the tails), the mean square error the same or less.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    distinct = ordered[np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)]
    if len(distinct) <= CODES:
        return np.pad(distinct, (0, CODES - len(distinct)), mode="edge").astype(np.float32)
    low, high = 0.0, (distinct[-1] - distinct[0]) / (CODES - 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if len(_cover(distinct, middle)) > CODES else (low, middle)
    starts = _cover(distinct, high)
    ends = np.append(starts[1:], len(distinct)) - 1
    centres = (distinct[starts] + distinct[ends]) / 2
    return np.pad(centres, (0, CODES - len(centres)), mode="edge").astype(np.float32)


def _cover(ordered: NDArray[np.float64], width: float) -> Labels:
    """Index of the first value of each interval of ``width`` that covers them from the left; at most 257 of them."""
    starts: list[int] = []
    index = 0
    while index < len(ordered) and len(starts) <= CODES:
        starts.append(index)
        index = int(np.searchsorted(ordered, ordered[index] + width, side="right"))
    return np.array(starts)


def codes(values: Floats, book: Floats) -> NDArray[np.uint8]:
    """Index of the nearest entry of an ascending codebook (256,) for each value, same shape."""
    middles = (book[1:].astype(np.float64) + book[:-1]) / 2  # in float32 those of tiny values would be lost
    return np.searchsorted(middles, values).astype(np.uint8)


def palette(vectors: Floats, size: int = PALETTE, seed: int = 0) -> tuple[Floats, Labels]:
    """At most ``size`` vectors (P, D) for ``vectors`` (N, D), and the one each is given, (N,).

    Up to ``size`` distinct vectors are kept exactly; else k-means in two stages (coarse clusters, each split in
    proportion to its members).
    """
    distinct, labels = np.unique(vectors, axis=0, return_inverse=True)
    if len(distinct) <= size:
        return distinct, labels.reshape(-1)
    random = np.random.default_rng(seed)
    coarse = _kmeans(vectors, min(COARSE, size), random)[1]
    members = [index for label in range(coarse.max() + 1) if len(index := np.flatnonzero(coarse == label))]
    # Each cluster has one entry at least; the rest goes by their number of members, rounded down.
    spare = size - len(members)
    centres, result, used = [], np.zeros(len(vectors), np.intp), 0
    for index in members:
        fine, which = _kmeans(vectors[index], 1 + spare * len(index) // len(vectors), random)
        centres.append(fine)
        result[index] = used + which
        used += len(fine)
    return np.concatenate(centres), result


def _kmeans(vectors: Floats, size: int, random: np.random.Generator) -> tuple[Floats, Labels]:
    """Centres (min(size, M), D) and labels (M,) of Lloyd's algorithm; a cluster that lost all members stays put."""
    if len(vectors) <= size:
        return vectors, np.arange(len(vectors))
    centres = vectors[random.choice(len(vectors), size, replace=False)]
    labels = _nearest(vectors, centres)
    for _ in range(ROUNDS):
        counts = np.bincount(labels, minlength=size)
        sums = np.zeros_like(centres)
        order = labels.argsort(kind="stable")
        filled = counts > 0
        starts = (np.cumsum(counts) - counts)[filled]
        sums[filled] = np.add.reduceat(vectors[order], starts, axis=0)
        centres = np.where(filled[:, None], sums / np.maximum(counts, 1)[:, None], centres).astype(np.float32)
        labels = _nearest(vectors, centres)
    return centres, labels


def _nearest(vectors: Floats, centres: Floats, rows: int = 8192) -> Labels:
    """Index (M,) of the nearest centre of each vector, ``rows`` at a time to bound the memory."""
    offset = np.square(centres).sum(axis=1) / 2
    blocks = (vectors[start : start + rows] for start in range(0, len(vectors), rows))
    return np.concatenate([(block @ centres.T - offset).argmax(axis=1) for block in blocks])
