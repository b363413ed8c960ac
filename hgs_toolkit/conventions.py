"""Numbers that several rooms agree on; nothing is imported here, so that the command line knows them at once."""

from __future__ import annotations

DEFAULT_PSI = 0.7
"""Truncation of sampled scenes, unless told otherwise."""

MAX_SEED = 2**32 - 1
"""Largest seed: numpy's generators take 32 bits."""

MAX_LEVELS = 64
"""Largest number of levels of a tree, so that a file cannot ask for millions of empty ones."""

DEFAULT_RADIUS = 2.7
"""Distance of EG3D's cameras from the origin, world units."""
