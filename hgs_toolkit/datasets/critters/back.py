"""What a critter shows from behind: a tail, a mane, the knots of hats and scarves, and painted backs of its ears.

All of it is drawn from a random generator of its own, so that the same critter has the same front with and without it.
Lengths are in head units; see :mod:`hgs_toolkit.datasets.critters.anatomy` for the axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hgs_toolkit.datasets.critters.anatomy import Anatomy
from hgs_toolkit.datasets.critters.coat import BackPaint
from hgs_toolkit.datasets.critters.raycast import Array

TAIL_KINDS = {
    "round": ("stub", "puff", "curl", "long"),
    "pointed": ("long", "bushy", "bushy", "curl"),
    "long": ("puff", "puff", "puff", "stub"),
    "floppy": ("curl", "long", "bushy", "stub"),
}
"""Kinds of tails by the kind of ears; a repeated one is drawn more often."""

MANE_PROBABILITY = 0.25

EAR_PAINTS = ("plain", "rim", "spot")
"""Backs of ears: as the ear, darker towards the edge, or with a spot of the second colour."""


def add_back(anatomy: Anatomy, rng: np.random.Generator) -> BackPaint:
    """Append the parts that are seen from behind to a grown ``anatomy``; returns how the backs of its ears look."""
    kind = TAIL_KINDS[anatomy.ears][rng.integers(4)]
    {"stub": _stub, "puff": _puff, "long": _long_tail, "bushy": _bushy_tail, "curl": _curl}[kind](anatomy, rng)
    has_mane = rng.random() < MANE_PROBABILITY
    if has_mane:
        _add_mane(anatomy, rng)
    if "hat band" in anatomy.names:
        _add_bow(anatomy, rng)
    if "scarf" in anatomy.names:
        _add_scarf_ends(anatomy, rng)
    paint = EAR_PAINTS[rng.integers(len(EAR_PAINTS))]
    return BackPaint(np.array(anatomy.names) == "ear", paint, has_saddle=bool(rng.random() < 0.5))


def _tail_root(anatomy: Anatomy, up: float = 0.0, forward: float = 0.0) -> Array:
    """The place (3,) on the body's back where a tail begins, moved ``up`` and ``forward``."""
    body = anatomy.names.index("body")
    center, radii = anatomy.centers[body], anatomy.radii[body]
    root: Array = center + radii * np.array([0.0, -0.35, -0.88]) + np.array([0.0, up, forward])
    return root


def _stub(anatomy: Anatomy, rng: np.random.Generator) -> None:
    size = rng.uniform(0.8, 1.2)
    upward = turned_towards(np.array([0.0, 0.9, -0.6]))
    anatomy.add("tail", _tail_root(anatomy, 0.05, -0.02), [0.055 * size, 0.05 * size, 0.12 * size], upward)


def _puff(anatomy: Anatomy, rng: np.random.Generator) -> None:
    size = rng.uniform(0.085, 0.125)
    anatomy.add("tail tip", _tail_root(anatomy, 0.02, -0.5 * size), [size, size, size])


def _long_tail(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A thin tail that rises behind the body and swings to one side."""
    swing = rng.choice([-1.0, 1.0]) * rng.uniform(0.10, 0.28)
    height, thickness = rng.uniform(0.35, 0.60), rng.uniform(0.040, 0.055)

    def place(t: float) -> Array:
        return np.array([swing * math.sin(2.6 * t), height * t**1.4, -0.20 * math.sin(math.pi * min(1.2 * t, 1.0))])

    _add_chain(anatomy, place, [thickness] * 6 + [0.8 * thickness], tip_from=5)


def _bushy_tail(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A fox's or squirrel's tail: thick in the middle, with a tip of its own colour."""
    swing = rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.22)
    height, thickness = rng.uniform(0.30, 0.55), rng.uniform(0.085, 0.125)

    def place(t: float) -> Array:
        return np.array([swing * t, height * t**1.3 - 0.03, -0.22 * math.sin(0.75 * math.pi * t)])

    profile = [0.5, 0.8, 1.0, 1.0, 0.85, 0.5]
    _add_chain(anatomy, place, [thickness * share for share in profile], tip_from=4)


def _curl(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A tail curled up into a ring over the rump."""
    size, side = rng.uniform(0.075, 0.115), rng.choice([-1.0, 1.0])

    def place(t: float) -> Array:
        angle = 1.6 * math.pi * t - 0.5 * math.pi
        return np.array([side * 0.10 * t, size * (1 + math.sin(angle)), -0.06 - size * math.cos(angle)])

    _add_chain(anatomy, place, [0.052, 0.050, 0.047, 0.044, 0.040, 0.034], tip_from=5)


def _add_chain(anatomy: Anatomy, place: Callable[[float], Array], thickness: list[float], tip_from: int) -> None:
    """Ellipsoids along the curve ``place(t)``, t in [0, 1], which starts at the tail's root."""
    root = _tail_root(anatomy)
    knots = [root + place(step / len(thickness)) for step in range(len(thickness) + 1)]
    for number, (start, end, radius) in enumerate(zip(knots, knots[1:], thickness, strict=False)):
        reach = 0.5 * float(np.linalg.norm(end - start)) + 0.8 * radius
        name = "tail tip" if number >= tip_from else "tail"
        anatomy.add(name, (start + end) / 2, [radius, radius, reach], turned_towards(end - start))


def _add_mane(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A ridge of hair from the crown down the back of the head, or down from below a hat."""
    size = rng.uniform(0.8, 1.25)
    highest = -0.1 if anatomy.hat else 0.9
    for pitch in np.linspace(highest, -1.0, 3 if anatomy.hat else 5):
        outward = np.array([0.0, math.sin(pitch), -math.cos(pitch)])
        center = anatomy.tilted(anatomy.skull * outward)
        anatomy.add("mane", center, [0.05 * size, 0.095 * size, 0.075 * size], turned_towards(outward))


def _add_bow(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A bow with two hanging ends where the hat's band is tied."""
    band = anatomy.names.index("hat band")
    center, rotation, radii = anatomy.centers[band], anatomy.rotations[band], anatomy.radii[band]
    size = rng.uniform(1.0, 1.5)
    knot = np.array([0.0, 0.0, -1.02 * radii[2]])
    anatomy.add("bow", center + rotation @ knot, [0.035 * size, 0.04 * size, 0.035], rotation)
    for side in (-1.0, 1.0):
        loop = knot + np.array([side * 0.085 * size, 0.02, -0.01])
        end = knot + np.array([side * 0.05 * size, -0.10 * size, -0.005])
        anatomy.add("bow", center + rotation @ loop, [0.07 * size, 0.05 * size, 0.03], rotation)
        anatomy.add("bow", center + rotation @ end, [0.03 * size, 0.085 * size, 0.02], rotation)


def _add_scarf_ends(anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Two ends of the scarf that hang down the back."""
    scarf = anatomy.names.index("scarf")
    center, radii = anatomy.centers[scarf], anatomy.radii[scarf]
    for side in (-1.0, 1.0):
        length = rng.uniform(0.09, 0.16)
        place = center + np.array([0.05 * side, -0.8 * length, -radii[2] - 0.015])
        anatomy.add("scarf", place, [0.05, length, 0.03])


def turned_towards(direction: Array) -> Array:
    """A rotation (3, 3) that takes the z axis to ``direction`` (3,)."""
    forward = direction / np.linalg.norm(direction)
    helper = np.array([1.0, 0.0, 0.0]) if abs(forward[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    rotation: Array = np.stack([right, np.cross(forward, right), forward], axis=1)
    return rotation
