"""Fur patterns: where on a critter its second colour lies.

Each takes places (n, 3) in head units and gives the amount (n,) of the second colour in [0, 1]. All but patches are
symmetric in x, as animals are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hgs_toolkit.datasets.critters.noise import noise
from hgs_toolkit.datasets.critters.raycast import Values


@dataclass(frozen=True)
class PatternMeasures:
    """What varies within a pattern.

    Attributes:
        a, b, c, d: uniform in [0, 1).
        noise_shift: (3,) places this critter somewhere else in the noise.
        eye_center: (3,) left eye, head units.
    """

    a: float
    b: float
    c: float
    d: float
    noise_shift: Values
    eye_center: Values


def plain(place: Values, measures: PatternMeasures) -> Values:  # noqa: ARG001
    """One colour only."""
    return np.zeros(len(place), dtype=np.float32)


def stripes(place: Values, measures: PatternMeasures) -> Values:
    """Wavering bands, from across the forehead to along the back."""
    x, y, z = _folded(place).T
    lean = 2.2 * measures.a
    along = float(np.cos(lean)) * y + float(np.sin(lean)) * z + (measures.b - 0.5) * x
    waver = 1.1 * noise(_folded(place) + measures.noise_shift, 1.1)
    wave = np.sin(2 * np.pi * (2.6 + 2.6 * measures.c) * along + waver)
    return smooth_step(wave, 0.1 + 0.4 * measures.d, 0.45 + 0.4 * measures.d)


def spots(place: Values, measures: PatternMeasures) -> Values:
    """Blots, mirrored left and right."""
    blots = noise(_folded(place) + measures.noise_shift, 2.2 + 2.0 * measures.a)
    return smooth_step(blots, 0.55 + 0.5 * measures.b, 0.8 + 0.5 * measures.b)


def patches(place: Values, measures: PatternMeasures) -> Values:
    """A few large areas, different on the two sides."""
    areas = noise(place + measures.noise_shift, 0.75 + 0.5 * measures.a)
    return smooth_step(areas, 0.6 * measures.b - 0.2, 0.6 * measures.b)


def mask(place: Values, measures: PatternMeasures) -> Values:
    """Around the eyes, and on some the bust too, like a panda or a raccoon."""
    size = np.array([0.16 + 0.05 * measures.a, 0.14 + 0.08 * measures.b, 0.3], dtype=np.float32)
    around_eyes = 1 - smooth_step((((_folded(place) - measures.eye_center) / size) ** 2).sum(axis=1), 0.8, 1.1)
    bust = smooth_step(-place[:, 1], 0.38, 0.44) if measures.c > 0.4 else 0.0
    return np.maximum(around_eyes, bust)


def points(place: Values, measures: PatternMeasures) -> Values:
    """Around the nose and on the ears, fading, like a Siamese cat."""
    from_nose = np.sqrt(((place - np.array([0, -0.12, 0.45], dtype=np.float32)) ** 2).sum(axis=1))
    reach = 0.22 + 0.1 * measures.a
    return np.maximum(1 - smooth_step(from_nose, reach, reach + 0.2), smooth_step(place[:, 1], 0.30, 0.48))


def blaze(place: Values, measures: PatternMeasures) -> Values:
    """A stripe down the forehead that widens towards the muzzle, like a badger."""
    x, y, z = _folded(place).T
    width = 0.035 + 0.07 * measures.a + (0.10 + 0.1 * measures.b) * np.maximum(0.1 - y, 0)
    stripe: Values = (1 - smooth_step(x, width, width + 0.03)) * (z > 0) * (y > -0.38)
    return stripe


PATTERNS: dict[str, tuple[float, Callable[[Values, PatternMeasures], Values]]] = {
    "plain": (0.16, plain),
    "stripes": (0.20, stripes),
    "spots": (0.16, spots),
    "patches": (0.16, patches),
    "mask": (0.12, mask),
    "points": (0.10, points),
    "blaze": (0.10, blaze),
}
"""Probability and function of each pattern."""


def saddle(place: Values, measures: PatternMeasures) -> Values:
    """A blanket over the back from the nape downwards, with wavy edges."""
    x, y, z = _folded(place).T
    wave = noise(_folded(place) + measures.noise_shift, 1.4)
    width, front, top = (
        0.15 + 0.09 * measures.b + 0.03 * wave,
        -0.16 + 0.05 * wave,
        0.06 * wave - 0.12 + 0.2 * measures.a,
    )
    amount: Values = (
        (1 - smooth_step(x, width, width + 0.04))
        * (1 - smooth_step(z, front, front + 0.05))
        * (1 - smooth_step(y, top, top + 0.06))
    )
    return amount


def dorsal_stripe(place: Values, measures: PatternMeasures) -> Values:
    """A stripe from the crown down the back, where a blaze ends."""
    x, _, z = _folded(place).T
    width = 0.05 + 0.06 * measures.a
    stripe: Values = (1 - smooth_step(x, width, width + 0.03)) * (1 - smooth_step(z, -0.08, 0.02))
    return stripe


BACK_PATTERNS: dict[str, Callable[[Values, PatternMeasures], Values]] = {
    "plain": saddle,
    "mask": saddle,
    "points": dorsal_stripe,
    "blaze": dorsal_stripe,
}
"""What is added at the back to patterns that would otherwise stop at the sides of the face."""


def smooth_step(values: Values, low: float | Values, high: float | Values) -> Values:
    """0 below ``low``, 1 above ``high``, a cubic between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    step: Values = t * t * (3 - 2 * t)
    return step


def _folded(place: Values) -> Values:
    """Both halves of the critter laid on its left one."""
    return np.stack([np.abs(place[:, 0]), place[:, 1], place[:, 2]], axis=1)
