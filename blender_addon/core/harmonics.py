# SPDX-License-Identifier: GPL-3.0-or-later
"""The real spherical harmonics up to degree 3, in the order and signs of 3D-GS files, as sums of monomials."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Terms = Sequence[tuple[str, float]]
"""Terms, such as ``(("xx", 1.0), ("yy", -1.0))`` for x^2 - y^2; letters in alphabetic order."""

C0 = 0.5 / sqrt(pi)
"""The constant harmonic: rgb = 1/2 + C0 f_dc."""

HARMONICS = "radiance:sh_"
"""Names of the attributes of coefficients begin so; 0 is the first of degree 1, as Blender 5.3 counts them."""

COUNTS = (0, 3, 8, 15)
"""Harmonics above the constant one, by degree."""

_C1 = sqrt(3 / pi) / 2
_C2 = (sqrt(15 / pi) / 2, sqrt(5 / pi) / 4, sqrt(15 / pi) / 4)
_C3 = (sqrt(35 / (2 * pi)) / 4, sqrt(105 / pi) / 2, sqrt(21 / (2 * pi)) / 4, sqrt(7 / pi) / 4, sqrt(105 / pi) / 4)

BASIS: tuple[tuple[float, Terms], ...] = (
    (-_C1, (("y", 1.0),)),
    (_C1, (("z", 1.0),)),
    (-_C1, (("x", 1.0),)),
    (_C2[0], (("xy", 1.0),)),
    (-_C2[0], (("yz", 1.0),)),
    (_C2[1], (("zz", 2.0), ("xx", -1.0), ("yy", -1.0))),
    (-_C2[0], (("xz", 1.0),)),
    (_C2[2], (("xx", 1.0), ("yy", -1.0))),
    (-_C3[0], (("xxy", 3.0), ("yyy", -1.0))),
    (_C3[1], (("xyz", 1.0),)),
    (-_C3[2], (("yzz", 4.0), ("xxy", -1.0), ("yyy", -1.0))),
    (_C3[3], (("zzz", 2.0), ("xxz", -3.0), ("yyz", -3.0))),
    (-_C3[2], (("xzz", 4.0), ("xxx", -1.0), ("xyy", -1.0))),
    (_C3[4], (("xxz", 1.0), ("yyz", -1.0))),
    (-_C3[0], (("xxx", 1.0), ("xyy", -3.0))),
)
"""Those above the constant one: a factor and a polynomial of a unit vector's coordinates."""


def degree_of(count: int) -> int:
    """Degree of ``count`` harmonics above the constant one (0, 3, 8 or 15)."""
    return COUNTS.index(count)


def basis_terms(degree: int) -> list[list[tuple[str, float]]]:
    """The polynomials of the harmonics above the constant one, factors multiplied in."""
    return [[(letters, factor * weight) for letters, weight in terms] for factor, terms in BASIS[: COUNTS[degree]]]


def evaluate(directions: Array, degree: int) -> Array:
    """Values (..., K) of the harmonics above the constant one for unit vectors (..., 3)."""
    axes = {letter: directions[..., index] for index, letter in enumerate("xyz")}
    columns = [
        sum(weight * np.prod([axes[letter] for letter in letters], axis=0) for letters, weight in terms)
        for terms in basis_terms(degree)
    ]
    return np.stack(columns, axis=-1) if columns else np.zeros((*directions.shape[:-1], 0), directions.dtype)


def turned(coefficients: Array, rotation: Array) -> Array:
    """Coefficients (N, K, 3) of the colours after the Gaussians were turned (or mirrored) by ``rotation`` (3, 3).

    The turned function has at a direction d the value that the old one had at R'd. Its coefficients are found by
    solving for the values at more directions than there are harmonics, degree by degree in one system: exact, since
    turning mixes harmonics of a degree only among themselves.
    """
    degree = degree_of(coefficients.shape[1])
    if degree == 0:
        return coefficients
    directions = np.random.default_rng(0).standard_normal((64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mixing = np.linalg.pinv(evaluate(directions, degree)) @ evaluate(directions @ rotation, degree)  # (K, K)
    mixed: Array = np.einsum("kj,njc->nkc", mixing, coefficients).astype(coefficients.dtype)
    return mixed
