"""From Gaussians in the world to ellipses in the images.

Arithmetic is float64: it costs little beside the compositing and needles keep their shape. An ellipse is stored as
the compositing wants it. With the covariance S (eps2d included), d = pixel - mean and dx' = dx - slope dy,
    alpha = 2^(level - falloff_x dx'^2 - falloff_y dy^2),
    slope = S_xy / S_yy,  falloff_x = (log2 e / 2) S_yy / det S,  falloff_y = (log2 e / 2) / S_yy,
which is the usual exp(-d' S^-1 d / 2) without its cancellation, and one multiply-add per pixel and row. All that a
tile needs to know of a Gaussian lies in one record of twelve float32 numbers, about one cache line:
    floor(u), u - floor(u), floor(v), v - floor(v), falloff_x, slope, falloff_y, level, three channels, and nothing;
split in two, the mean (u, v) is as exact as in float64 once the tile's corner is subtracted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.simd import LANES, peek, poke
from hgs_toolkit.rendering.cpu.simd64 import ceil, choose, floor, higher, load64, log2, lower, root, store64
from hgs_toolkit.rendering.cpu.vectors import combine, dot, rotation, row_times, scale_columns, times_column
from hgs_toolkit.rendering.settings import FRUSTUM_MARGIN, MAX_EXTENT, MIN_ALPHA

TILE_WIDTH = 8
TILE_HEIGHT = 16

BLOCK = 3
"""Channels that are drawn together, and kept in the record: the colours; others follow one by one."""
ELLIPSE, CHANNELS = 4, 8
"""Where the ellipse and the channels begin in a record."""
RECORD = 12

CHUNK = 64
"""Gaussians whose numbers are brought side by side, so that eight of them make a vector."""
# Where they lie in that room, CHUNK numbers each: 3 + 4 + 3 + 1 numbers of a Gaussian, then state, first and last tile
# column, depth, and what its record begins with.
MEANS, QUATS, SCALES, OPACITIES, PROJECTED, RECORDS, ROOM = (k * CHUNK for k in (0, 3, 7, 10, 11, 15, 23))

FIRST, NUMBER, SPAN, SLOT, PLACE = range(5)
"""Where the numbers that binning needs of a Gaussian in an image lie, side by side since they are read in the order of
depth: its first tile column, the number of its columns (0 if it is not to be drawn, -1 if it is not finite), and where
its columns begin among the spans and its pairs among the slots. PLACE is the size of it all."""

HALF_LOG2E = 0.5 / math.log(2.0)
TWICE_LN2 = 2.0 * math.log(2.0)
LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)
MARGIN = 1e-3
"""Pixels by which ellipses are widened when tiles are collected; the exact test is made per pixel."""


def camera_table(viewmats: NDArray[Any], Ks: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
    """Rows (I, 20) of numbers that :func:`read_camera` takes apart, of cameras (B, C, 4, 4) and (B, C, 3, 3)."""
    V, K = viewmats.reshape(-1, 4, 4).astype(np.float64), Ks.reshape(-1, 3, 3).astype(np.float64)
    focal, centre = K[:, [0, 1], [0, 1]], K[:, :2, 2]  # (I, 2)
    size = np.array([width, height])
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    parts = [
        V[:, :3, :3].reshape(-1, 9), V[:, :3, 3], focal, centre,
        -(centre / focal + margin), (size - centre) / focal + margin,
    ]  # fmt: skip
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


@inlined
def read_camera(cameras, i):
    """Rotation (rows), translation, focal lengths, centre, and lowest and highest x / z and y / z of the Jacobian."""
    V = cameras
    return (
        ((V[i, 0], V[i, 1], V[i, 2]), (V[i, 3], V[i, 4], V[i, 5]), (V[i, 6], V[i, 7], V[i, 8])),
        (V[i, 9], V[i, 10], V[i, 11]),
        (V[i, 12], V[i, 13]),
        (V[i, 14], V[i, 15]),
        (V[i, 16], V[i, 17]),
        (V[i, 18], V[i, 19]),
    )


@inlined
def gather(values, start, first, last, room, at):
    """Copy components of rows ``first`` up to ``last`` (B * N, K), where ``start`` rows come before, to ``room[at:]``.

    Component after component, CHUNK numbers each, which is how vectors are read.
    """
    width = values.size // max(values.shape[0] * values.shape[1], 1)
    for k in range(width):
        for lane in range(last - first):
            poke(room, at + k * CHUNK + lane, peek(values, (start + first + lane) * width + k))


@inlined
def load_three(room, at):
    """A mean, or scales, of eight Gaussians."""
    return load64(room, at), load64(room, at + CHUNK), load64(room, at + 2 * CHUNK)


@inlined
def load_quaternion(room, at):
    """Quaternions of eight Gaussians and their squared lengths."""
    w, x = load64(room, at), load64(room, at + CHUNK)
    y, z = load64(room, at + 2 * CHUNK), load64(room, at + 3 * CHUNK)
    return (w, x, y, z), w * w + x * x + y * y + z * z


@inlined
def affine(W, ratio_x, ratio_y, fx, fy):
    """Rows of J W, the local affine map from the world to pixels; fx and fy are already divided by z."""
    return combine(fx, W[0], -fx * ratio_x, W[2]), combine(fy, W[1], -fy * ratio_y, W[2])


@inlined
def is_larger(xx, yy, squared_extent, radius_clip):
    """Whether a Gaussian's box is more than ``radius_clip`` wide or high (half size, whole pixels)."""
    extent = lower(root(squared_extent), MAX_EXTENT)
    return higher(ceil(extent * root(xx)), ceil(extent * root(yy))) > radius_clip


@inlined
def project_eight(
    camera, means, quats, scales, opacity, width, height, near, far, radius_clip, eps2d, antialiased, room, at
):
    """Project eight Gaussians; their results lie in ``room`` at ``at`` + PROJECTED and after."""
    W, t, focal, centre, lowest, highest = camera
    p = combine(1.0, times_column(W, means), 1.0, t)
    q, squared = quats
    R = rotation(q[0], q[1], q[2], q[3], choose(squared > 0, 2.0 / squared, 0.0))  # 0: the identity
    M = scale_columns(R, scales)
    finite = dot(M[0], M[0]) + dot(M[1], M[1]) + dot(M[2], M[2]) + dot(p, p) + opacity < np.inf
    shown = finite & (p[2] >= near) & (p[2] <= far)

    inverse_z = 1.0 / p[2]
    x, y = p[0] * inverse_z, p[1] * inverse_z
    ratio_x = lower(higher(x, lowest[0]), highest[0])
    ratio_y = lower(higher(y, lowest[1]), highest[1])
    P, Q = affine(W, ratio_x, ratio_y, focal[0] * inverse_z, focal[1] * inverse_z)
    H, G = row_times(P, M), row_times(Q, M)
    xx, xy, yy = dot(H, H), dot(H, G), dot(G, G)
    sharp_det = xx * yy - xy * xy
    xx, yy = xx + eps2d, yy + eps2d
    det = xx * yy - xy * xy
    shown = shown & (det > 0) & (det < np.inf)
    inverse = 1.0 / (det * yy)
    inverse_det, inverse_yy = inverse * yy, inverse * det
    if antialiased:
        opacity = opacity * root(higher(sharp_det * inverse_det, 0.0))
    shown = shown & (opacity >= MIN_ALPHA)
    level = log2(opacity)
    squared_extent = TWICE_LN2 * higher(level - LOG2_MIN_ALPHA, 0.0)
    reach_x, reach_y = root(squared_extent * xx), root(squared_extent * yy)
    if radius_clip > 0:
        shown = shown & is_larger(xx, yy, squared_extent, radius_clip)

    u, v = focal[0] * x + centre[0], focal[1] * y + centre[1]
    left, right = u - reach_x - MARGIN - 0.5, u + reach_x + MARGIN - 0.5
    top, bottom = v - reach_y - MARGIN - 0.5, v + reach_y + MARGIN - 0.5
    shown = shown & (right >= 0) & (left <= width - 1.0) & (bottom >= 0) & (top <= height - 1.0)

    at += PROJECTED
    store64(room, at, choose(finite, choose(shown, 1.0, 0.0), -1.0))
    store64(room, at + CHUNK, floor(ceil(higher(left, 0.0)) * (1.0 / TILE_WIDTH)))
    store64(room, at + 2 * CHUNK, floor(floor(lower(right, width - 1.0)) * (1.0 / TILE_WIDTH)))
    store64(room, at + 3 * CHUNK, p[2])
    at += RECORDS - PROJECTED
    store64(room, at, floor(u))
    store64(room, at + CHUNK, u - floor(u))
    store64(room, at + 2 * CHUNK, floor(v))
    store64(room, at + 3 * CHUNK, v - floor(v))
    store64(room, at + 4 * CHUNK, HALF_LOG2E * yy * inverse_det)
    store64(room, at + 5 * CHUNK, xy * inverse_yy)
    store64(room, at + 6 * CHUNK, HALF_LOG2E * inverse_yy)
    store64(room, at + 7 * CHUNK, level)


@inlined
def write_channels(colors, start, shaded, features, feature, z, with_depth, records, record, others, other):
    """Fill the channels of one Gaussian: its colours, or ``shaded`` zeros, its features, its depth, zeros."""
    channels, further = colors.shape[3], others.shape[2]
    begin, end = channels + shaded, channels + shaded + features.shape[3]
    for k in range(BLOCK + further):
        value = np.float32(0.0)
        if k < channels:
            value = peek(colors, start + k)
        elif k >= begin:
            if k < end:
                value = peek(features, feature + k - begin)
            elif k == end and with_depth:
                value = z
        if k < BLOCK:
            poke(records, record + CHANNELS + k, value)
        else:
            poke(others, other * further + k - BLOCK, value)


@inlined
def write_projected(
    room, lanes, first, camera_row, colors, color_row, shaded, features, feature_row, with_depth,
    records, others, depths, places,
):  # fmt: skip
    """Write the projected Gaussians ``first`` and after of an image from ``room``; return their ``chunk_columns``."""
    count, touched, finite = depths.shape[1], np.int64(0), True
    for lane in range(lanes):
        item = camera_row * count + first + lane
        shown = peek(room, PROJECTED + lane)
        if shown <= 0:
            poke(places, PLACE * item + NUMBER, np.int32(shown))
            finite &= shown == 0
            continue
        tile, last = np.int32(peek(room, PROJECTED + CHUNK + lane)), np.int32(peek(room, PROJECTED + 2 * CHUNK + lane))
        poke(places, PLACE * item + FIRST, tile)
        poke(places, PLACE * item + NUMBER, np.int32(last - tile + 1))
        touched += last - tile + 1
        z = peek(room, PROJECTED + 3 * CHUNK + lane)
        poke(depths, item, z)
        for k in range(CHANNELS):
            poke(records, item * RECORD + k, peek(room, RECORDS + k * CHUNK + lane))
        write_channels(
            colors, (color_row * count + first + lane) * colors.shape[3], shaded,
            features, (feature_row * count + first + lane) * features.shape[3],
            z, with_depth, records, item * RECORD, others, item,
        )  # fmt: skip
    return touched if finite else np.int64(-1)


@kernel
def project(
    worker, workers,
    means, quats, scales, opacities,  # (B, N, ...)
    colors,  # (B, 1 or C, N, D)
    shaded,  # channels that shade_visible fills: 0, or 3 and no colours
    features,  # (B, 1 or C, N, F): further channels
    cameras,  # (I, 20) with I = B * C, see camera_table
    width, height, near, far, radius_clip, eps2d, antialiased, with_depth,
    records,  # out (I, N, 12), see above; channels are the colours, then features, then depth, then zeros
    others,  # out (I, N, channels beyond the third)
    depths,  # out (I, N)
    places,  # out (I * N + 1, 4) int32, see above: tile columns and their number
    chunk_columns,  # out (I * chunks,) int64: tile columns of CHUNK Gaussians; -1 if some are not finite
):  # fmt: skip
    """Fill the outputs for every image and Gaussian; those of invisible ones stay undefined but for NUMBER."""
    images, count = depths.shape[0], depths.shape[1]
    per_scene = images // means.shape[0]
    chunks = (count + CHUNK - 1) // CHUNK
    room = np.ones(ROOM, np.float32)
    for task in range(worker * images * chunks // workers, (worker + 1) * images * chunks // workers):
        i, first = task // chunks, task % chunks * CHUNK
        b, c = i // per_scene, i % per_scene
        last = min(first + CHUNK, count)
        gather(means, b * count, first, last, room, MEANS)
        gather(quats, b * count, first, last, room, QUATS)
        gather(scales, b * count, first, last, room, SCALES)
        gather(opacities, b * count, first, last, room, OPACITIES)
        camera = read_camera(cameras, i)
        for lane in range(0, last - first, LANES):
            project_eight(
                camera, load_three(room, MEANS + lane), load_quaternion(room, QUATS + lane),
                load_three(room, SCALES + lane), load64(room, OPACITIES + lane),
                width, height, near, far, radius_clip, eps2d, antialiased, room, lane,
            )  # fmt: skip
        color_row = b * colors.shape[1] + c % colors.shape[1]
        feature_row = b * features.shape[1] + c % features.shape[1]
        chunk_columns[task] = write_projected(
            room, last - first, first, i, colors, color_row, shaded, features, feature_row, with_depth,
            records, others, depths, places,
        )  # fmt: skip
