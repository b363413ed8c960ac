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
    LEVEL_FLOOR,
    MAX_OPACITY,
    MIN_LEVEL,
    ONE,
    TILE_PIXELS,
    ZERO,
    column_centres,
    evaluate_row,
    fill,
    first_channels,
    local_ellipse,
    prefetch_record,
)
from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import BLOCK, TILE_HEIGHT, TILE_WIDTH
from hgs_toolkit.rendering.cpu.simd import (
    exp2,
    fma,
    load,
    maximum,
    minimum,
    prefetch,
    select,
    splat,
    store,
    sum_each,
    sum_lanes,
)

MOMENTS = 6
"""Sums over pixels of h, h dx', h dy, h dx'^2, h dx' dy, h dy^2, with dx' measured from the ellipse's axis."""


@inlined
def read_gradients(v_canvas, behind, v_image, v_alpha, i, x0, y0, transmittance, background):
    """Bring a tile's gradients next to each other; start B with what lies behind everything."""
    height, width, channels = v_image.shape[1:]
    fill(v_canvas, ZERO)
    fill(behind, ZERO)
    for row in range(min(TILE_HEIGHT, height - y0)):
        for column in range(min(TILE_WIDTH, width - x0)):
            at = row * TILE_WIDTH + column
            seen = -v_alpha[i, y0 + row, x0 + column]
            for k in range(channels):
                value = v_image[i, y0 + row, x0 + column, k]
                v_canvas[k * TILE_PIXELS + at] = value
                seen += value * background[k]
            behind[at] = transmittance[at] * seen


@inlined
def read_ends(left, last_pairs, task, transmittance):
    """Load a tile's final transmittance; the number of its pairs that were drawn anywhere."""
    drawn = ZERO
    for at in range(TILE_PIXELS):
        transmittance[at] = abs(left[task, at])
        drawn = max(drawn, last_pairs[task, at])
    return np.int64(drawn)


@inlined
def sum_background(v_backgrounds, task, v_canvas, transmittance):
    """Gradient of the background within a tile."""
    for k in range(v_backgrounds.shape[1]):
        total = splat(ZERO)
        for row in range(TILE_HEIGHT):
            at = row * TILE_WIDTH
            total = fma(load(transmittance, at), load(v_canvas, k * TILE_PIXELS + at), total)
        v_backgrounds[task, k] = sum_lanes(total)


@inlined
def dot_other_blocks(dots, v_canvas, others, g, first, last):
    """c . v of the channels beyond the first block, for every row."""
    for row in range(first, last + 1):
        total = splat(ZERO)
        for k in range(others.shape[1]):
            total = fma(load(v_canvas, (BLOCK + k) * TILE_PIXELS + row * TILE_WIDTH), others[g, k], total)
        store(dots, row * TILE_WIDTH, total)


@inlined
def sum_other_blocks(slots, start, v_canvas, weights, first, last):
    """Gradients of the channels beyond the first block, from the weights of the rows, at ``start`` and after."""
    for k in range(v_canvas.size // TILE_PIXELS - BLOCK):
        total = splat(ZERO)
        for row in range(first, last + 1):
            at = row * TILE_WIDTH
            total = fma(load(weights, at), load(v_canvas, (BLOCK + k) * TILE_PIXELS + at), total)
        slots[start + k] = sum_lanes(total)


@kernel
def composite_vjp(
    worker, workers,
    records, others, backgrounds,  # as in forward
    tile_starts, pairs,
    tiles_x, tiles_y, left, last_pairs,
    v_image,  # (I, H, W, D)
    v_alpha,  # (I, H, W)
    slots,  # out (P * (6 + F),)
    v_backgrounds,  # out (I * tiles, D or 0)
):  # fmt: skip
    """Fill the slots of the pairs of the tiles ``worker``, ``worker + workers``, ..."""
    tiles = tiles_x * tiles_y
    v_canvas = np.empty((BLOCK + others.shape[1]) * TILE_PIXELS, np.float32)
    transmittance, behind = np.empty(TILE_PIXELS, np.float32), np.empty(TILE_PIXELS, np.float32)
    weights, dots = np.empty(TILE_PIXELS, np.float32), np.empty(TILE_PIXELS, np.float32)
    fill(dots, ZERO)
    centres = column_centres()
    width_of_slot = MOMENTS + BLOCK + others.shape[1]
    more_blocks = others.shape[1] > 0
    for task in range(worker, left.shape[0], workers):
        i, tile = task // tiles, task % tiles
        x0, y0 = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        last_pair = last_pairs[task]
        begin = tile_starts[task]
        drawn = begin + read_ends(left, last_pairs, task, transmittance)
        read_gradients(v_canvas, behind, v_image, v_alpha, i, x0, y0, transmittance, backgrounds[i])
        sum_background(v_backgrounds, task, v_canvas, transmittance)
        for pair in range(drawn, tile_starts[task + 1]):
            for k in range(width_of_slot):
                slots[pairs[pair, 1] * width_of_slot + k] = ZERO
        for pair in range(drawn - 1, begin - 1, -1):
            prefetch_record(records, pairs, pair - AHEAD)
            coming = np.int64(pairs[max(pair - AHEAD, 0), 1]) * width_of_slot
            prefetch(slots, coming)
            prefetch(slots, coming + width_of_slot - 1)
            g, slot = pairs[pair, 0], pairs[pair, 1]
            first, last = np.int64(pairs[pair, 2]), np.int64(pairs[pair, 3])
            u, falloff_x, slope, falloff_y, level, dy = local_ellipse(records, g, x0, y0, first)
            c0, c1, c2, c3 = first_channels(records, g)
            number = np.float32(pair - begin + 1)
            if more_blocks:
                dot_other_blocks(dots, v_canvas, others, g, first, last)
            h0, hx, hy = splat(ZERO), splat(ZERO), splat(ZERO)
            hxx, hxy, hyy = splat(ZERO), splat(ZERO), splat(ZERO)
            s0, s1, s2, s3 = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO)
            for row in range(first, last + 1):
                at = row * TILE_WIDTH
                dx, exponent = evaluate_row(centres, u, falloff_x, slope, falloff_y, level, dy)
                drawn_here = (exponent >= MIN_LEVEL) & (load(last_pair, at) >= number)
                unclamped = exp2(maximum(exponent, LEVEL_FLOOR))
                opacity = minimum(unclamped, MAX_OPACITY)
                # Masked numbers, not masked stores: see forward.
                rest = select(drawn_here, ONE / (ONE - opacity), ONE)
                T = load(transmittance, at) * rest
                store(transmittance, at, T)
                v0, v1 = load(v_canvas, at), load(v_canvas, TILE_PIXELS + at)
                v2, v3 = load(v_canvas, 2 * TILE_PIXELS + at), load(v_canvas, 3 * TILE_PIXELS + at)
                dot = fma(v0, c0, fma(v1, c1, fma(v2, c2, fma(v3, c3, load(dots, at)))))
                weight = select(drawn_here, opacity * T, ZERO)
                B = load(behind, at)
                store(behind, at, fma(weight, dot, B))
                store(weights, at, weight)
                h = select(drawn_here & (unclamped <= MAX_OPACITY), opacity * (T * dot - B * rest), ZERO)
                h0 = h0 + h
                h_dx, h_dy = h * dx, h * dy
                hx, hy = hx + h_dx, hy + h_dy
                hxx, hxy, hyy = fma(h_dx, dx, hxx), fma(h_dx, dy, hxy), fma(h_dy, dy, hyy)
                s0, s1, s2, s3 = fma(weight, v0, s0), fma(weight, v1, s1), fma(weight, v2, s2), fma(weight, v3, s3)
                dy = dy + ONE
            store(slots, slot * width_of_slot, sum_each(h0, hx, hy, hxx, hxy, hyy, s0, s1))
            slots[slot * width_of_slot + 8], slots[slot * width_of_slot + 9] = sum_lanes(s2), sum_lanes(s3)
            if more_blocks:
                sum_other_blocks(slots, slot * width_of_slot + MOMENTS + BLOCK, v_canvas, weights, first, last)
