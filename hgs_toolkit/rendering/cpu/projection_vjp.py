"""From the slots of the compositing's backward pass to the gradients of Gaussians and cameras.

Every Gaussian sums its slots in their order; every sum over Gaussians (for the cameras) goes over blocks of fixed
size. Neither depends on the number of threads.
"""

from __future__ import annotations

import numpy as np

from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import (
    CHUNK,
    affine,
    gather,
    load_quaternion,
    load_three,
    read_camera,
)
from hgs_toolkit.rendering.cpu.shading import (
    MAX_BASES,
    direction,
    direction_vjp,
    make_basis,
    read_position,
    store_basis,
)
from hgs_toolkit.rendering.cpu.simd import LANES, peek, poke
from hgs_toolkit.rendering.cpu.simd64 import choose, higher, load64, lower, root, store64, total
from hgs_toolkit.rendering.cpu.slots import DEPTH, DRAWN, LOG_OPACITY, MEAN, ROOT, SUMS, sum_chunk
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

# Where numbers of CHUNK Gaussians lie side by side: what is given and, from 0 again, the gradients.
MEANS, QUATS, SCALES, OPACITIES, ROOM = (k * CHUNK for k in (0, 3, 7, 10, 11))

CAMERA = 16
"""Numbers of a camera's gradient: three rows of its matrix, four numbers each, its place in the world, and nothing."""


@inlined
def load_normalized(room, at):
    """Unit quaternions and the inverse of the given ones' lengths; for a zero quaternion zeros (the identity)."""
    q, squared = load_quaternion(room, at)
    inverse = choose(squared > 0, 1.0 / root(squared), 0.0)
    return (q[0] * inverse, q[1] * inverse, q[2] * inverse, q[3] * inverse), inverse


@inlined
def load_moments(sums, at):
    """The moments of eight Gaussians."""
    return (
        load64(sums, at), load64(sums, at + CHUNK), load64(sums, at + 2 * CHUNK),
        load64(sums, at + 3 * CHUNK), load64(sums, at + 4 * CHUNK), load64(sums, at + 5 * CHUNK),
    )  # fmt: skip


@inlined
def store_three(room, at, values):
    """The inverse of load_three."""
    store64(room, at, values[0])
    store64(room, at + CHUNK, values[1])
    store64(room, at + 2 * CHUNK, values[2])


@inlined
def add_three(sums, at, drawn, values):
    """Add to three numbers of eight Gaussians where ``drawn`` holds; elsewhere they may be anything."""
    values = choose(drawn, values[0], 0.0), choose(drawn, values[1], 0.0), choose(drawn, values[2], 0.0)
    store_three(sums, at, combine(1.0, load_three(sums, at), 1.0, values))


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
        v_xx = v_xx + 0.5 * sums[0] * (sharp_yy * inverse_sharp - yy * inverse_det)
        v_yy = v_yy + 0.5 * sums[0] * (sharp_xx * inverse_sharp - xx * inverse_det)
        v_xy = v_xy + sums[0] * xy * (inverse_det - inverse_sharp)
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


@inlined
def add_row(v_cameras, at, drawn, v_row, v_p, m):
    """Add eight Gaussians' part of the gradient of one row, three of the rotation and one of the translation."""
    v = combine(1.0, v_row, v_p, m)
    for k, value in enumerate((v[0], v[1], v[2], v_p)):
        poke(v_cameras, at + k, peek(v_cameras, at + k) + total(choose(drawn, value, 0.0)))


@inlined
def add_directions(position, degree, v_basis, room, sums, at, v_cameras, i, block):
    """Gradients of eight means, and of the camera's place, by the colours that they have from there."""
    d, inverse = direction(load_three(room, MEANS + at), position)
    v, drawn = direction_vjp(d, inverse, degree, v_basis, at), load64(sums, DRAWN + at) > 0
    add_three(sums, MEAN + at, drawn, v)
    if v_cameras.size > 0:
        to = (i * v_cameras.shape[1] + block) * CAMERA + 12
        for k, value in enumerate(v):
            poke(v_cameras, to + k, peek(v_cameras, to + k) - total(choose(drawn, value, 0.0)))


@inlined
def add_eight(camera, eps2d, antialiased, room, sums, at, v_cameras, i, block):
    """Gradients of eight Gaussians by one image, from their moments at ``at`` in ``sums`` to the sums over images."""
    W, t, focal, _, lowest, highest = camera
    moments = load_moments(sums, at)
    drawn = load64(sums, DRAWN + at) > 0
    m = load_three(room, MEANS + at)
    q, _ = load_normalized(room, QUATS + at)
    M = scale_columns(rotation(q[0], q[1], q[2], q[3], 2.0), load_three(room, SCALES + at))
    p = combine(1.0, times_column(W, m), 1.0, t)
    inverse_z = 1.0 / p[2]
    x, y = p[0] * inverse_z, p[1] * inverse_z
    ratio_x = lower(higher(x, lowest[0]), highest[0])
    ratio_y = lower(higher(y, lowest[1]), highest[1])
    fx, fy = focal[0] * inverse_z, focal[1] * inverse_z
    P, Q = affine(W, ratio_x, ratio_y, fx, fy)
    H, G = row_times(P, M), row_times(Q, M)
    v_u, v_v, v_xx, v_xy, v_yy = covariance_vjp(moments, H, G, eps2d, antialiased)

    v_H, v_G = combine(2 * v_xx, H, v_xy, G), combine(v_xy, H, 2 * v_yy, G)
    add_three(sums, ROOT + at, drawn, combine(P[0], v_H, Q[0], v_G))
    add_three(sums, ROOT + 3 * CHUNK + at, drawn, combine(P[1], v_H, Q[1], v_G))
    add_three(sums, ROOT + 6 * CHUNK + at, drawn, combine(P[2], v_H, Q[2], v_G))
    v_P, v_Q = times_column(M, v_H), times_column(M, v_G)

    # P = fx / z (W0 - ratio_x W2), Q alike; u = fx x / z + cx. A clamped ratio takes no gradient.
    v_x = focal[0] * v_u - choose(ratio_x == x, fx * dot(W[2], v_P), 0.0)
    v_y = focal[1] * v_v - choose(ratio_y == y, fy * dot(W[2], v_Q), 0.0)
    v_z = -(dot(P, v_P) + dot(Q, v_Q) + x * v_x + y * v_y) * inverse_z + load64(sums, DEPTH + at)
    v_p = (v_x * inverse_z, v_y * inverse_z, v_z)
    add_three(sums, MEAN + at, drawn, row_times(v_p, W))
    store64(sums, LOG_OPACITY + at, load64(sums, LOG_OPACITY + at) + choose(drawn, moments[0], 0.0))
    if v_cameras.size > 0:
        row = (i * v_cameras.shape[1] + block) * CAMERA
        add_row(v_cameras, row, drawn, (fx * v_P[0], fx * v_P[1], fx * v_P[2]), v_p[0], m)
        add_row(v_cameras, row + 4, drawn, (fy * v_Q[0], fy * v_Q[1], fy * v_Q[2]), v_p[1], m)
        add_row(v_cameras, row + 8, drawn, combine(-fx * ratio_x, v_P, -fy * ratio_y, v_Q), v_p[2], m)


@inlined
def finish_eight(room, sums, at):
    """Gradients of what was given, in place of it in ``room``, from the sums over images."""
    q, inverse_length = load_normalized(room, QUATS + at)
    R, s = rotation(q[0], q[1], q[2], q[3], 2.0), load_three(room, SCALES + at)
    v_M = (
        load_three(sums, ROOT + at),
        load_three(sums, ROOT + 3 * CHUNK + at),
        load_three(sums, ROOT + 6 * CHUNK + at),
    )
    v_s, v_q = covariance_root_vjp(q, inverse_length, R, s, v_M)
    store_three(room, MEANS + at, load_three(sums, MEAN + at))
    store_three(room, SCALES + at, v_s)
    store_three(room, QUATS + at, v_q)
    store64(room, QUATS + 3 * CHUNK + at, v_q[3])
    v_log_opacity, opacity = load64(sums, LOG_OPACITY + at), load64(room, OPACITIES + at)
    none = (v_log_opacity <= 0.0) & (v_log_opacity >= 0.0)
    store64(room, OPACITIES + at, choose(none, 0.0, v_log_opacity / opacity))


@inlined
def scatter(room, at, values, start, lanes):
    """Copy components from ``room[at:]`` to the rows ``start`` and after of ``values``: gather turned round."""
    width = values.size // (values.shape[0] * values.shape[1])
    for k in range(width):
        for lane in range(lanes):
            poke(values, (start + lane) * width + k, peek(room, at + k * CHUNK + lane))


@kernel
def project_vjp(
    worker, workers,
    means, quats, scales, opacities, colors,  # as in projection
    cameras, positions, degree, eps2d, antialiased, with_depth,
    places,  # see projection: where the slots of each Gaussian begin
    slots,
    v_means, v_quats, v_scales, v_opacities,  # out (B, N, ...)
    v_colors,  # out, as colors
    v_features,  # out (B, 1 or C, N, F)
    v_cameras,  # out (I, blocks, 16) float64, partial sums; or of size 0
):  # fmt: skip
    """Gradients of all inputs of the projection, by blocks of Gaussians."""
    batch, count, per_scene = means.shape[0], means.shape[1], cameras.shape[0] // means.shape[0]
    blocks = (count + BLOCK - 1) // BLOCK
    room, sums, eight = np.ones(ROOM, np.float32), np.zeros(SUMS, np.float64), np.empty(LANES, np.float64)
    basis, v_basis = make_basis(), np.zeros(MAX_BASES * CHUNK, np.float64)
    for task in range(worker * batch * blocks // workers, (worker + 1) * batch * blocks // workers):
        b, block = task // blocks, task % blocks
        for first in range(block * BLOCK, min((block + 1) * BLOCK, count), CHUNK):
            last = min(first + CHUNK, count)
            gather(means, b * count, first, last, room, MEANS)
            gather(quats, b * count, first, last, room, QUATS)
            gather(scales, b * count, first, last, room, SCALES)
            gather(opacities, b * count, first, last, room, OPACITIES)
            sums[:] = 0.0
            for c in range(per_scene):
                i = b * per_scene + c
                position = read_position(positions, i)
                if degree > 0:
                    for at in range(0, last - first, LANES):
                        store_basis(direction(load_three(room, MEANS + at), position)[0], degree, basis, at)
                row = b * v_colors.shape[1] + c % v_colors.shape[1]
                feature_row = b * v_features.shape[1] + c % v_features.shape[1]
                sum_chunk(
                    slots, places[i * count :], first, last, colors, degree, basis,
                    row, c < v_colors.shape[1], v_colors, v_basis,
                    feature_row, c < v_features.shape[1], v_features, with_depth, sums, eight,
                )  # fmt: skip
                camera = read_camera(cameras, i)
                for at in range(0, last - first, LANES):
                    add_eight(camera, eps2d, antialiased, room, sums, at, v_cameras, i, block)
                    if degree > 0:
                        add_directions(position, degree, v_basis, room, sums, at, v_cameras, i, block)
            for at in range(0, last - first, LANES):
                finish_eight(room, sums, at)
            start, lanes = b * count + first, last - first
            scatter(room, MEANS, v_means, start, lanes)
            scatter(room, QUATS, v_quats, start, lanes)
            scatter(room, SCALES, v_scales, start, lanes)
            scatter(room, OPACITIES, v_opacities, start, lanes)
