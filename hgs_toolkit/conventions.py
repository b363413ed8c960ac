"""Numbers that several rooms agree on; no library is imported here, so that the command line knows them at once."""

from __future__ import annotations

import math

DEFAULT_PSI = 0.7
"""Truncation of sampled scenes, unless told otherwise."""

MAX_SEED = 2**32 - 1
"""Largest seed: numpy's generators take 32 bits."""

MAX_LEVELS = 64
"""Largest number of levels of a tree, so that a file cannot ask for millions of empty ones."""

BACKGROUND_LEVEL = -1
"""Level of Gaussians outside the tree: those of the background generator."""

NO_PARENT = -1
"""Parent of a Gaussian that has none."""

LEAST_IMAGES = 4
"""Number of images of the smallest set that is trained on: the smallest batch of a plan."""

DEFAULT_RADIUS = 2.7
"""Distance of EG3D's cameras from the origin, world units."""

LABEL_SIZE = 25
"""Numbers in an EG3D camera label: 16 of camera-to-world, 9 of normalised intrinsics."""

MAX_OPACITY_LOGIT = 16.0
"""Bound on stored opacity logits: sigmoid(16) = 1 - 1.1e-7, the last value float32 tells from 1."""

USUAL_LENGTHS = 1e-12, 1e12
"""Lengths of quaternions between which squares are exact enough in float32; others are scaled before they are squared,
which would give 0 below 1e-22 and infinity above 1.8e19."""

WORLD_FRAMES = {
    "y_up": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "z_up": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "rdf": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
}
"""Rotations (rows) that take ``y_up`` coordinates to the named frame; every one is proper (determinant 1)."""


def sh_bases(degree: int) -> int:
    """Number of spherical-harmonic coefficients per colour channel up to and including ``degree``."""
    return (degree + 1) ** 2


def sh_degree(bases: int) -> int:
    """Degree whose number of coefficients is ``bases`` (1, 4, 9 or 16).

    Raises:
        ValueError: if ``bases`` is not the square of a whole number.
    """
    degree = math.isqrt(bases) - 1
    if bases < 1 or sh_bases(degree) != bases:
        raise ValueError(f"{bases} spherical-harmonic coefficients per channel; expected 1, 4, 9 or 16")
    return degree
