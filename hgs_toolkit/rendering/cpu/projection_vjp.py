"""From the slots of the compositing's backward pass to the gradients of Gaussians and cameras.

Every Gaussian sums its slots in their order; every sum over Gaussians (for the cameras) goes over blocks of fixed
size. Neither depends on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from hgs_toolkit.rendering.cpu.backward import MOMENTS
from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import affine, read_camera, read_quaternion, read_triple
from hgs_toolkit.rendering.cpu.vectors import (
    combine,
    dot,
    rotation,
    rotation_vjp,
    row_times,
    scale_columns,
    times_column,
)

BLOCK = 256
"""Gaussians whose contributions to a camera's gradient are summed together."""


@inlined
def sum_slots(slots, begin, end, sums):
    """Add the pairs of one Gaussian in one image."""
    sums[:] = 0.0
    for slot in range(begin, end):
        for k in range(sums.shape[0]):
            sums[k] += slots[slot, k]


@inlined
def normalized(quats, b, n):
    """Unit quaternion and the inverse of the given one's length; for a zero quaternion zeros (the identity)."""
    q, squared = read_quaternion(quats, b, n)
    inverse = 1.0 / math.sqrt(squared) if squared > 0 else 0.0
    return (q[0] * inverse, q[1] * inverse, q[2] * inverse, q[3] * inverse), inverse


@inlined
def covariance_vjp(sums, H, G, eps2d, antialiased):
    """Gradients of the mean (u, v) and the covariance (xx, xy, yy) of an ellipse from its moments.

    With falloff = yy / det, slope = xy / yy and dx' = dx - slope dy, the moments are sums of h = -dL/dsigma for
    sigma = falloff dx'^2 / 2 + dy^2 / (2 yy). Also h = dL/dlog(opacity), so that the compensation
    sqrt(sharp det / det) of antialiasing takes their sum.
    """
    sharp_xx, xy, sharp_yy = dot(H, H), dot(H, G), dot(G, G)
    xx, yy = sharp_xx + eps2d, sharp_yy + eps2d
    det = xx * yy - xy * xy
    inverse = 1.0 / (det * yy)
    inverse_det, inverse_yy = inverse * yy, inverse * det
    falloff, slope = yy * inverse_det, xy * inverse_yy

    v_u = falloff * sums[1]
    v_v = inverse_yy * sums[2] - slope * v_u
    v_falloff, v_slope, v_inverse_yy = -0.5 * sums[3], falloff * sums[4], -0.5 * sums[5]
    v_xx = -falloff * falloff * v_falloff
    v_xy = -2 * slope * v_xx + inverse_yy * v_slope
    v_yy = slope * slope * v_xx - inverse_yy * (slope * v_slope + inverse_yy * v_inverse_yy)
    if antialiased:
        inverse_sharp = 1.0 / (sharp_xx * sharp_yy - xy * xy)
        v_xx += 0.5 * sums[0] * (sharp_yy * inverse_sharp - yy * inverse_det)
        v_yy += 0.5 * sums[0] * (sharp_xx * inverse_sharp - xx * inverse_det)
        v_xy += sums[0] * xy * (inverse_det - inverse_sharp)
    return v_u, v_v, v_xx, v_xy, v_yy


@inlined
def covariance_root_vjp(q, inverse_length, R, s, v_M):
    """Gradients of scales and quaternion from that of M = R diag(s); moving along the quaternion changes nothing."""
    v_s = (
        R[0][0] * v_M[0][0] + R[1][0] * v_M[1][0] + R[2][0] * v_M[2][0],
        R[0][1] * v_M[0][1] + R[1][1] * v_M[1][1] + R[2][1] * v_M[2][1],
        R[0][2] * v_M[0][2] + R[1][2] * v_M[1][2] + R[2][2] * v_M[2][2],
    )
    v = rotation_vjp(q[0], q[1], q[2], q[3], scale_columns(v_M, s))
    radial = q[0] * v[0] + q[1] * v[1] + q[2] * v[2] + q[3] * v[3]
    v_q = (
        (v[0] - q[0] * radial) * inverse_length,
        (v[1] - q[1] * radial) * inverse_length,
        (v[2] - q[2] * radial) * inverse_length,
        (v[3] - q[3] * radial) * inverse_length,
    )
    return v_s, v_q


@kernel
def project_vjp(
    worker, workers,
    means, quats, scales, opacities, cameras, eps2d, antialiased, with_depth,  # as in projection
    slot_starts, slots,
    v_means, v_quats, v_scales, v_opacities,  # out (B, N, ...)
    v_colors,  # out (B, 1 or C, N, D)
    v_viewmats,  # out (I, blocks, 3, 4) float64, partial sums; or of size 0
):  # fmt: skip
    """Gradients of all inputs of the projection, by blocks of Gaussians."""
    batch, count, per_scene = means.shape[0], means.shape[1], cameras.shape[0] // means.shape[0]
    channels = v_colors.shape[3]
    blocks = (count + BLOCK - 1) // BLOCK
    sums = np.empty(slots.shape[1], np.float64)
    zero = (0.0, 0.0, 0.0)
    for task in range(worker * batch * blocks // workers, (worker + 1) * batch * blocks // workers):
        b, block = task // blocks, task % blocks
        for n in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            q, inverse_length = normalized(quats, b, n)
            R, s = rotation(q[0], q[1], q[2], q[3], 2.0), read_triple(scales, b, n)
            M = scale_columns(R, s)
            m = read_triple(means, b, n)
            v_m, v_M0, v_M1, v_M2, v_log_opacity = zero, zero, zero, zero, 0.0
            for c in range(per_scene):
                i = b * per_scene + c
                begin, end = slot_starts[i * count + n], slot_starts[i * count + n + 1]
                if begin == end:
                    continue
                sum_slots(slots, begin, end, sums)
                for k in range(channels):
                    v_colors[b, c % v_colors.shape[1], n, k] += sums[MOMENTS + k]
                v_log_opacity += sums[0]

                W, t, focal, _, lowest, highest = read_camera(cameras, i)
                p = combine(1.0, times_column(W, m), 1.0, t)
                inverse_z = 1.0 / p[2]
                x, y = p[0] * inverse_z, p[1] * inverse_z
                ratio_x = min(max(x, lowest[0]), highest[0])
                ratio_y = min(max(y, lowest[1]), highest[1])
                fx, fy = focal[0] * inverse_z, focal[1] * inverse_z
                P, Q = affine(W, ratio_x, ratio_y, fx, fy)
                H, G = row_times(P, M), row_times(Q, M)
                v_u, v_v, v_xx, v_xy, v_yy = covariance_vjp(sums, H, G, eps2d, antialiased)

                v_H, v_G = combine(2 * v_xx, H, v_xy, G), combine(v_xy, H, 2 * v_yy, G)
                v_M0 = combine(1.0, v_M0, 1.0, combine(P[0], v_H, Q[0], v_G))
                v_M1 = combine(1.0, v_M1, 1.0, combine(P[1], v_H, Q[1], v_G))
                v_M2 = combine(1.0, v_M2, 1.0, combine(P[2], v_H, Q[2], v_G))
                v_P, v_Q = times_column(M, v_H), times_column(M, v_G)

                # P = fx / z (W0 - ratio_x W2), Q alike; u = fx x / z + cx. A clamped ratio takes no gradient.
                v_x, v_y = focal[0] * v_u, focal[1] * v_v
                if ratio_x == x:
                    v_x -= fx * dot(W[2], v_P)
                if ratio_y == y:
                    v_y -= fy * dot(W[2], v_Q)
                v_z = -(dot(P, v_P) + dot(Q, v_Q) + x * v_x + y * v_y) * inverse_z
                if with_depth:
                    v_z += sums[MOMENTS + channels]
                v_p = (v_x * inverse_z, v_y * inverse_z, v_z)
                v_m = combine(1.0, v_m, 1.0, row_times(v_p, W))
                if v_viewmats.size > 0:
                    v_W2 = combine(-fx * ratio_x, v_P, -fy * ratio_y, v_Q)
                    for k in range(3):
                        v_viewmats[i, block, 0, k] += fx * v_P[k] + v_p[0] * m[k]
                        v_viewmats[i, block, 1, k] += fy * v_Q[k] + v_p[1] * m[k]
                        v_viewmats[i, block, 2, k] += v_W2[k] + v_p[2] * m[k]
                        v_viewmats[i, block, k, 3] += v_p[k]

            v_means[b, n, 0], v_means[b, n, 1], v_means[b, n, 2] = v_m
            v_opacities[b, n] = v_log_opacity / opacities[b, n] if v_log_opacity != 0 else 0.0
            v_s, v_q = covariance_root_vjp(q, inverse_length, R, s, (v_M0, v_M1, v_M2))
            v_scales[b, n, 0], v_scales[b, n, 1], v_scales[b, n, 2] = v_s
            v_quats[b, n, 0], v_quats[b, n, 1], v_quats[b, n, 2], v_quats[b, n, 3] = v_q
