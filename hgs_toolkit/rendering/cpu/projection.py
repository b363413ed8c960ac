"""From Gaussians in the world to ellipses in the images, and the gradients back.

Arithmetic is float64: it costs nothing beside the compositing and needles keep their shape. An ellipse is stored as
the compositing wants it. With the covariance S (eps2d included), d = pixel - mean and dx' = dx - slope dy,
    alpha = 2^(level - falloff_x dx'^2 - falloff_y dy^2),
    slope = S_xy / S_yy,  falloff_x = (log2 e / 2) S_yy / det S,  falloff_y = (log2 e / 2) / S_yy,
which is the usual exp(-d' S^-1 d / 2) without its cancellation, and one multiply-add per pixel and row.
"""

from __future__ import annotations

import math

import numpy as np

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.vectors import combine, dot, rotation, row_times, scale_columns, times_column
from hgs_toolkit.rendering.settings import FRUSTUM_MARGIN, MAX_EXTENT, MIN_ALPHA

TILE_WIDTH = 8
TILE_HEIGHT = 16

HALF_LOG2E = 0.5 / math.log(2.0)
MARGIN = 1e-3
"""Pixels by which ellipses are widened when tiles are collected; the exact test is made per pixel."""


@inlined
def covariance_root(quats, scales, b, n):
    """Normalised quaternion, its length, the rotation R and R diag(scales); a zero quaternion is the identity."""
    w, x, y, z = (np.float64(quats[b, n, 0]), np.float64(quats[b, n, 1]), np.float64(quats[b, n, 2]),
                  np.float64(quats[b, n, 3]))  # fmt: skip
    length = math.sqrt(w * w + x * x + y * y + z * z)
    if length > 0:
        w, x, y, z = w / length, x / length, y / length, z / length
    R = rotation(w, x, y, z)
    s = (np.float64(scales[b, n, 0]), np.float64(scales[b, n, 1]), np.float64(scales[b, n, 2]))
    return (w, x, y, z), length, R, s, scale_columns(R, s)


@inlined
def world_to_camera(viewmats, b, c):
    """Rows of the rotation, and the translation."""
    V = viewmats[b, c]
    return (
        (
            (np.float64(V[0, 0]), np.float64(V[0, 1]), np.float64(V[0, 2])),
            (np.float64(V[1, 0]), np.float64(V[1, 1]), np.float64(V[1, 2])),
            (np.float64(V[2, 0]), np.float64(V[2, 1]), np.float64(V[2, 2])),
        ),
        (np.float64(V[0, 3]), np.float64(V[1, 3]), np.float64(V[2, 3])),
    )


@inlined
def to_camera(W, t, means, b, n):
    """The world position and its place in the camera."""
    m = (np.float64(means[b, n, 0]), np.float64(means[b, n, 1]), np.float64(means[b, n, 2]))
    return m, combine(1.0, times_column(W, m), 1.0, t)


@inlined
def clamp_to_frustum(ratio, focal, centre, size):
    """``ratio`` = x / z within the image and its margin."""
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    return min(max(ratio, -(centre / focal + margin)), (size - centre) / focal + margin)


@inlined
def affine(W, p, K, width, height):
    """Rows of J W, the local affine map from the world to pixels, and the clamped x / z and y / z."""
    ratio_x = clamp_to_frustum(p[0] / p[2], np.float64(K[0, 0]), np.float64(K[0, 2]), width)
    ratio_y = clamp_to_frustum(p[1] / p[2], np.float64(K[1, 1]), np.float64(K[1, 2]), height)
    fx, fy = K[0, 0] / p[2], K[1, 1] / p[2]
    return combine(fx, W[0], -fx * ratio_x, W[2]), combine(fy, W[1], -fy * ratio_y, W[2]), ratio_x, ratio_y


@kernel
def project(
    worker, workers,
    means, quats, scales, opacities, colors, viewmats, Ks,  # (B, N, ...) and (B, C, ...); colors (B, 1 or C, N, D)
    width, height, near, far, radius_clip, eps2d, antialiased, with_depth,
    means2d,  # out (I, N, 2) float64, I = B * C
    ellipses,  # out (I, N, 4): falloff_x, slope, falloff_y, level
    features,  # out (I, N, F): colours, then depth, then zeros
    depths,  # out (I, N)
    columns,  # out (I, N, 2) int32: first tile column and their number, 0 where nothing is to be drawn
):  # fmt: skip
    """Fill the outputs for every image and Gaussian; those of invisible Gaussians stay undefined but for columns."""
    batch, count, cameras = means.shape[0], means.shape[1], viewmats.shape[1]
    total = batch * count
    for item in range(worker * total // workers, (worker + 1) * total // workers):
        b, n = item // count, item % count
        _, _, _, _, M = covariance_root(quats, scales, b, n)
        for c in range(cameras):
            i = b * cameras + c
            columns[i, n, 1] = 0
            W, t = world_to_camera(viewmats, b, c)
            _, p = to_camera(W, t, means, b, n)
            if p[2] < near or p[2] > far:
                continue
            P, Q, _, _ = affine(W, p, Ks[b, c], width, height)
            H, G = row_times(P, M), row_times(Q, M)
            xx, xy, yy = dot(H, H), dot(H, G), dot(G, G)
            det = xx * yy - xy * xy
            xx, yy = xx + eps2d, yy + eps2d
            blurred = xx * yy - xy * xy
            if not blurred > 0:
                continue
            opacity = np.float64(opacities[b, n])
            if antialiased:
                opacity *= math.sqrt(max(det / blurred, 0.0))
            if opacity < MIN_ALPHA:
                continue
            squared_extent = 2 * math.log(opacity / MIN_ALPHA)
            extent = min(math.sqrt(squared_extent), MAX_EXTENT)
            if math.ceil(extent * math.sqrt(xx)) <= radius_clip and math.ceil(extent * math.sqrt(yy)) <= radius_clip:
                continue

            u = Ks[b, c, 0, 0] * p[0] / p[2] + Ks[b, c, 0, 2]
            v = Ks[b, c, 1, 1] * p[1] / p[2] + Ks[b, c, 1, 2]
            reach_x = math.sqrt(squared_extent * xx) + MARGIN
            reach_y = math.sqrt(squared_extent * yy) + MARGIN
            # Comparisons that are false for NaN come first: nothing below may turn a NaN into an index.
            if not (u + reach_x >= 0.5 and u - reach_x <= width - 0.5
                    and v + reach_y >= 0.5 and v - reach_y <= height - 0.5):  # fmt: skip
                continue
            first = np.int64(max(math.ceil(u - reach_x - 0.5), 0.0)) // TILE_WIDTH
            last = np.int64(min(math.floor(u + reach_x - 0.5), width - 1.0)) // TILE_WIDTH
            columns[i, n, 0], columns[i, n, 1] = first, last - first + 1

            means2d[i, n, 0], means2d[i, n, 1] = u, v
            ellipses[i, n, 0] = HALF_LOG2E * yy / blurred
            ellipses[i, n, 1] = xy / yy
            ellipses[i, n, 2] = HALF_LOG2E / yy
            ellipses[i, n, 3] = math.log2(opacity)
            depths[i, n] = p[2]
            channels = colors.shape[3]
            for k in range(channels):
                features[i, n, k] = colors[b, c % colors.shape[1], n, k]
            for k in range(channels, features.shape[2]):
                features[i, n, k] = 0.0
            if with_depth:
                features[i, n, channels] = p[2]
