"""The plain way to a mesh: the summed density of the Gaussians, cut at one level.

Walls of flat Gaussians have two sides, so the cut is a closed double skin: about twice the area of the surface, and
half of it faces inwards. It suits fuzzy things, and is what :mod:`~hgs_toolkit.exporters.meshes.surface` is compared
with.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from skimage.filters import threshold_otsu

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.exporters.meshes.density import splat
from hgs_toolkit.exporters.meshes.splats import VisibleSplats
from hgs_toolkit.exporters.meshes.surface import Level
from hgs_toolkit.exporters.meshes.voxels import Grid

logger = logging.getLogger(__name__)

EMPTY = 1e-3
"""Density below which space counts as empty: most of a grid is, and would draw Otsu's level to nothing."""


def density_level(
    splats: VisibleSplats, grid: Grid, device: torch.device | str = "cpu", level: float | None = None
) -> Level:
    """The summed opacity of the Gaussians and the level of its surface: ``level``, or by Otsu's method.

    Raises:
        ConfigError: if the level is not within the densities that occur.
    """
    density = splat(splats, splats.opacities[:, None], grid, device)[0]
    logger.info("the shell of a density is double-walled: about twice the surface's area; 'surface' gives a solid")
    highest = float(density.max())
    if level is None:
        filled = density[density > EMPTY]
        level = float(threshold_otsu(filled)) if filled.size > 1 else 0.5 * highest
    if not 0 < level < highest:
        raise ConfigError(f"level {level:g} lies outside the densities of this scene; expected 0 to {highest:.3g}")
    return Level(density, level, np.ones(len(splats), np.float32))
