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
    CHUNK,
    ELLIPSE,
    FIRST,
    HALF_LOG2E,
    LOG2_MIN_ALPHA,
    MARGIN,
    NUMBER,
    PLACE,
    RECORD,
    SLOT,
    SPAN,
    TILE_HEIGHT,
    TILE_WIDTH,
    TWICE_LN2,
)
from hgs_toolkit.rendering.cpu.simd import peek, poke, prefetch

RADIX_BITS = 12
"""Most bits of a depth that a pass of sorting looks at."""
KEY_SHIFT, INDEX = 32, (1 << 32) - 1
"""Place of the depth in a key, and the mask of the rest, which is the Gaussian's index."""
AHEAD = 8
"""Number of Gaussians between prefetching spans and using them."""


@inlined
def read_outline(records, at):
    """The outline {alpha = 1/255}: 1 / xx, xy / xx, det / xx, squared extent, and dx of its lowest point."""
    slope = np.float64(peek(records, at + ELLIPSE + 1))
    yy = HALF_LOG2E / np.float64(peek(records, at + ELLIPSE + 2))
    ratio = HALF_LOG2E / np.float64(peek(records, at + ELLIPSE))  # det / yy
    xy = slope * yy
    inverse_xx = 1.0 / (ratio + xy * slope)
    squared_extent = TWICE_LN2 * max(peek(records, at + ELLIPSE + 3) - LOG2_MIN_ALPHA, 0.0)
    peak = slope * math.sqrt(squared_extent * yy)
    return inverse_xx, xy * inverse_xx, ratio * yy * inverse_xx, squared_extent, peak


@inlined
def covered_rows(outline, v, left, right, height):
    """First and last pixel row that an ellipse at height ``v`` covers between ``left`` and ``right`` of its centre.

    First > last if there is none. The outline is concave: its lowest point within a strip is its lowest point
    overall, or lies on the side of the strip that is nearer to that; likewise the highest.
    """
    inverse_xx, ratio, conditional, squared_extent, peak = outline
    at_top, at_bottom = min(max(-peak, left), right), min(max(peak, left), right)
    top = ratio * at_top - math.sqrt(max(squared_extent - at_top * at_top * inverse_xx, 0.0) * conditional)
    bottom = ratio * at_bottom + math.sqrt(max(squared_extent - at_bottom * at_bottom * inverse_xx, 0.0) * conditional)
    first = math.ceil(min(max(v + top - MARGIN - 0.5, 0.0), np.float64(height)))
    last = math.floor(max(min(v + bottom + MARGIN - 0.5, height - 1.0), -1.0))
    return np.int64(first), np.int64(last)


@kernel
def find_spans(
    worker, workers, records,
    places,  # (I * N + 1, 4), see projection; out: where a Gaussian's columns begin
    images, width, height,
    chunk_spans,  # (I * chunks + 1,) int64: where the columns of CHUNK Gaussians begin in spans
    spans,  # out (S, 2) int32: first and last row
    chunk_pairs,  # out (I * chunks,) int64: tiles that the Gaussians of a chunk touch
):  # fmt: skip
    """Rows covered in every tile column of every Gaussian."""
    count = (places.shape[0] - 1) // images
    chunks = (count + CHUNK - 1) // CHUNK
    for task in range(worker * chunk_pairs.size // workers, (worker + 1) * chunk_pairs.size // workers):
        i, start = task // chunks, task % chunks * CHUNK
        span, touched = chunk_spans[task], np.int64(0)
        for item in range(i * count + start, i * count + min(start + CHUNK, count)):
            poke(places, PLACE * item + SPAN, np.int32(span))
            number = peek(places, PLACE * item + NUMBER)
            if number == 0:
                continue
            outline = read_outline(records, item * RECORD)
            u = np.float64(peek(records, item * RECORD)) + peek(records, item * RECORD + 1)
            v = np.float64(peek(records, item * RECORD + 2)) + peek(records, item * RECORD + 3)
            x0 = np.float64(peek(places, PLACE * item + FIRST) * TILE_WIDTH)
            for _ in range(number):
                left, right = x0 + 0.5 - u, min(x0 + TILE_WIDTH, np.float64(width)) - 0.5 - u
                first, last = covered_rows(outline, v, left, right, height)
                poke(spans, 2 * span, np.int32(first))
                poke(spans, 2 * span + 1, np.int32(last))
                touched += last // TILE_HEIGHT - first // TILE_HEIGHT + 1 if first <= last else 0
                span += 1
                x0 += TILE_WIDTH
        chunk_pairs[task] = touched


@inlined
def depth_keys(places, depth_bits, keys):
    """The visible Gaussians as keys 2^32 depth + index, in ``keys``; how many they are, and bits that depths differ in.

    Bits of positive float32 numbers are ordered as the numbers are. They count from the lowest here: the fewer bits,
    the fewer passes of sorting.
    """
    found, lowest, highest = 0, np.int64(1) << 32, np.int64(0)
    for n in range(depth_bits.shape[0]):
        if peek(places, PLACE * n + NUMBER) > 0:
            depth = np.int64(peek(depth_bits, n))
            lowest, highest = min(lowest, depth), max(highest, depth)
            poke(keys, found, (depth << KEY_SHIFT) | n)
            found += 1
    for k in range(found):
        poke(keys, k, peek(keys, k) - (lowest << KEY_SHIFT))
    bits = 0
    while lowest + (np.int64(1) << bits) <= highest:
        bits += 1
    return found, bits


@inlined
def sort_by_depth(keys, other, found, bits):
    """The first ``found`` of ``keys`` sorted by depth; equal depths keep their order. ``other`` is room."""
    passes = (bits + RADIX_BITS - 1) // RADIX_BITS  # none if all depths are equal
    digit_bits = (bits + passes - 1) // passes if passes > 0 else 0
    starts = np.empty(1 << digit_bits, np.int64)
    mask = starts.shape[0] - 1
    for p in range(passes):
        shift = KEY_SHIFT + p * digit_bits
        starts[:] = 0
        for k in range(found):
            digit = (peek(keys, k) >> shift) & mask
            poke(starts, digit, peek(starts, digit) + 1)
        total = np.int64(0)
        for digit in range(starts.shape[0]):
            count = peek(starts, digit)
            poke(starts, digit, total)
            total += count
        for k in range(found):
            key = peek(keys, k)
            digit = (key >> shift) & mask
            at = peek(starts, digit)
            poke(other, at, key)
            poke(starts, digit, at + 1)
        keys, other = other, keys
    return keys


@inlined
def count_pairs(places, count, spans, slot, tiles_x, cursors):
    """Add the pairs of every tile of an image to its place in ``cursors``; note where each Gaussian's slots begin."""
    for n in range(count):
        poke(places, PLACE * n + SLOT, np.int32(slot))
        tile_column, start = np.int64(peek(places, PLACE * n + FIRST)), peek(places, PLACE * n + SPAN)
        for span in range(start, start + peek(places, PLACE * n + NUMBER)):
            first, last = np.int64(peek(spans, 2 * span)), np.int64(peek(spans, 2 * span + 1))
            if first <= last:
                for row in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                    tile = row * tiles_x + tile_column
                    poke(cursors, tile, peek(cursors, tile) + 1)
                    slot += 1
            tile_column += 1


@kernel
def collect_pairs(
    worker, workers,
    places,  # (I * N + 1, 4), see projection; out: where a Gaussian's slots begin
    depth_bits,  # (I, N) uint32
    spans,
    chunk_slots,  # (I * chunks + 1,) int64: where the slots of CHUNK Gaussians begin
    tiles_x, tiles_y,
    tile_starts,  # out (I * tiles + 1,) int64: where a tile's pairs begin
    pairs,  # out (P, 4) int32: index into the I * N Gaussians, slot, first and last row within the tile
):  # fmt: skip
    """Sort the pairs of each image by tile, then depth."""
    images, count = depth_bits.shape[0], depth_bits.shape[1]
    tiles, chunks = tiles_x * tiles_y, (count + CHUNK - 1) // CHUNK
    keys, room = np.empty(count, np.int64), np.empty(count, np.int64)
    cursors = np.empty(tiles, np.int64)
    for i in range(worker, images, workers):
        theirs, total = places[i * count :], chunk_slots[i * chunks]
        cursors[:] = 0
        count_pairs(theirs, count, spans, total, tiles_x, cursors)
        for tile in range(tiles):
            tile_starts[i * tiles + tile] = total
            total += cursors[tile]
            cursors[tile] = tile_starts[i * tiles + tile]

        found, bits = depth_keys(theirs, depth_bits[i], keys)
        ordered = sort_by_depth(keys, room, found, bits)
        for k in range(found):
            prefetch(theirs, PLACE * (peek(ordered, min(k + 2 * AHEAD, found - 1)) & INDEX))
            coming = peek(ordered, min(k + AHEAD, found - 1)) & INDEX
            prefetch(spans, 2 * peek(theirs, PLACE * coming + SPAN))
            n = peek(ordered, k) & INDEX
            slot, tile_column = peek(theirs, PLACE * n + SLOT), np.int64(peek(theirs, PLACE * n + FIRST))
            start = peek(theirs, PLACE * n + SPAN)
            for span in range(start, start + peek(theirs, PLACE * n + NUMBER)):
                first, last = np.int64(peek(spans, 2 * span)), np.int64(peek(spans, 2 * span + 1))
                if first <= last:
                    for row in range(first // TILE_HEIGHT, last // TILE_HEIGHT + 1):
                        tile = row * tiles_x + tile_column
                        pair = peek(cursors, tile)
                        poke(cursors, tile, pair + 1)
                        poke(pairs, pair * 4, np.int32(i * count + n))
                        poke(pairs, pair * 4 + 1, np.int32(slot))
                        poke(pairs, pair * 4 + 2, np.int32(max(int(first - row * TILE_HEIGHT), 0)))
                        poke(pairs, pair * 4 + 3, np.int32(min(int(last - row * TILE_HEIGHT), TILE_HEIGHT - 1)))
                        slot += 1
                tile_column += 1
