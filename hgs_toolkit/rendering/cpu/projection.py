"""From Gaussians in the world to ellipses in the images.

Arithmetic is float64: it costs little beside the compositing and needles keep their shape. An ellipse is stored as
the compositing wants it. With the covariance S (eps2d included), d = pixel - mean and dx' = dx - slope dy,
    alpha = 2^(level - falloff_x dx'^2 - falloff_y dy^2),
    slope = S_xy / S_yy,  falloff_x = (log2 e / 2) S_yy / det S,  falloff_y = (log2 e / 2) / S_yy,
which is the usual exp(-d' S^-1 d / 2) without its cancellation, and one multiply-add per pixel and row. All that a
tile needs to know of a Gaussian lies in one record of twelve float32 numbers, about one cache line:
    floor(u), u - floor(u), floor(v), v - floor(v), falloff_x, slope, falloff_y, level, and four channels;
split in two, the mean (u, v) is as exact as in float64 once the tile's corner is subtracted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.vectors import combine, dot, rotation, row_times, scale_columns, times_column
from hgs_toolkit.rendering.settings import FRUSTUM_MARGIN, MAX_EXTENT, MIN_ALPHA

TILE_WIDTH = 8
TILE_HEIGHT = 16

BLOCK = 4
"""Channels that are drawn together, and kept in the record; their number is padded to a multiple of it."""
ELLIPSE, CHANNELS = 4, 8
"""Where the ellipse and the channels begin in a record."""
RECORD = CHANNELS + BLOCK

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
def read_quaternion(quats, b, n):
    """A quaternion in float64 and its squared length."""
    w, x = np.float64(quats[b, n, 0]), np.float64(quats[b, n, 1])
    y, z = np.float64(quats[b, n, 2]), np.float64(quats[b, n, 3])
    return (w, x, y, z), w * w + x * x + y * y + z * z


@inlined
def read_triple(values, b, n):
    """A mean or scales in float64."""
    return np.float64(values[b, n, 0]), np.float64(values[b, n, 1]), np.float64(values[b, n, 2])


@inlined
def affine(W, ratio_x, ratio_y, fx, fy):
    """Rows of J W, the local affine map from the world to pixels; fx and fy are already divided by z."""
    return combine(fx, W[0], -fx * ratio_x, W[2]), combine(fy, W[1], -fy * ratio_y, W[2])


@inlined
def is_small(xx, yy, squared_extent, radius_clip):
    """Whether a Gaussian's box is at most ``radius_clip`` wide and high (half size, whole pixels)."""
    extent = min(math.sqrt(squared_extent), MAX_EXTENT)
    return math.ceil(extent * math.sqrt(xx)) <= radius_clip and math.ceil(extent * math.sqrt(yy)) <= radius_clip


@kernel
def project(
    worker, workers,
    means, quats, scales, opacities,  # (B, N, ...)
    colors,  # (B, 1 or C, N, D)
    cameras,  # (I, 20) with I = B * C, see camera_table
    width, height, near, far, radius_clip, eps2d, antialiased, with_depth,
    records,  # out (I, N, 12), see above; channels are the colours, then depth, then zeros
    others,  # out (I, N, F - 4): channels beyond the fourth
    depths,  # out (I, N)
    columns,  # out (I, N, 2) int32: first tile column and their number; 0 if not to be drawn, -1 if not finite
):  # fmt: skip
    """Fill the outputs for every image and Gaussian; those of invisible Gaussians stay undefined but for columns."""
    images, count = columns.shape[0], columns.shape[1]
    per_scene = images // means.shape[0]
    channels = colors.shape[3]
    begin, end = worker * images * count // workers, (worker + 1) * images * count // workers
    for item in range(begin, end):
        i, n = item // count, item % count
        b, c = i // per_scene, i % per_scene
        columns[i, n, 1] = 0
        W, t, focal, centre, lowest, highest = read_camera(cameras, i)
        p = combine(1.0, times_column(W, read_triple(means, b, n)), 1.0, t)
        q, squared = read_quaternion(quats, b, n)
        R = rotation(q[0], q[1], q[2], q[3], 2.0 / squared if squared > 0 else 0.0)  # 0: the identity
        M = scale_columns(R, read_triple(scales, b, n))
        opacity = np.float64(opacities[b, n])
        total = dot(M[0], M[0]) + dot(M[1], M[1]) + dot(M[2], M[2]) + dot(p, p) + opacity
        if not total < np.inf:
            columns[i, n, 1] = -1
            continue
        if p[2] < near or p[2] > far:
            continue

        inverse_z = 1.0 / p[2]
        x, y = p[0] * inverse_z, p[1] * inverse_z
        ratio_x = min(max(x, lowest[0]), highest[0])
        ratio_y = min(max(y, lowest[1]), highest[1])
        P, Q = affine(W, ratio_x, ratio_y, focal[0] * inverse_z, focal[1] * inverse_z)
        H, G = row_times(P, M), row_times(Q, M)
        xx, xy, yy = dot(H, H), dot(H, G), dot(G, G)
        sharp_det = xx * yy - xy * xy
        xx, yy = xx + eps2d, yy + eps2d
        det = xx * yy - xy * xy
        if not 0 < det < np.inf:
            continue
        inverse = 1.0 / (det * yy)
        inverse_det, inverse_yy = inverse * yy, inverse * det
        if antialiased:
            opacity *= math.sqrt(max(sharp_det * inverse_det, 0.0))
        if opacity < MIN_ALPHA:
            continue
        level = math.log2(opacity)
        squared_extent = TWICE_LN2 * max(level - LOG2_MIN_ALPHA, 0.0)
        reach_x, reach_y = math.sqrt(squared_extent * xx), math.sqrt(squared_extent * yy)
        if radius_clip > 0 and is_small(xx, yy, squared_extent, radius_clip):
            continue

        u, v = focal[0] * x + centre[0], focal[1] * y + centre[1]
        left, right = u - reach_x - MARGIN - 0.5, u + reach_x + MARGIN - 0.5
        top, bottom = v - reach_y - MARGIN - 0.5, v + reach_y + MARGIN - 0.5
        if not (right >= 0 and left <= width - 1 and bottom >= 0 and top <= height - 1):
            continue
        first = np.int64(math.ceil(max(left, 0.0))) // TILE_WIDTH
        last = np.int64(math.floor(min(right, width - 1.0))) // TILE_WIDTH
        columns[i, n, 0], columns[i, n, 1] = first, last - first + 1

        depths[i, n] = p[2]
        records[i, n, 0], records[i, n, 1] = math.floor(u), u - math.floor(u)
        records[i, n, 2], records[i, n, 3] = math.floor(v), v - math.floor(v)
        records[i, n, ELLIPSE], records[i, n, ELLIPSE + 1] = HALF_LOG2E * yy * inverse_det, xy * inverse_yy
        records[i, n, ELLIPSE + 2], records[i, n, ELLIPSE + 3] = HALF_LOG2E * inverse_yy, level
        for k in range(BLOCK + others.shape[2]):
            value = np.float32(0.0)
            if k < channels:
                value = colors[b, c % colors.shape[1], n, k]
            elif k == channels and with_depth:
                value = np.float32(p[2])
            if k < BLOCK:
                records[i, n, CHANNELS + k] = value
            else:
                others[i, n, k - BLOCK] = value
