# SPDX-License-Identifier: Apache-2.0
"""The columns of a .ply of Gaussians, as the 3D-GS reference and other programs write them."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stored import SH_C0, Floats, ParseError

COLOURS = ("red", "green", "blue")
"""Columns in place of f_dc (nerfstudio)."""

SIZES = ("scale_0", "scale_1", "scale_2")
"""Columns of the log scales; 2D Gaussian splatting has two."""

FILTER = "filter_3D"
"""Column of Mip-Splatting's 3D smoothing filter."""

THINNESS = math.log(1e-3)
"""Logarithm of the ratio of a disc's thickness to the smaller of its two sizes."""

REQUIRED = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", *SIZES, "rot_0", "rot_1", "rot_2", "rot_3")


def missing_columns(available: Collection[str]) -> list[str]:
    """Columns that a file of Gaussians needs and that are not ``available``."""
    optional = {SIZES[2]} | (set(REQUIRED[3:6]) if set(COLOURS) <= set(available) else set())
    return [name for name in REQUIRED if name not in available and name not in optional]


def degree_of(columns: Collection[str]) -> int:
    """The degree of the harmonics in the f_rest columns.

    Raises:
        ParseError: if no degree has that many columns, or they are not numbered from 0.
    """
    count = sum(name.startswith("f_rest_") for name in columns)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(count)
    if degree is None or not set(columns) >= {f"f_rest_{i}" for i in range(count)}:
        raise ParseError(f"it has {count} f_rest columns; expected none, or f_rest_0 up to 9, 24 or 45 of them")
    return degree


def coefficients_of_colours(rows: NDArray[Any]) -> Floats:
    """Constant coefficients (N, 3) of red, green and blue, which are 0 to the greatest of their type, floats 0 to 1."""
    colours = []
    for name in COLOURS:
        values = rows[name]
        greatest = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
        colours.append(values.astype(np.float32) / np.float32(greatest))
    result: Floats = (np.stack(colours, axis=1) - np.float32(0.5)) / np.float32(SH_C0)
    return result


def thin_scale(two: Floats) -> Floats:
    """The third log scale (N,) of discs of log scales ``two`` (N, 2)."""
    thin: Floats = two.min(axis=1) + np.float32(THINNESS)
    return thin


def fuse_filter(log_scales: Floats, logits: Floats, width: Floats) -> tuple[Floats, Floats]:
    """Log scales (N, 3) and logits (N,) after Mip-Splatting's smoothing by standard deviations ``width`` (N,).

    The variances add up, and the opacity falls by the root of the ratio of the determinants (Yu et al.,
    "Mip-Splatting", CVPR 2024, equation 9). Values that are not finite stay so.
    """
    with np.errstate(all="ignore"):
        sizes = log_scales.astype(np.float64)
        fused = np.log(np.exp(2 * sizes) + np.square(width.astype(np.float64))[:, None]) / 2
        dimming = np.exp(sizes.sum(axis=1) - fused.sum(axis=1))
        opacities = dimming / (1 + np.exp(-logits.astype(np.float64)))
        return fused.astype(np.float32), (np.log(opacities) - np.log1p(-opacities)).astype(np.float32)
