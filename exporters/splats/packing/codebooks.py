"""Vector quantisation for .sog files: codebooks of numbers and palettes of vectors."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hgs_toolkit.exporters.splats.stored import Floats

CODES = 256
"""Entries of a codebook, which one byte tells apart."""

HALVINGS = 24
"""Bisections of the cell width, down to the precision of float32."""

PALETTE = 65536
"""Entries of a palette, which the two bytes of a label tell apart."""

COARSE = 256
"""Clusters of a palette's first stage; the second stage splits each by itself, at a 128th of the cost of one stage."""

ROUNDS = 6
"""Rounds of k-means in each stage; more rounds lower the error by less than a hundredth."""

Labels = NDArray[np.intp]


def codebook(values: Floats) -> Floats:
    """Ascending entries (256,) that stand for ``values``; up to 256 distinct values are kept exactly.

    Half of the entries bound the greatest error: they are the middles of intervals of one width that cover the values
    and leave gaps out. The other half lower the mean square error: each splits the interval with the largest share of
    it. So the greatest error is at most twice the least possible one. That of k-means, which neglects the tails, can be
    a hundred times as large (on guitar.compressed.ply it makes single colours wrong by more than the whole range).
    """
    ordered = np.sort(values, axis=None)
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    if np.count_nonzero(new) > CODES:
        starts = _least_cover(ordered, CODES // 2)
        book = _split(ordered, list(zip(starts, [*starts[1:], len(ordered)], strict=True)))
    else:
        book = ordered[new]
    return np.pad(book, (0, CODES - len(book)), mode="edge")


def _least_cover(ordered: Floats, size: int) -> list[int]:
    """The starts of ``size`` intervals of the least common width with which they cover all values, by bisection."""
    low, high = 0.0, (float(ordered[-1]) - float(ordered[0])) / (size - 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if len(_cover(ordered, middle, size)) > size else (low, middle)
    return _cover(ordered, high, size)


def _cover(ordered: Floats, width: float, size: int) -> list[int]:
    """The index of the first value of each interval of ``width``, from the left; ends once there are over ``size``."""
    starts: list[int] = []
    index, last, search = 0, float(ordered[-1]), ordered.searchsorted
    while index < len(ordered) and len(starts) <= size:
        starts.append(index)
        # The key has the array's type, since otherwise the whole array would be converted.
        index = int(search(np.float32(min(float(ordered[index]) + width, last)), "right"))
    return starts


def _split(ordered: Floats, intervals: list[tuple[int, int]]) -> Floats:
    """Ascending middles (CODES,) of the given intervals, of which that with the largest error is halved repeatedly."""
    centred = ordered - ordered.mean(dtype=np.float64)
    sums = np.concatenate([[0], np.cumsum(centred)])
    squares = np.concatenate([[0], np.cumsum(np.square(centred, out=centred), out=centred)])
    del centred

    def ranked(start: int, stop: int) -> tuple[float, int, int]:
        """A heap's entry: minus the sum of squared distances to the mean, then the interval."""
        total = sums[stop] - sums[start]
        return (total**2 / (stop - start) - (squares[stop] - squares[start]), start, stop)

    def middle_of(start: int, stop: int) -> float:
        return (float(ordered[start]) + float(ordered[stop - 1])) / 2

    heap = [ranked(*interval) for interval in intervals]
    heapq.heapify(heap)
    while len(heap) < CODES and -heap[0][0] > 0:
        _, start, stop = heapq.heappop(heap)
        middle = start + int(np.searchsorted(ordered[start:stop], np.float32(middle_of(start, stop))))
        middle = min(max(middle, start + 1), stop - 1)
        for part in ((start, middle), (middle, stop)):
            heapq.heappush(heap, ranked(*part) if ordered[part[0]] < ordered[part[1] - 1] else (0.0, *part))
    return np.sort([middle_of(start, stop) for _, start, stop in heap]).astype(np.float32)


def codes(values: Floats, book: Floats) -> NDArray[np.uint8]:
    """The index of the entry nearest to each value in an ascending codebook (256,), in the shape of ``values``."""
    middles = (book[1:].astype(np.float64) + book[:-1]) / 2  # float32 would lose the middles of tiny values
    return np.searchsorted(middles, values).astype(np.uint8)


def palette(vectors: Floats, size: int = PALETTE, seed: int = 0) -> tuple[Floats, Labels]:
    """At most ``size`` entries (P, D) that stand for ``vectors`` (N, D), and the label (N,) of each vector's entry.

    Up to ``size`` distinct vectors are kept exactly. More are clustered by k-means in two stages: coarse clusters, of
    which each is split in proportion to its members.
    """
    random = np.random.default_rng(seed)
    # Most scenes have far more distinct vectors; hashes show that without a sorted copy of all vectors.
    if len(np.unique(_hashes(vectors, random))) <= size:
        distinct, labels = np.unique(vectors, axis=0, return_inverse=True)
        if len(distinct) <= size:
            return distinct, labels.reshape(-1)
    coarse = _kmeans(vectors, min(COARSE, size), random)[1]
    members = [index for label in range(coarse.max() + 1) if len(index := np.flatnonzero(coarse == label))]
    # Each cluster gets one entry; the remaining ones are shared by the clusters' sizes, rounded down.
    spare = size - len(members)
    centres, result, used = [], np.zeros(len(vectors), np.intp), 0
    for index in members:
        fine, which = _kmeans(vectors[index], 1 + spare * len(index) // len(vectors), random)
        centres.append(fine)
        result[index] = used + which
        used += len(fine)
    return np.concatenate(centres), result


def _hashes(vectors: Floats, random: np.random.Generator) -> NDArray[np.uint64]:
    """A hash (N,) of each vector; equal vectors have equal hashes, so there are at most as many as distinct vectors."""
    result = np.zeros(len(vectors), np.uint64)
    for column in vectors.T:
        bits = (column + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0
        result += bits * random.integers(2**63, dtype=np.uint64)
    return result


def _kmeans(vectors: Floats, size: int, random: np.random.Generator) -> tuple[Floats, Labels]:
    """Centres (min(size, M), D) and labels (M,) by Lloyd's algorithm; a cluster without members keeps its centre."""
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
    """The index (M,) of the centre nearest to each vector; ``rows`` vectors at a time bound the memory."""
    offset = np.square(centres).sum(axis=1) / 2
    blocks = (vectors[start : start + rows] for start in range(0, len(vectors), rows))
    return np.concatenate([(block @ centres.T - offset).argmax(axis=1) for block in blocks])
