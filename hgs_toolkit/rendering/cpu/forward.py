"""Compositing: front to back, tile by tile, eight pixels of a row at a time.

A tile's state lives in the first-level cache: the transmittance of its 16 rows, whose sign says "this pixel is done",
and its channels. Channels come in blocks of four: the first block is drawn in the loop over the rows, the others from
the weights that this loop leaves, so that one compiled kernel serves every number of channels.
"""

from __future__ import annotations

import numpy as np

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import (
    BLOCK,
    CHANNELS,
    ELLIPSE,
    LOG2_MIN_ALPHA,
    RECORD,
    TILE_HEIGHT,
    TILE_WIDTH,
)
from hgs_toolkit.rendering.cpu.simd import any_lane, exp2, fma, load, maximum, minimum, prefetch, select, splat, store
from hgs_toolkit.rendering.settings import MAX_ALPHA, MIN_TRANSMITTANCE

TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT

AHEAD = 4
"""Number of pairs between prefetching a Gaussian's record and using it."""

CHECK_EVERY = 16
"""Number of Gaussians between two checks whether the whole tile is done."""

# Kernels compute in float32; a Python number in an expression would make it float64.
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
MAX_OPACITY = np.float32(MAX_ALPHA)
MIN_LEFT = np.float32(MIN_TRANSMITTANCE)
MIN_LEVEL = np.float32(LOG2_MIN_ALPHA)
LEVEL_FLOOR = np.float32(-20.0)


@inlined
def local_ellipse(records, g, x0, y0, row):
    """A Gaussian within a tile: u, falloff_x, slope, falloff_y, level, and dy, a ``row``'s distance from the centre."""
    u = (records[g, 0] - np.float32(x0)) + records[g, 1]
    dy = ((np.float32(y0 + row) - records[g, 2]) + HALF) - records[g, 3]
    falloff_x, falloff_y = -records[g, ELLIPSE], -records[g, ELLIPSE + 2]
    return splat(u), falloff_x, splat(records[g, ELLIPSE + 1]), falloff_y, splat(records[g, ELLIPSE + 3]), splat(dy)


@inlined
def prefetch_record(records, pairs, pair):
    """Fetch what a coming pair needs: in the order of depth Gaussians lie all over the memory."""
    at = np.int64(pairs[min(max(pair, 0), pairs.shape[0] - 1), 0]) * RECORD
    prefetch(records, at)
    prefetch(records, at + RECORD - 1)


@inlined
def first_channels(records, g):
    """The block of channels that lies in the record."""
    return records[g, CHANNELS], records[g, CHANNELS + 1], records[g, CHANNELS + 2], records[g, CHANNELS + 3]


@inlined
def evaluate_row(centres, u, falloff_x, slope, falloff_y, level, dy):
    """dx' and the exponent log2(alpha) at eight pixels of a row; the same instructions forward and backward."""
    dx = centres - fma(slope, dy, u)
    return dx, fma(dx * falloff_x, dx, fma(dy * falloff_y, dy, level))


@inlined
def fill(values, value):
    """Set every element."""
    for k in range(values.shape[0]):
        values[k] = value


@inlined
def column_centres():
    """x of a tile's pixel centres."""
    centres = np.empty(TILE_WIDTH, np.float32)
    for column in range(TILE_WIDTH):
        centres[column] = np.float32(column) + HALF
    return load(centres, 0)


@inlined
def start_transmittance(transmittance, x0, y0, width, height):
    """1 for pixels of the image; -1, done, for those of the tile outside of it."""
    for row in range(TILE_HEIGHT):
        for column in range(TILE_WIDTH):
            inside = x0 + column < width and y0 + row < height
            transmittance[row * TILE_WIDTH + column] = ONE if inside else -ONE


@inlined
def all_done(transmittance):
    """Whether no pixel of the tile takes another Gaussian."""
    most = load(transmittance, 0)
    for row in range(1, TILE_HEIGHT):
        most = maximum(most, load(transmittance, row * TILE_WIDTH))
    return not any_lane(most > ZERO)


@inlined
def add_other_blocks(canvas, others, g, weights, first, last):
    """Add a Gaussian's channels beyond the first block, with the ``weights`` of its rows."""
    for k in range(others.shape[1]):
        value = others[g, k]
        for row in range(first, last + 1):
            at = (BLOCK + k) * TILE_PIXELS + row * TILE_WIDTH
            store(canvas, at, fma(load(weights, row * TILE_WIDTH), value, load(canvas, at)))


@inlined
def write_tile(image, alpha, i, x0, y0, canvas, transmittance, background):
    """Copy a finished tile, over the background, to the image."""
    height, width, channels = image.shape[1:]
    for row in range(min(TILE_HEIGHT, height - y0)):
        for column in range(min(TILE_WIDTH, width - x0)):
            left = abs(transmittance[row * TILE_WIDTH + column])
            alpha[i, y0 + row, x0 + column] = ONE - left
            for k in range(channels):
                color = canvas[(k * TILE_HEIGHT + row) * TILE_WIDTH + column]
                image[i, y0 + row, x0 + column, k] = color + left * background[k]


@kernel
def composite(
    worker, workers,
    records, others,  # (I * N, ...), see projection
    backgrounds,  # (I, F)
    tile_starts, pairs,  # see binning
    tiles_x, tiles_y,
    image,  # out (I, H, W, D)
    alpha,  # out (I, H, W)
    left,  # out (I * tiles, 128): final transmittance, kept for the backward pass
    last_pairs,  # out (I * tiles, 128): the last pair drawn at a pixel, counted within the tile from 1
):  # fmt: skip
    """Draw the tiles ``worker``, ``worker + workers``, ..."""
    height, width = image.shape[1], image.shape[2]
    tiles = tiles_x * tiles_y
    canvas = np.empty((BLOCK + others.shape[1]) * TILE_PIXELS, np.float32)
    weights = np.empty(TILE_PIXELS, np.float32)
    centres = column_centres()
    for task in range(worker, left.shape[0], workers):
        i, tile = task // tiles, task % tiles
        x0, y0 = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        transmittance, last_pair = left[task], last_pairs[task]
        start_transmittance(transmittance, x0, y0, width, height)
        fill(canvas, ZERO)
        fill(last_pair, ZERO)
        for pair in range(tile_starts[task], tile_starts[task + 1]):
            if (pair - tile_starts[task]) % CHECK_EVERY == 0 and all_done(transmittance):
                break
            prefetch_record(records, pairs, pair + AHEAD)
            g, first, last = pairs[pair, 0], np.int64(pairs[pair, 2]), np.int64(pairs[pair, 3])
            u, falloff_x, slope, falloff_y, level, dy = local_ellipse(records, g, x0, y0, first)
            c0, c1, c2, c3 = first_channels(records, g)
            number = np.float32(pair - tile_starts[task] + 1)
            for row in range(first, last + 1):
                at = row * TILE_WIDTH
                _, exponent = evaluate_row(centres, u, falloff_x, slope, falloff_y, level, dy)
                dy = dy + ONE
                T = load(transmittance, at)
                visible = exponent >= MIN_LEVEL
                opacity = minimum(exp2(maximum(exponent, LEVEL_FLOOR)), MAX_OPACITY)
                drawn = visible & (T * (ONE - opacity) > MIN_LEFT)
                # Masking numbers instead of stores: a select between a new and a loaded value becomes a masked
                # store, which is many times slower than a plain one.
                opacity = select(drawn, opacity, ZERO)
                after = T * (ONE - opacity)
                # A pixel that would become too dark is done, one that is done (T < 0) stays so.
                ended = visible & (opacity <= ZERO)
                store(transmittance, at, select(ended, minimum(after, ZERO - after), after))
                store(last_pair, at, maximum(load(last_pair, at), select(drawn, number, ZERO)))
                weight = opacity * T
                store(weights, at, weight)
                store(canvas, at, fma(weight, c0, load(canvas, at)))
                store(canvas, TILE_PIXELS + at, fma(weight, c1, load(canvas, TILE_PIXELS + at)))
                store(canvas, 2 * TILE_PIXELS + at, fma(weight, c2, load(canvas, 2 * TILE_PIXELS + at)))
                store(canvas, 3 * TILE_PIXELS + at, fma(weight, c3, load(canvas, 3 * TILE_PIXELS + at)))
            add_other_blocks(canvas, others, g, weights, first, last)
        write_tile(image, alpha, i, x0, y0, canvas, transmittance, backgrounds[i])
