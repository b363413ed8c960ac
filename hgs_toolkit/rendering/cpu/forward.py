"""Compositing: front to back, tile by tile, eight pixels of a row at a time.

A tile's state lives in the first-level cache, all that belongs to a row side by side: the transmittance, 0 where a
pixel is done, what was left when it was done, and its channels. The first three channels are
drawn in the loop over the rows, the others from the weights that this loop leaves, so that one compiled kernel serves
every number of channels.
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
from hgs_toolkit.rendering.cpu.simd import (
    EXP2_TABLE,
    any_lane,
    exp2,
    fma,
    load,
    maximum,
    minimum,
    peek,
    poke,
    prefetch,
    select,
    splat,
    store,
)
from hgs_toolkit.rendering.settings import MAX_ALPHA, MIN_TRANSMITTANCE

TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT

AHEAD = 4
"""Number of pairs between prefetching a Gaussian's record and using it."""

CHECK_EVERY = 16
"""Number of Gaussians between two checks whether the whole tile is done."""

# Kernels compute in float32; a Python number in an expression would make it float64.
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)

PAIR = 4
"""Numbers of a pair: Gaussian, slot, first and last row; see binning."""

# Where the vectors of a row's state begin: transmittance, transmittance at the end, number of the pair that ended the
# pixel, weight of the Gaussian at hand, and three channels. ROW is the size of it all.
LEFT, FINAL, ENDED_BY, WEIGHT, CANVAS = (k * TILE_WIDTH for k in range(5))
ROW = CANVAS + BLOCK * TILE_WIDTH

# Constants in memory, eight lanes each, after those of exp2.
MIN_LEVEL, MAX_OPACITY, ALL, MIN_LEFT = ((len(EXP2_TABLE) + k) * TILE_WIDTH for k in range(4))
_TABLE = np.repeat(np.array([*EXP2_TABLE, LOG2_MIN_ALPHA, MAX_ALPHA, 1.0, MIN_TRANSMITTANCE], np.float32), TILE_WIDTH)


@inlined
def make_table():
    """Constants of the loop over rows; a copy, so that LLVM leaves them in memory, see :func:`exp2`."""
    return _TABLE.copy()


@inlined
def local_ellipse(records, g, x0, y0, row):
    """A Gaussian within a tile: u, -falloff_x, slope, -falloff_y, level, and dy, the distance of ``row`` from v."""
    at = np.int64(g) * RECORD
    u = (peek(records, at) - np.float32(x0)) + peek(records, at + 1)
    dy = ((np.float32(y0 + row) - peek(records, at + 2)) + HALF) - peek(records, at + 3)
    return (
        splat(u), splat(-peek(records, at + ELLIPSE)), splat(peek(records, at + ELLIPSE + 1)),
        splat(-peek(records, at + ELLIPSE + 2)), splat(peek(records, at + ELLIPSE + 3)), splat(dy),
    )  # fmt: skip


@inlined
def prefetch_record(records, pairs, pair):
    """Fetch what a coming pair needs: in the order of depth Gaussians lie all over the memory."""
    at = np.int64(peek(pairs, min(max(pair, 0), pairs.shape[0] - 1) * PAIR)) * RECORD
    prefetch(records, at)
    prefetch(records, at + RECORD - 1)


@inlined
def first_channels(records, g):
    """The channels that lie in the record."""
    at = np.int64(g) * RECORD + CHANNELS
    return splat(peek(records, at)), splat(peek(records, at + 1)), splat(peek(records, at + 2))


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
def start_transmittance(state, x0, y0, width, height):
    """1 for pixels of the image; 0, done before the first pair, for those of the tile outside of it."""
    for row in range(min(TILE_HEIGHT, height - y0)):
        for column in range(min(TILE_WIDTH, width - x0)):
            poke(state, row * ROW + LEFT + column, ONE)


@inlined
def all_done(state):
    """Whether no pixel of the tile takes another Gaussian."""
    most = load(state, LEFT)
    for row in range(1, TILE_HEIGHT):
        most = maximum(most, load(state, row * ROW + LEFT))
    return not any_lane(most > ZERO)


@inlined
def add_other_channels(canvas, others, g, state, first, last):
    """Add a Gaussian's channels beyond the first three, with the weights of its rows.

    Those that are zero are passed over: of the levels of a Gaussian all but one are.
    """
    for k in range(others.shape[1]):
        number = peek(others, np.int64(g) * others.shape[1] + k)
        if number != ZERO:
            value = splat(number)
            for row in range(first, last + 1):
                at = k * TILE_PIXELS + row * TILE_WIDTH
                store(canvas, at, fma(load(state, row * ROW + WEIGHT), value, load(canvas, at)))


@inlined
def end_tile(state, left, ended_by, task, count):
    """Keep what the backward pass needs; pixels that are not done saw all ``count`` pairs."""
    end = splat(np.float32(count + 1))
    for row in range(TILE_HEIGHT):
        T = load(state, row * ROW + LEFT)
        final = select(T > ZERO, T, load(state, row * ROW + FINAL))
        store(state, row * ROW + FINAL, final)
        at = task * TILE_PIXELS + row * TILE_WIDTH
        store(left, at, final)
        store(ended_by, at, select(T > ZERO, end, load(state, row * ROW + ENDED_BY)))


@inlined
def write_tile(image, alpha, i, x0, y0, canvas, state, background):
    """Copy a finished tile, over the background, to the image."""
    height, width, channels = image.shape[1:]
    for row in range(min(TILE_HEIGHT, height - y0)):
        pixel = (i * height + y0 + row) * width + x0
        for column in range(min(TILE_WIDTH, width - x0)):
            at = row * ROW + column
            left = peek(state, at + FINAL)
            poke(alpha, pixel + column, ONE - left)
            for k in range(min(channels, BLOCK)):
                color = peek(state, at + CANVAS + k * TILE_WIDTH)
                poke(image, (pixel + column) * channels + k, color + left * peek(background, k))
            for k in range(BLOCK, channels):
                color = peek(canvas, (k - BLOCK) * TILE_PIXELS + row * TILE_WIDTH + column)
                poke(image, (pixel + column) * channels + k, color + left * peek(background, k))


@kernel
def composite(
    worker, workers,
    records, others,  # (I * N, ...), see projection
    backgrounds,  # (I, F)
    tile_starts, pairs,  # see binning
    tiles_x, tiles_y,
    image,  # out (I, H, W, D)
    alpha,  # out (I, H, W)
    left,  # out (I * tiles, 128): final transmittance, kept for the backward pass; 0 outside of the image
    ended_by,  # out (I * tiles, 128): the pair that ended a pixel, counted within the tile from 1; one more than all
):  # fmt: skip
    """Draw the tiles ``worker``, ``worker + workers``, ..."""
    height, width = image.shape[1], image.shape[2]
    tiles = tiles_x * tiles_y
    state = np.empty(TILE_HEIGHT * ROW, np.float32)
    canvas = np.empty(others.shape[1] * TILE_PIXELS, np.float32)
    centres, table = column_centres(), make_table()
    more_channels = others.shape[1] > 0
    for task in range(worker, left.shape[0], workers):
        i, tile = task // tiles, task % tiles
        x0, y0 = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        begin, end = tile_starts[task], tile_starts[task + 1]
        fill(state, ZERO)
        fill(canvas, ZERO)
        start_transmittance(state, x0, y0, width, height)
        for pair in range(begin, end):
            if (pair - begin) & (CHECK_EVERY - 1) == 0 and all_done(state):
                break
            prefetch_record(records, pairs, pair + AHEAD)
            g = peek(pairs, pair * PAIR)
            first, last = np.int64(peek(pairs, pair * PAIR + 2)), np.int64(peek(pairs, pair * PAIR + 3))
            u, falloff_x, slope, falloff_y, level, dy = local_ellipse(records, g, x0, y0, first)
            c0, c1, c2 = first_channels(records, g)
            for at in range(first * ROW, (last + 1) * ROW, ROW):
                _, exponent = evaluate_row(centres, u, falloff_x, slope, falloff_y, level, dy)
                dy = dy + ONE
                T = load(state, at)
                opacity = minimum(exp2(exponent, table), load(table, MAX_OPACITY))
                opacity = select(exponent >= load(table, MIN_LEVEL), opacity, ZERO)
                after = T * (load(table, ALL) - opacity)
                ended = (after <= load(table, MIN_LEFT)) & (T > ZERO)
                if any_lane(ended):  # few do, so that all others pay for the question only
                    number = np.float32(pair - begin + 1)
                    opacity, after = select(ended, ZERO, opacity), select(ended, ZERO, after)
                    store(state, at + FINAL, select(ended, T, load(state, at + FINAL)))
                    store(state, at + ENDED_BY, select(ended, number, load(state, at + ENDED_BY)))
                store(state, at, after)
                weight = opacity * T
                store(state, at + WEIGHT, weight)
                c = at + CANVAS
                store(state, c, fma(weight, c0, load(state, c)))
                store(state, c + TILE_WIDTH, fma(weight, c1, load(state, c + TILE_WIDTH)))
                store(state, c + 2 * TILE_WIDTH, fma(weight, c2, load(state, c + 2 * TILE_WIDTH)))
            if more_channels:
                add_other_channels(canvas, others, g, state, first, last)
        end_tile(state, left, ended_by, task, end - begin)
        write_tile(image, alpha, i, x0, y0, canvas, state, backgrounds[i])
