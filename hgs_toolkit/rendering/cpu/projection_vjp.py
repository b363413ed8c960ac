"""From the slots of the compositing's backward pass to the gradients of Gaussians and cameras.

Every Gaussian sums its slots in their order; every sum over Gaussians (for the cameras) goes over blocks of fixed
size. Neither depends on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from hgs_toolkit.rendering.cpu.backward import MOMENTS
from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import affine, covariance_root, to_camera, world_to_camera
from hgs_toolkit.rendering.cpu.vectors import combine, dot, rotation_vjp, row_times

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
def covariance_vjp(sums, xx, xy, yy, det):
    """Gradients of the mean (u, v) and of the blurred covariance (xx, xy, yy) from the moments.

    sigma = falloff dx'^2 / 2 + dy^2 / (2 yy) with falloff = yy / det, slope = xy / yy, dx' = dx - slope dy, and the
    moments are sums of h = -dL/dsigma.
    """
    falloff, slope, inverse = yy / det, xy / yy, 1.0 / yy
    v_u = falloff * sums[1]
    v_v = inverse * sums[2] - slope * v_u
    v_falloff, v_slope, v_inverse = -0.5 * sums[3], falloff * sums[4], -0.5 * sums[5]
    v_xx = -falloff * falloff * v_falloff
    v_xy = 2 * falloff * falloff * slope * v_falloff + inverse * v_slope
    v_yy = (falloff * slope) ** 2 * -v_falloff - slope * inverse * v_slope - inverse * inverse * v_inverse
    return v_u, v_v, v_xx, v_xy, v_yy


@kernel
def project_vjp(
    worker, workers,
    means, quats, scales, opacities, viewmats, Ks, width, height, eps2d, antialiased,
    channels,  # of the colours, without depth
    with_depth,
    slot_starts, slots,
    v_means, v_quats, v_scales, v_opacities,  # out (B, N, ...)
    v_colors,  # out (B, 1 or C, N, D)
    v_viewmats,  # out (I, blocks, 3, 4) float64, partial sums; or of size 0
):  # fmt: skip
    """Gradients of all inputs of the projection, by blocks of Gaussians."""
    batch, count, cameras = means.shape[0], means.shape[1], viewmats.shape[1]
    blocks = (count + BLOCK - 1) // BLOCK
    sums = np.empty(slots.shape[1], np.float64)
    for task in range(worker * batch * blocks // workers, (worker + 1) * batch * blocks // workers):
        b, block = task // blocks, task % blocks
        for n in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            q, length, R, s, M = covariance_root(quats, scales, b, n)
            zero = (0.0, 0.0, 0.0)
            v_m, v_M0, v_M1, v_M2, v_opacity = zero, zero, zero, zero, 0.0
            for c in range(cameras):
                i = b * cameras + c
                begin, end = slot_starts[i * count + n], slot_starts[i * count + n + 1]
                if begin == end:
                    continue
                sum_slots(slots, begin, end, sums)
                for k in range(channels):
                    v_colors[b, c % v_colors.shape[1], n, k] += sums[MOMENTS + k]

                W, t = world_to_camera(viewmats, b, c)
                m, p = to_camera(W, t, means, b, n)
                P, Q, ratio_x, ratio_y = affine(W, p, Ks[b, c], width, height)
                H, G = row_times(P, M), row_times(Q, M)
                sharp_xx, xy, sharp_yy = dot(H, H), dot(H, G), dot(G, G)
                xx, yy = sharp_xx + eps2d, sharp_yy + eps2d
                det = xx * yy - xy * xy
                v_u, v_v, v_xx, v_xy, v_yy = covariance_vjp(sums, xx, xy, yy, det)

                opacity = np.float64(opacities[b, n])
                v_opacity += sums[0] / opacity
                if antialiased:
                    # h = alpha dL/dalpha is also the gradient of log(sqrt(sharp det / det)).
                    sharp_det = sharp_xx * sharp_yy - xy * xy
                    v_xx += 0.5 * sums[0] * (sharp_yy / sharp_det - yy / det)
                    v_yy += 0.5 * sums[0] * (sharp_xx / sharp_det - xx / det)
                    v_xy += sums[0] * (xy / det - xy / sharp_det)

                v_H, v_G = combine(2 * v_xx, H, v_xy, G), combine(v_xy, H, 2 * v_yy, G)
                v_M0 = combine(1.0, v_M0, 1.0, combine(P[0], v_H, Q[0], v_G))
                v_M1 = combine(1.0, v_M1, 1.0, combine(P[1], v_H, Q[1], v_G))
                v_M2 = combine(1.0, v_M2, 1.0, combine(P[2], v_H, Q[2], v_G))
                v_P = (dot(M[0], v_H), dot(M[1], v_H), dot(M[2], v_H))
                v_Q = (dot(M[0], v_G), dot(M[1], v_G), dot(M[2], v_G))

                # P = fx / z (W0 - ratio_x W2), Q alike; u = fx x / z + cx. A clamped ratio takes no gradient.
                fx, fy = Ks[b, c, 0, 0] / p[2], Ks[b, c, 1, 1] / p[2]
                v_ratio_x, v_ratio_y = Ks[b, c, 0, 0] * v_u, Ks[b, c, 1, 1] * v_v
                if ratio_x == p[0] / p[2]:
                    v_ratio_x -= fx * dot(W[2], v_P)
                if ratio_y == p[1] / p[2]:
                    v_ratio_y -= fy * dot(W[2], v_Q)
                v_z = -(dot(P, v_P) + dot(Q, v_Q) + (p[0] * v_ratio_x + p[1] * v_ratio_y) / p[2]) / p[2]
                if with_depth:
                    v_z += sums[MOMENTS + channels]
                v_p = (v_ratio_x / p[2], v_ratio_y / p[2], v_z)
                v_m = combine(1.0, v_m, 1.0, row_times(v_p, W))
                if v_viewmats.size > 0:
                    third = combine(-fx * ratio_x, v_P, -fy * ratio_y, v_Q)
                    v_W = v_viewmats[i, block]
                    for k in range(3):
                        v_W[0, k] += fx * v_P[k] + v_p[0] * m[k]
                        v_W[1, k] += fy * v_Q[k] + v_p[1] * m[k]
                        v_W[2, k] += third[k] + v_p[2] * m[k]
                        v_W[k, 3] += v_p[k]

            v_means[b, n, 0], v_means[b, n, 1], v_means[b, n, 2] = v_m
            v_opacities[b, n] = v_opacity
            for k in range(3):
                v_scales[b, n, k] = R[0][k] * v_M0[k] + R[1][k] * v_M1[k] + R[2][k] * v_M2[k]
            v_R = (
                (v_M0[0] * s[0], v_M0[1] * s[1], v_M0[2] * s[2]),
                (v_M1[0] * s[0], v_M1[1] * s[1], v_M1[2] * s[2]),
                (v_M2[0] * s[0], v_M2[1] * s[1], v_M2[2] * s[2]),
            )
            v_q = rotation_vjp(q[0], q[1], q[2], q[3], v_R)
            radial = q[0] * v_q[0] + q[1] * v_q[1] + q[2] * v_q[2] + q[3] * v_q[3]
            for k in range(4):
                v_quats[b, n, k] = (v_q[k] - q[k] * radial) / length if length > 0 else 0.0
