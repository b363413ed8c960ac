# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a lens and moments of an exposure, whose images are averaged for depth of field and motion blur."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .splats import Array

GOLDEN = (math.sqrt(5) - 1) / 2
"""Fraction of a turn between neighbours of a sunflower's seeds, which fill a disc evenly however many they are."""


@dataclass(frozen=True)
class Aperture:
    """The opening of a lens, in a plane through the camera's centre.

    Attributes:
        radius: in the camera's units of length; 0 is a pinhole.
        focus: depth at which images are sharp.
        blades: corners of the opening; below 3 it is round.
        turn: radians by which the corners are turned.
        ratio: height of the opening over its width, for anamorphic lenses.
    """

    radius: float
    focus: float
    blades: int = 0
    turn: float = 0.0
    ratio: float = 1.0


def lens_points(aperture: Aperture, count: int) -> Array:
    """``count`` points (N, 2) that fill the opening evenly, x right and y up, units of length."""
    first = (np.arange(count) + 0.5) / count
    second = (np.arange(count) * GOLDEN) % 1
    if aperture.blades < 3:
        points = np.sqrt(first)[:, None] * _directions(2 * np.pi * second)
    else:
        points = _in_polygon(first, second, aperture.blades, aperture.turn)
    return aperture.radius * points / (aperture.ratio, 1.0)


def _in_polygon(first: Array, second: Array, corners: int, turn: float) -> Array:
    """Points of a regular polygon in the unit circle from pairs of numbers in 0..1: a triangle, then a place in it."""
    corner = np.floor(second * corners)
    side = np.sqrt(second * corners - corner)
    u, v = 1 - side, first * side
    half = np.pi / corners
    points = np.stack([(u + v) * np.cos(half), (u - v) * np.sin(half)], -1)
    turned = turn + 2 * half * corner
    cosine, sine = np.cos(turned), np.sin(turned)
    return np.stack([cosine * points[:, 0] - sine * points[:, 1], sine * points[:, 0] + cosine * points[:, 1]], -1)


def _directions(angles: Array) -> Array:
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def moments(frame: float, shutter: float, position: str, count: int) -> Array:
    """``count`` frames (N,), whole and fractional, that share a shutter's time evenly.

    They are mixed, so that points of the lens that are neighbours see different moments.

    Args:
        shutter: frames for which it is open.
        position: what ``frame`` is of that time: its START, CENTER or END.
    """
    start = frame - shutter * {"START": 0.0, "CENTER": 0.5, "END": 1.0}[position]
    step = max(1, round(count * GOLDEN))
    while math.gcd(step, count) > 1:
        step += 1
    return start + shutter * ((np.arange(count) * step) % count + 0.5) / count


def through_lens(to_camera: Array, point: Array, focus: float) -> Array:
    """The matrix (4, 4) from the world to a camera that looks through ``point`` (2,) of the lens, OpenCV's axes.

    The camera moves, and shears what it sees so that the plane at the depth ``focus`` stays where it was. What the lens
    does to pixels stays the same, for perspective and for parallel rays.
    """
    x, y = float(point[0]), -float(point[1])
    shear = np.eye(4)
    shear[:2, 3] = -x, -y
    shear[:2, 2] = x / focus, y / focus
    result: Array = shear @ to_camera
    return result
