"""Adding up what the compositing's backward pass left in the slots: moments and channels of a Gaussian in an image."""

from __future__ import annotations

import numpy as np

from hgs_toolkit.rendering.cpu.backward import MOMENTS
from hgs_toolkit.rendering.cpu.jit import inlined
from hgs_toolkit.rendering.cpu.projection import CHUNK, PLACE, SLOT
from hgs_toolkit.rendering.cpu.shading import COLORS, ZERO, put, shade_vjp
from hgs_toolkit.rendering.cpu.simd import LANES, peek, poke
from hgs_toolkit.rendering.cpu.simd64 import load64, store64

# Where float64 numbers of CHUNK Gaussians lie side by side: moments, depth's gradient and 1 for "drawn" in one image,
# then sums over images: of the logarithm of the opacity, of the mean, of the covariance's root by rows.
DEPTH, DRAWN, LOG_OPACITY, MEAN, ROOT, SUMS = (
    k * CHUNK for k in (MOMENTS, MOMENTS + 1, MOMENTS + 2, MOMENTS + 3, MOMENTS + 6, MOMENTS + 15)
)


@inlined
def sum_moments(slots, begin, end, sums, lane, room):
    """Add the pairs of one Gaussian in one image: moments to its ``lane``, the first eight numbers to ``room``."""
    width = slots.shape[1]
    eight = load64(slots, begin * width)  # a slot has nine numbers at least
    for slot in range(begin + 1, end):
        eight = eight + load64(slots, slot * width)
    store64(room, 0, eight)
    for k in range(MOMENTS):
        poke(sums, k * CHUNK + lane, peek(room, k))


@inlined
def sum_channel(slots, begin, end, k, room):
    """Channel ``k`` of the pairs of one Gaussian; the first ones are among the eight numbers in ``room``."""
    s = peek(room, min(MOMENTS + k, LANES - 1))
    if MOMENTS + k >= LANES:
        s = 0.0
        for slot in range(begin, end):
            s += peek(slots, slot * slots.shape[1] + MOMENTS + k)
    return s


@inlined
def sum_values(slots, begin, end, channel, v_values, at, fresh, room):
    """Gradients of one Gaussian's plain values, the first of which is ``channel``."""
    for k in range(v_values.shape[3]):
        put(v_values, at + k, sum_channel(slots, begin, end, channel + k, room), fresh)


@inlined
def clear(values, at):
    """Set the values of one Gaussian to zero."""
    for k in range(values.shape[3]):
        poke(values, at + k, ZERO)


@inlined
def sum_chunk(
    slots, places, first, last, colors, degree, basis, row, fresh, v_colors, v_basis,
    feature_row, feature_fresh, v_features, with_depth, sums, room,
):  # fmt: skip
    """The slots of the Gaussians ``first`` up to ``last`` of an image.

    Gradients of a row are written where they are ``fresh``, which is the row's first image, and added elsewhere.
    """
    bases = (degree + 1) * (degree + 1)
    number = COLORS if degree >= 0 else v_colors.shape[3]
    for lane in range(last - first):
        begin, end = peek(places, PLACE * (first + lane) + SLOT), peek(places, PLACE * (first + lane + 1) + SLOT)
        color = (row * v_colors.shape[2] + first + lane) * v_colors.shape[3]
        feature = (feature_row * v_features.shape[2] + first + lane) * v_features.shape[3]
        poke(sums, DRAWN + lane, 1.0 if begin < end else 0.0)
        if begin < end:
            sum_moments(slots, begin, end, sums, lane, room)
            if degree >= 0:
                v = (
                    np.float32(sum_channel(slots, begin, end, 0, room)),
                    np.float32(sum_channel(slots, begin, end, 1, room)),
                    np.float32(sum_channel(slots, begin, end, 2, room)),
                )
                shade_vjp(colors, color, bases, basis, lane, v, fresh, v_colors, v_basis)
            else:
                sum_values(slots, begin, end, 0, v_colors, color, fresh, room)
            sum_values(slots, begin, end, number, v_features, feature, feature_fresh, room)
            if with_depth:
                poke(sums, DEPTH + lane, sum_channel(slots, begin, end, number + v_features.shape[3], room))
        else:
            if fresh:
                clear(v_colors, color)
            if feature_fresh:
                clear(v_features, feature)
