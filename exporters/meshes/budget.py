"""Meshes within a number of bytes: triangles and texture are reduced together until the encoded files fit."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import trimesh

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.exporters.meshes.meshing import Reconstruction
from hgs_toolkit.exporters.meshes.settings import MIN_FACES
from hgs_toolkit.exporters.meshes.texture import TEXTURE_SIZE

logger = logging.getLogger(__name__)

TARGET = 0.95
"""Share of the budget to aim at: the size of the next attempt is an estimate."""

ENOUGH = 0.85
"""Share of the budget that a mesh must use, if it was reduced at all."""

ATTEMPTS = 8
"""Number of meshes that are made and measured at most."""

MIN_TEXTURE_SIZE = 16
"""Least height and width of a texture, texels."""


def mesh_within(surface: Reconstruction, max_bytes: int, measure: Callable[[trimesh.Trimesh], int]) -> trimesh.Trimesh:
    """The largest mesh that was found to take at most ``max_bytes``.

    Both the number of triangles and of texels shrink by the factor that is missing, so their shares stay the same.

    Args:
        surface: what the mesh is made of; its settings bound the number of triangles.
        max_bytes: bytes of all files together.
        measure: the bytes that a mesh takes when it is written.

    Raises:
        ConfigError: if no mesh of the surface is that small.
    """
    most = surface.settings.triangles or len(surface.whole.faces)
    share, best, smallest = 1.0, None, math.inf
    low, high = 0.0, math.inf  # shares that fit, and that do not
    for _ in range(ATTEMPTS):
        faces = max(int(most * share), MIN_FACES)
        texels = max(round(TEXTURE_SIZE * math.sqrt(share) / 4) * 4, MIN_TEXTURE_SIZE)
        made = surface.finished(faces, texels)
        size = measure(made)
        smallest = min(smallest, size)
        logger.info("%d triangles take %d bytes", len(made.faces), size)
        if size <= max_bytes:
            best, low = made, share
            if share == 1 or size >= ENOUGH * max_bytes:
                break
        else:
            high = share
        share = min(share * TARGET * max_bytes / size, 1.0)
        if not low < share < high:
            share = (low + min(high, 1.0)) / 2
        if most * high <= MIN_FACES:
            break
    if best is None:
        raise ConfigError(f"no mesh of this asset takes {max_bytes} bytes or less; the smallest found takes {smallest}")
    return best
