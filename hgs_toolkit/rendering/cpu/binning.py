"""Which Gaussians touch which tile, front to back.

Tiles are 8 x 16 pixels. A Gaussian is cut into tile columns; in each, the rows that its ellipse {alpha >= 1/255}
covers are found exactly, and every tile of the column that holds some of them gets a pair (Gaussian, tile, rows).
Pairs are ordered by tile, then depth, by a counting sort; each also owns a slot, ordered by Gaussian, in which the
backward pass leaves its gradient.
"""

from __future__ import annotations

import math

import numpy as np

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import (
    ELLIPSE,
    HALF_LOG2E,
    LOG2_MIN_ALPHA,
    MARGIN,
    TILE_HEIGHT,
    TILE_WIDTH,
    TWICE_LN2,
)

RADIX_BITS = 11


@inlined
def read_outline(records, i, n):
    """The outline {alpha = 1/255}: variances xx and xy / xx, det / xx, squared extent, and dx of its lowest point."""
    slope = np.float64(records[i, n, ELLIPSE + 1])
    yy = HALF_LOG2E / records[i, n, ELLIPSE + 2]
    det = HALF_LOG2E * yy / records[i, n, ELLIPSE]
    xy = slope * yy
    xx = (det + xy * xy) / yy
    squared_extent = TWICE_LN2 * max(records[i, n, ELLIPSE + 3] - LOG2_MIN_ALPHA, 0.0)
    return xx, xy / xx, det / xx, squared_extent, slope * math.sqrt(squared_extent * yy)


@inlined
def covered_rows(outline, v, left, right, height):
    """First and last pixel row that an ellipse at height ``v`` covers between ``left`` and ``right`` of its centre.

    First > last if there is none. The outline is concave: its lowest point within a strip is its lowest point
    overall, or lies on the side of the strip that is nearer to that; likewise the highest.
    """
    xx, ratio, conditional, squared_extent, peak = outline
    at_top, at_bottom = min(max(-peak, left), right), min(max(peak, left), right)
    top = ratio * at_top - math.sqrt(max(squared_extent - at_top * at_top / xx, 0.0) * conditional)
    bottom = ratio * at_bottom + math.sqrt(max(squared_extent - at_bottom * at_bottom / xx, 0.0) * conditional)
    first = math.ceil(min(max(v + top - MARGIN - 0.5, 0.0), np.float64(height)))
    last = math.floor(max(min(v + bottom + MARGIN - 0.5, height - 1.0), -1.0))
    return np.int64(first), np.int64(last)


@kernel
def find_spans(
    worker, workers, records, columns, width, height,
    span_starts,  # (I * N + 1,) int64: where a Gaussian's columns begin in spans
    spans,  # out (S, 2) int32: first and last row
    pair_counts,  # out (I * N,) int64: tiles that a Gaussian touches
):  # fmt: skip
    """Rows covered in every tile column of every Gaussian."""
    images, count = columns.shape[0], columns.shape[1]
    total = images * count
    for item in range(worker * total // workers, (worker + 1) * total // workers):
        i, n = item // count, item % count
        pair_counts[item] = 0
        if columns[i, n, 1] == 0:
            continue
        outline = read_outline(records, i, n)
        u = np.float64(records[i, n, 0]) + records[i, n, 1]
        v = np.float64(records[i, n, 2]) + records[i, n, 3]
        for j in range(columns[i, n, 1]):
            x0 = np.float64((columns[i, n, 0] + j) * TILE_WIDTH)
            left, right = x0 + 0.5 - u, min(x0 + TILE_WIDTH, np.float64(width)) - 0.5 - u
            first, last = covered_rows(outline, v, left, right, height)
            spans[span_starts[item] + j, 0], spans[span_starts[item] + j, 1] = first, last
            if first <= last:
                pair_counts[item] += last // TILE_HEIGHT - first // TILE_HEIGHT + 1


@inlined
def radix_digit(key, shift):
    """``RADIX_BITS`` bits of a key."""
    return (np.int64(key) >> shift) & ((1 << RADIX_BITS) - 1)


@inlined
def sort_by_depth(keys, order):
    """``order`` sorted by ``keys[order]``, the bits of positive float32 numbers; equal keys keep their order."""
    other = np.empty_like(order)
    for shift in range(0, 32, RADIX_BITS):
        starts = np.zeros((1 << RADIX_BITS) + 1, np.int64)
        for n in order:
            starts[radix_digit(keys[n], shift) + 1] += 1
        for digit in range(1 << RADIX_BITS):
            starts[digit + 1] += starts[digit]
        for n in order:
            digit = radix_digit(keys[n], shift)
            other[starts[digit]] = n
            starts[digit] += 1
        order, other = other, order
    return order


@kernel
def collect_pairs(
    worker, workers, columns,
    depth_bits,  # (I, N) uint32
    span_starts, spans,
    slot_starts,  # (I * N + 1,) int64: where a Gaussian's slots begin
    tiles_x, tiles_y,
    tile_starts,  # out (I * tiles + 1,) int64: where a tile's pairs begin
    pairs,  # out (P, 4) int32: index into the I * N Gaussians, slot, first and last row within the tile
):  # fmt: skip
    """Sort the pairs of each image by tile, then depth."""
    images, count = columns.shape[0], columns.shape[1]
    tiles = tiles_x * tiles_y
    for i in range(worker, images, workers):
        visible = np.empty(count, np.int32)
        found = 0
        for n in range(count):
            if columns[i, n, 1] > 0:
                visible[found] = n
                found += 1
        order = sort_by_depth(depth_bits[i], visible[:found])

        cursors = np.zeros(tiles + 1, np.int64)
        for n in order:
            for j in range(columns[i, n, 1]):
                first, last = spans[span_starts[i * count + n] + j, 0], spans[span_starts[i * count + n] + j, 1]
                if first <= last:
                    for row in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                        cursors[row * tiles_x + columns[i, n, 0] + j + 1] += 1
        cursors[0] = slot_starts[i * count]
        for tile in range(tiles):
            cursors[tile + 1] += cursors[tile]
            tile_starts[i * tiles + tile] = cursors[tile]

        for n in order:
            slot = slot_starts[i * count + n]
            for j in range(columns[i, n, 1]):
                first, last = spans[span_starts[i * count + n] + j, 0], spans[span_starts[i * count + n] + j, 1]
                if first > last:
                    continue
                for row in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                    tile = row * tiles_x + columns[i, n, 0] + j
                    pair = cursors[tile]
                    cursors[tile] += 1
                    pairs[pair, 0] = i * count + n
                    pairs[pair, 1] = slot
                    pairs[pair, 2] = max(first - row * TILE_HEIGHT, 0)
                    pairs[pair, 3] = min(last - row * TILE_HEIGHT, TILE_HEIGHT - 1)
                    slot += 1
