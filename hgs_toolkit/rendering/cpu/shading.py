"""View-dependent colour within the kernels: :func:`hgs_toolkit.rendering.harmonics.sh_to_rgb` and its gradient.

The basis is evaluated for eight Gaussians at a time, in float64, and kept in float32, function after function, CHUNK
numbers each. The sums over it go Gaussian by Gaussian, since the coefficients of a Gaussian lie side by side: only
those of Gaussians that are drawn are read. The backward pass computes a colour anew, by the same instructions, to know
which channels were clamped.
"""

from __future__ import annotations

import numpy as np

from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.rendering.cpu.jit import inlined, kernel
from hgs_toolkit.rendering.cpu.projection import CHANNELS, CHUNK, MEANS, NUMBER, PLACE, RECORD, gather, load_three
from hgs_toolkit.rendering.cpu.simd import LANES, peek, poke
from hgs_toolkit.rendering.cpu.simd64 import higher, load64, root, store64
from hgs_toolkit.rendering.cpu.vectors import dot
from hgs_toolkit.rendering.harmonics import C1, C2, C3

COLORS = 3
"""Channels of a view-dependent colour."""

MAX_BASES = 16
"""Number of basis functions of degree 3, the highest."""

MIN_DISTANCE = 1e-12
"""Distance in world units by which an offset from the camera is divided at least, as torch's ``normalize`` does."""

ZERO, HALF = np.float32(0.0), np.float32(0.5)


@inlined
def make_basis():
    """Room for the basis at CHUNK Gaussians; its first function is constant and filled in."""
    basis = np.zeros(MAX_BASES * CHUNK, np.float32)
    basis[:CHUNK] = SH_C0
    return basis


@inlined
def read_position(positions, i):
    """The camera's place in the world, of rows (I, 3)."""
    return (
        np.float64(peek(positions, 3 * i)),
        np.float64(peek(positions, 3 * i + 1)),
        np.float64(peek(positions, 3 * i + 2)),
    )


@inlined
def direction(means, position):
    """Unit vectors from the camera to eight Gaussians, and the inverse distances."""
    x, y, z = means[0] - position[0], means[1] - position[1], means[2] - position[2]
    inverse = 1.0 / higher(root(x * x + y * y + z * z), MIN_DISTANCE)
    return (x * inverse, y * inverse, z * inverse), inverse


@inlined
def store_basis(d, degree, basis, at):
    """Evaluate the functions of degree 1 and more for eight unit vectors; ``basis[at:]`` receives them."""
    x, y, z = d
    store64(basis, at + CHUNK, -C1 * y)
    store64(basis, at + 2 * CHUNK, C1 * z)
    store64(basis, at + 3 * CHUNK, -C1 * x)
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        store64(basis, at + 4 * CHUNK, C2[0] * x * y)
        store64(basis, at + 5 * CHUNK, -C2[0] * y * z)
        store64(basis, at + 6 * CHUNK, C2[1] * (2 * zz - xx - yy))
        store64(basis, at + 7 * CHUNK, -C2[0] * x * z)
        store64(basis, at + 8 * CHUNK, C2[2] * (xx - yy))
        if degree >= 3:
            store64(basis, at + 9 * CHUNK, -C3[0] * y * (3 * xx - yy))
            store64(basis, at + 10 * CHUNK, C3[1] * x * y * z)
            store64(basis, at + 11 * CHUNK, -C3[2] * y * (4 * zz - xx - yy))
            store64(basis, at + 12 * CHUNK, C3[3] * z * (2 * zz - 3 * xx - 3 * yy))
            store64(basis, at + 13 * CHUNK, -C3[2] * x * (4 * zz - xx - yy))
            store64(basis, at + 14 * CHUNK, C3[4] * z * (xx - yy))
            store64(basis, at + 15 * CHUNK, -C3[0] * x * (xx - 3 * yy))


@inlined
def shade(coefficients, start, bases, basis, lane):
    """0.5 + the sum over ``bases`` functions of one Gaussian, whose coefficients begin at ``start``; not clamped."""
    r, g, b = ZERO, ZERO, ZERO
    for k in range(bases):
        value, at = peek(basis, k * CHUNK + lane), start + COLORS * k
        r += value * peek(coefficients, at)
        g += value * peek(coefficients, at + 1)
        b += value * peek(coefficients, at + 2)
    return r + HALF, g + HALF, b + HALF


@inlined
def clamped(value):
    """``value`` unless it is negative; NaN stays."""
    return ZERO if value < ZERO else value


@inlined
def put(values, at, value, fresh):
    """Write a number if it is the first for its place, else add it."""
    poke(values, at, np.float32(value if fresh else peek(values, at) + value))


@inlined
def shade_vjp(coefficients, start, bases, basis, lane, v, fresh, v_coefficients, v_basis):
    """Gradients of one Gaussian's coefficients and basis from that of its colour, none where it was clamped."""
    r, g, b = shade(coefficients, start, bases, basis, lane)
    v_r, v_g, v_b = v[0] if r >= ZERO else ZERO, v[1] if g >= ZERO else ZERO, v[2] if b >= ZERO else ZERO
    for k in range(bases):
        value, at = peek(basis, k * CHUNK + lane), start + COLORS * k
        along = v_r * peek(coefficients, at) + v_g * peek(coefficients, at + 1) + v_b * peek(coefficients, at + 2)
        poke(v_basis, k * CHUNK + lane, np.float64(along))
        put(v_coefficients, at, value * v_r, fresh)
        put(v_coefficients, at + 1, value * v_g, fresh)
        put(v_coefficients, at + 2, value * v_b, fresh)
    if fresh:
        for at in range(start + COLORS * bases, start + coefficients.shape[3]):  # those above the degree
            poke(v_coefficients, at, ZERO)


@inlined
def direction_vjp(d, inverse, degree, v_basis, at):
    """Gradients of eight means through the unit vectors ``d``; those of the camera's place are the opposite."""
    x, y, z = d
    v_x, v_y = -C1 * load64(v_basis, at + 3 * CHUNK), -C1 * load64(v_basis, at + CHUNK)
    v_z = C1 * load64(v_basis, at + 2 * CHUNK)
    if degree >= 2:
        xy, yz = C2[0] * load64(v_basis, at + 4 * CHUNK), -C2[0] * load64(v_basis, at + 5 * CHUNK)
        zz, xz = 2 * C2[1] * load64(v_basis, at + 6 * CHUNK), -C2[0] * load64(v_basis, at + 7 * CHUNK)
        xx = 2 * C2[2] * load64(v_basis, at + 8 * CHUNK)
        v_x = v_x + y * xy + z * xz + x * (xx - zz)
        v_y = v_y + x * xy + z * yz - y * (xx + zz)
        v_z = v_z + y * yz + x * xz + 2 * z * zz
        if degree >= 3:
            xx, yy, zz = x * x, y * y, z * z
            v9, v10 = -C3[0] * load64(v_basis, at + 9 * CHUNK), C3[1] * load64(v_basis, at + 10 * CHUNK)
            v11, v12 = -C3[2] * load64(v_basis, at + 11 * CHUNK), C3[3] * load64(v_basis, at + 12 * CHUNK)
            v13, v14 = -C3[2] * load64(v_basis, at + 13 * CHUNK), C3[4] * load64(v_basis, at + 14 * CHUNK)
            v15, far = -C3[0] * load64(v_basis, at + 15 * CHUNK), 4 * zz
            v_x = v_x + 6 * x * y * v9 + y * z * v10 - 2 * x * y * v11 - 6 * x * z * v12
            v_x = v_x + (far - 3 * xx - yy) * v13 + 2 * x * z * v14 + 3 * (xx - yy) * v15
            v_y = v_y + 3 * (xx - yy) * v9 + x * z * v10 + (far - xx - 3 * yy) * v11 - 6 * y * z * v12
            v_y = v_y - 2 * x * y * v13 - 2 * y * z * v14 - 6 * x * y * v15
            v_z = v_z + x * y * v10 + 8 * y * z * v11 + (6 * zz - 3 * xx - 3 * yy) * v12
            v_z = v_z + 8 * x * z * v13 + (xx - yy) * v14
    along = dot(d, (v_x, v_y, v_z))
    return (v_x - x * along) * inverse, (v_y - y * along) * inverse, (v_z - z * along) * inverse


@kernel
def shade_visible(
    worker, workers,
    means,  # (B, N, 3)
    coefficients,  # (B, 1 or C, N, 3 K)
    positions,  # (I, 3) the cameras' places in the world, read from degree 1 on
    degree,
    places,  # see projection
    records,  # out (I, N, 12): the first three channels
):  # fmt: skip
    """Evaluate the harmonics of the Gaussians that are drawn; within :func:`project` they would slow plain colours."""
    images, count = records.shape[0], records.shape[1]
    per_scene, bases = images // means.shape[0], (degree + 1) * (degree + 1)
    chunks = (count + CHUNK - 1) // CHUNK
    room, basis = np.ones(3 * CHUNK, np.float32), make_basis()
    for task in range(worker * images * chunks // workers, (worker + 1) * images * chunks // workers):
        i, first = task // chunks, task % chunks * CHUNK
        b, c = i // per_scene, i % per_scene
        last = min(first + CHUNK, count)
        if degree > 0:
            position = read_position(positions, i)
            gather(means, b * count, first, last, room, MEANS)
            for lane in range(0, last - first, LANES):
                store_basis(direction(load_three(room, MEANS + lane), position)[0], degree, basis, lane)
        row = (b * coefficients.shape[1] + c % coefficients.shape[1]) * count + first
        for lane in range(last - first):
            item = i * count + first + lane
            if peek(places, PLACE * item + NUMBER) > 0:
                red, green, blue = shade(coefficients, (row + lane) * coefficients.shape[3], bases, basis, lane)
                at = item * RECORD + CHANNELS
                poke(records, at, clamped(red))
                poke(records, at + 1, clamped(green))
                poke(records, at + 2, clamped(blue))
