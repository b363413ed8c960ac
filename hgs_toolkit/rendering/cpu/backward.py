"""The gradient of compositing: the tiles again, back to front.

With w = alpha T the weight of a Gaussian at a pixel, v the gradient of the pixel's channels and c its channels,
    dL/dc = w v,   dL/dalpha = T (c . v) - B / (1 - alpha),
where B = sum over the Gaussians behind of w (c . v), plus what is left of T times (background . v - v_alpha): one
number per pixel, whatever the number of channels. A pair leaves six moments of h = alpha dL/dalpha over its pixels
and the sums of its channels in its own slot; no other pair writes there, so that results do not depend on the order
of the threads.
"""

from __future__ import annotations

import numpy as np

from hgs_toolkit.rendering.cpu.forward import (
    AHEAD,
    ALL,
    CANVAS,
    ENDED_BY,
    LEFT,
    MAX_OPACITY,
    MIN_LEVEL,
    ONE,
    PAIR,
    ROW,
    TILE_PIXELS,
    WEIGHT,
    ZERO,
    column_centres,
    evaluate_row,
    fill,
    first_channels,
    local_ellipse,
    make_table,
    prefetch_record,
)
from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import BLOCK, TILE_HEIGHT, TILE_WIDTH
from hgs_toolkit.rendering.cpu.simd import (
    exp2,
    fma,
    load,
    minimum,
    peek,
    poke,
    prefetch,
    select,
    splat,
    store,
    sum_each,
    sum_lanes,
)

MOMENTS = 6
"""Sums over pixels of h, h dx', h dy, h dx'^2, h dx' dy, h dy^2, with dx' measured from the ellipse's axis."""


# A row's state is laid out as forward; its canvas holds the gradients of the channels, and in place of the final
# transmittance there is B.
BEHIND = TILE_WIDTH


@inlined
def read_gradients(v_canvas, state, v_image, v_alpha, i, x0, y0, background):
    """Bring a tile's gradients next to each other; start B with what lies behind everything."""
    height, width, channels = v_image.shape[1:]
    for row in range(min(TILE_HEIGHT, height - y0)):
        pixel = (i * height + y0 + row) * width + x0
        for column in range(min(TILE_WIDTH, width - x0)):
            at = row * ROW + column
            seen = -peek(v_alpha, pixel + column)
            for k in range(min(channels, BLOCK)):
                value = peek(v_image, (pixel + column) * channels + k)
                poke(state, at + CANVAS + k * TILE_WIDTH, value)
                seen += value * peek(background, k)
            for k in range(BLOCK, channels):
                value = peek(v_image, (pixel + column) * channels + k)
                poke(v_canvas, (k - BLOCK) * TILE_PIXELS + row * TILE_WIDTH + column, value)
                seen += value * peek(background, k)
            poke(state, at + BEHIND, peek(state, at + LEFT) * seen)


@inlined
def read_ends(left, ended_by, task, state):
    """Load a tile's final transmittance; the number of its pairs that were drawn anywhere."""
    most = ONE
    for row in range(TILE_HEIGHT):
        at = task * TILE_PIXELS + row * TILE_WIDTH
        store(state, row * ROW + LEFT, load(left, at))
        store(state, row * ROW + ENDED_BY, load(ended_by, at))
        for column in range(TILE_WIDTH):
            most = max(most, peek(ended_by, at + column))
    return np.int64(most) - 1


@inlined
def sum_background(v_backgrounds, task, v_canvas, state):
    """Gradient of the background within a tile."""
    for k in range(v_backgrounds.shape[1]):
        total = splat(ZERO)
        for row in range(TILE_HEIGHT):
            if k < BLOCK:
                v = load(state, row * ROW + CANVAS + k * TILE_WIDTH)
            else:
                v = load(v_canvas, (k - BLOCK) * TILE_PIXELS + row * TILE_WIDTH)
            total = fma(load(state, row * ROW + LEFT), v, total)
        v_backgrounds[task, k] = sum_lanes(total)


@inlined
def dot_other_channels(dots, v_canvas, others, g, first, last):
    """c . v of the channels beyond the first three, for every row."""
    for row in range(first, last + 1):
        total = splat(ZERO)
        for k in range(others.shape[1]):
            value = splat(peek(others, np.int64(g) * others.shape[1] + k))
            total = fma(load(v_canvas, k * TILE_PIXELS + row * TILE_WIDTH), value, total)
        store(dots, row * ROW, total)


@inlined
def sum_other_channels(slots, start, v_canvas, state, first, last):
    """Gradients of the channels beyond the first three, from the weights of the rows, at ``start`` and after."""
    for k in range(v_canvas.size // TILE_PIXELS):
        total = splat(ZERO)
        for row in range(first, last + 1):
            v = load(v_canvas, k * TILE_PIXELS + row * TILE_WIDTH)
            total = fma(load(state, row * ROW + WEIGHT), v, total)
        slots[start + k] = sum_lanes(total)


@inlined
def sum_rows(state, dots, centres, table, ellipse, colors, number, first, last):
    """Bring a pair's rows back to before it was drawn; sums, lane by lane, of its six moments and three channels."""
    u, falloff_x, slope, falloff_y, level, dy = ellipse
    c0, c1, c2 = colors
    h0, hx, hy = splat(ZERO), splat(ZERO), splat(ZERO)
    hxx, hxy, hyy = splat(ZERO), splat(ZERO), splat(ZERO)
    s0, s1, s2 = splat(ZERO), splat(ZERO), splat(ZERO)
    for at in range(first * ROW, (last + 1) * ROW, ROW):
        dx, exponent = evaluate_row(centres, u, falloff_x, slope, falloff_y, level, dy)
        drawn_here = (exponent >= load(table, MIN_LEVEL)) & (number < load(state, at + ENDED_BY))
        # Masking numbers instead of stores: a select between a new and a loaded value becomes a masked store, which is
        # many times slower than a plain one.
        unclamped = select(drawn_here, exp2(exponent, table), ZERO)
        opacity = minimum(unclamped, load(table, MAX_OPACITY))
        rest = load(table, ALL) / (load(table, ALL) - opacity)
        T = load(state, at) * rest
        store(state, at, T)
        c = at + CANVAS
        v0, v1 = load(state, c), load(state, c + TILE_WIDTH)
        v2 = load(state, c + 2 * TILE_WIDTH)
        dot = fma(v0, c0, fma(v1, c1, fma(v2, c2, load(dots, at))))
        weight = opacity * T
        B = load(state, at + BEHIND)
        store(state, at + BEHIND, fma(weight, dot, B))
        store(state, at + WEIGHT, weight)
        h = opacity * (T * dot - B * rest)
        h = select(unclamped <= load(table, MAX_OPACITY), h, ZERO)
        h0 = h0 + h
        h_dx, h_dy = h * dx, h * dy
        hx, hy = hx + h_dx, hy + h_dy
        hxx, hxy, hyy = fma(h_dx, dx, hxx), fma(h_dx, dy, hxy), fma(h_dy, dy, hyy)
        s0, s1, s2 = fma(weight, v0, s0), fma(weight, v1, s1), fma(weight, v2, s2)
        dy = dy + ONE
    return h0, hx, hy, hxx, hxy, hyy, s0, s1, s2


@inlined
def clear_slots(slots, pairs, begin, end, width):
    """Set the slots of pairs that were drawn nowhere to zero."""
    for pair in range(begin, end):
        for k in range(width):
            poke(slots, peek(pairs, pair * PAIR + 1) * width + k, ZERO)


@inlined
def prefetch_slot(slots, pairs, pair, width):
    """Fetch the slot of a coming pair."""
    at = np.int64(peek(pairs, max(pair, 0) * PAIR + 1)) * width
    prefetch(slots, at)
    prefetch(slots, at + width - 1)


@kernel
def composite_vjp(
    worker, workers,
    records, others, backgrounds,  # as in forward
    tile_starts, pairs,
    tiles_x, tiles_y, left, ended_by,
    v_image,  # (I, H, W, D)
    v_alpha,  # (I, H, W)
    slots,  # out (P * (6 + F),)
    v_backgrounds,  # out (I * tiles, D or 0)
):  # fmt: skip
    """Fill the slots of the pairs of the tiles ``worker``, ``worker + workers``, ..."""
    tiles = tiles_x * tiles_y
    state, dots = np.empty(TILE_HEIGHT * ROW, np.float32), np.zeros(TILE_HEIGHT * ROW, np.float32)
    v_canvas = np.empty(others.shape[1] * TILE_PIXELS, np.float32)
    centres, table = column_centres(), make_table()
    width_of_slot = MOMENTS + BLOCK + others.shape[1]
    more_channels = others.shape[1] > 0
    for task in range(worker, left.shape[0], workers):
        i, tile = task // tiles, task % tiles
        x0, y0 = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        begin = tile_starts[task]
        fill(state, ZERO)
        fill(v_canvas, ZERO)
        drawn = begin + read_ends(left, ended_by, task, state)
        read_gradients(v_canvas, state, v_image, v_alpha, i, x0, y0, backgrounds[i])
        sum_background(v_backgrounds, task, v_canvas, state)
        clear_slots(slots, pairs, drawn, tile_starts[task + 1], width_of_slot)
        for pair in range(drawn - 1, begin - 1, -1):
            prefetch_record(records, pairs, pair - AHEAD)
            prefetch_slot(slots, pairs, pair - AHEAD, width_of_slot)
            g, slot = peek(pairs, pair * PAIR), np.int64(peek(pairs, pair * PAIR + 1)) * width_of_slot
            first, last = np.int64(peek(pairs, pair * PAIR + 2)), np.int64(peek(pairs, pair * PAIR + 3))
            ellipse, colors = local_ellipse(records, g, x0, y0, first), first_channels(records, g)
            number = splat(np.float32(pair - begin + 1))
            if more_channels:
                dot_other_channels(dots, v_canvas, others, g, first, last)
            h0, hx, hy, hxx, hxy, hyy, s0, s1, s2 = sum_rows(
                state, dots, centres, table, ellipse, colors, number, first, last
            )
            store(slots, slot, sum_each(h0, hx, hy, hxx, hxy, hyy, s0, s1))
            poke(slots, slot + 8, sum_lanes(s2))
            if more_channels:
                sum_other_channels(slots, slot + MOMENTS + BLOCK, v_canvas, state, first, last)
