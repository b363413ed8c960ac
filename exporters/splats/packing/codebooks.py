"""Codebooks of .sog files: 256 numbers that stand for all. They are made without torch."""

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

CELLS = 65536
"""Cells of the table of codes; each of a codebook's 255 middles makes one of them ambiguous."""

BLOCK = 16384
"""Values whose codes are found at a time, which a processor's cache holds."""


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
    flat = values.reshape(-1)
    result = np.empty(len(flat), np.uint8)
    low = float(book[0])
    scale = CELLS / max(float(book[-1]) - low, float(np.finfo(np.float32).tiny))

    def cells_of(numbers: NDArray[np.floating]) -> NDArray[np.intp]:
        return ((numbers - low) * scale).clip(0, CELLS).astype(np.intp)

    # A cell without a middle has one code, which a table knows; the few values in other cells are searched.
    marked = np.bincount(cells_of(middles), minlength=CELLS + 1)
    table, plain = (np.cumsum(marked) - marked).astype(np.uint8), marked == 0
    for start in range(0, len(flat), BLOCK):
        block = flat[start : start + BLOCK].astype(np.float64)
        cells = cells_of(block)
        found = table[cells]
        rest = np.flatnonzero(~plain[cells])
        found[rest] = np.searchsorted(middles, block[rest])
        result[start : start + BLOCK] = found
    return result.reshape(values.shape)
