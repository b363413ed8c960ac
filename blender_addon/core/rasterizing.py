# SPDX-License-Identifier: GPL-3.0-or-later
"""Projected Gaussians as an image, in numpy: tiles of pixels, each with the Gaussians that reach it, nearest first.

Compositing is the toolkit's: alpha = min(0.999, o exp(-sigma)), left out below 1/255, and a pixel ends before the
Gaussian that would leave a ten-thousandth of its light or less.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from .projection import MIN_ALPHA, Projected
from .splats import Array

MAX_ALPHA = 0.999
"""Upper bound of what one Gaussian covers of a pixel."""

MIN_TRANSMITTANCE = 1e-4

SMALL_TILE, TILE = 8, 16
"""Sides of tiles, pixels: smaller ones cost more calls, larger ones more pixels that a Gaussian does not reach."""

SMALL = 6.0
"""Half the width, pixels, below which most of an image's Gaussians are better drawn in small tiles."""

CHUNK = 96
"""Gaussians of a tile taken at a time, so that arrays of (CHUNK, TILE^2) stay in the processor's cache."""

OnProgress = Callable[[float], bool]
"""Called with the fraction that is done; returns whether to go on."""


class SplatImage(NamedTuple):
    """Colours with what covers them multiplied in, that cover, and the mean depth (0 where there is nothing)."""

    colors: Array  # (H, W, 3) float32
    alphas: Array  # (H, W)
    depths: Array  # (H, W)
    sums: Array  # (H, W, C) of further values, each times its Gaussian's share of the pixel


class _Tiles(NamedTuple):
    """For each tile, row by row, a slice of ``members``, which are numbers of Gaussians, nearest first."""

    side: int  # pixels
    across: int
    down: int
    starts: Array  # (tiles + 1,)
    members: Array  # (pairs,)


def rasterize(
    splats: Projected, width: int, height: int, *, limits: Array | None = None, further: Array | None = None,
    progress: OnProgress | None = None,
) -> SplatImage | None:  # fmt: skip
    """Composite front to back over nothing; None if ``progress`` stopped it.

    Args:
        splats: nearest first.
        width, height: of the image, pixels.
        limits: (H, W) depth beyond which a pixel shows something else, infinite where it does not.
        further: (M, C) values to be summed up besides, such as normals and what an object is known by.
        progress: called after every row of tiles.
    """
    tiles = _sort_into_tiles(splats, width, height)
    side = tiles.side
    columns = [splats.colors, splats.depths, np.ones(len(splats.depths))]
    values = np.column_stack(columns if further is None else [*columns, further]).astype(np.float32)
    sheet = np.zeros((tiles.down * side, tiles.across * side, values.shape[1]), np.float32)
    if limits is not None:
        padding = [(0, whole - size) for whole, size in zip(sheet.shape, limits.shape, strict=False)]
        limits = np.pad(limits, padding, constant_values=np.inf).astype(np.float32)
    coefficients = _exponents(splats)

    def draw_row(row: int) -> None:
        for column in range(tiles.across):
            index = row * tiles.across + column
            members = tiles.members[tiles.starts[index] : tiles.starts[index + 1]]
            if len(members):
                place = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
                limit = None if limits is None else limits[place].ravel()
                middle = ((column + 0.5) * side, (row + 0.5) * side)
                sheet[place] = _draw_tile(members, coefficients, splats, values, middle, limit, side)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter while it computes
        for done, _ in enumerate(pool.map(draw_row, range(tiles.down)), 1):
            if progress and not progress(done / tiles.down):
                pool.shutdown(cancel_futures=True)
                return None
    sheet = sheet[:height, :width]
    alphas = sheet[..., 4]
    return SplatImage(sheet[..., :3], alphas, sheet[..., 3] / np.maximum(alphas, 1e-10), sheet[..., 5:])


def _sort_into_tiles(splats: Projected, width: int, height: int) -> _Tiles:
    side = SMALL_TILE if len(splats.extents) and np.median(splats.extents) < SMALL else TILE
    across, down = -(-width // side), -(-height // side)
    # Pixel centres stand half a pixel inside of a tile's edges.
    low = np.floor((splats.centres - splats.extents - 0.5) / side)
    high = np.floor((splats.centres + splats.extents + 0.5) / side)
    low, high = (np.clip(edge, 0, (across - 1, down - 1)).astype(np.int64) for edge in (low, high))
    wide, tall = (high - low + 1).T
    counts = wide * tall
    members = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)  # within a Gaussian's own tiles
    rows, columns = np.divmod(place, wide[members])
    tile = (low[members, 1] + rows) * across + low[members, 0] + columns
    kind = np.uint16 if across * down <= 1 << 16 else np.int64  # numpy sorts short integers in linear time
    order = np.argsort(tile.astype(kind), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(tile, minlength=across * down))])
    return _Tiles(side, across, down, starts, members[order])


def _exponents(splats: Projected) -> Array:
    """(N, 3) factors of dx^2, dx dy, dy^2 in the logarithm of alpha, of which the opacity's is the constant."""
    xx, xy, yy = splats.conics.T
    return np.stack([-0.5 * xx, -xy, -0.5 * yy], -1)


def _draw_tile(
    members: Array, exponents: Array, splats: Projected, values: Array, middle: tuple[float, float],
    limit: Array | None, side: int,
) -> Array:  # fmt: skip
    """One tile (side, side, C): the sum of alpha times transmittance times ``values``."""
    total = np.zeros((side * side, values.shape[1]), np.float32)
    light = np.ones(side * side, np.float32)
    for start in range(0, len(members), CHUNK):
        chosen = members[start : start + CHUNK]
        alphas = _alphas(exponents[chosen], splats.centres[chosen] - middle, splats.opacities[chosen], side)  # (K, P)
        if limit is not None:
            alphas *= splats.depths[chosen, None] < limit
        after = np.multiply.accumulate(np.concatenate([light[None], 1 - alphas]), 0)  # (K + 1, P)
        alphas *= after[:-1]
        alphas *= after[1:] > MIN_TRANSMITTANCE
        total += alphas.T @ values[chosen]
        light = after[-1]
        if light.max() <= MIN_TRANSMITTANCE:
            break
    return total.reshape(side, side, -1)


def _alphas(exponents: Array, centres: Array, opacities: Array, side: int) -> Array:
    """(K, P) for the pixels of a tile, relative to whose middle the centres are.

    The quadratic form is a product of six factors a Gaussian and six monomials a pixel, in 64 bits: needles that are
    much longer than the tile cancel almost all of it.
    """
    a, b, c = exponents.T
    x, y = centres.T
    factors = np.stack([a, b, c, -2 * a * x - b * y, -2 * c * y - b * x,
                        a * x * x + b * x * y + c * y * y + np.log(opacities)], -1)  # fmt: skip
    alphas = np.exp((factors @ _monomials(side)).astype(np.float32))
    np.minimum(alphas, np.float32(MAX_ALPHA), out=alphas)
    alphas *= alphas >= np.float32(MIN_ALPHA)
    return alphas


@functools.cache
def _monomials(side: int) -> Array:
    """(6, P) x^2, x y, y^2, x, y and 1 of a tile's pixels, from its middle."""
    y, x = (np.mgrid[:side, :side] + 0.5 - side / 2).reshape(2, -1)
    return np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)])
