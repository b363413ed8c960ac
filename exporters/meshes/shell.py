"""The method ``shell``: the summed density of the Gaussians, cut at one level.

Walls of flat Gaussians have two sides, so the cut is a closed double skin: about twice the area of the surface, and
half of it faces inwards. It suits fuzzy things, and is the baseline of
:mod:`~hgs_toolkit.exporters.meshes.poisson`.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from skimage.filters import threshold_otsu

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import Grid
from hgs_toolkit.exporters.meshes.poisson import ImplicitSurface
from hgs_toolkit.exporters.meshes.visible import VisibleGaussians

logger = logging.getLogger(__name__)

EMPTY = 1e-3
"""Density below which space counts as empty; it is left out, or it would draw Otsu's level to 0."""


def density_level(
    gaussians: VisibleGaussians, grid: Grid, device: torch.device | str = "cpu", level: float | None = None
) -> ImplicitSurface:
    """The summed opacity of the Gaussians and the level of its surface: ``level``, or by Otsu's method.

    Raises:
        ConfigError: if the level is not within the densities that occur.
    """
    density = sum_on_grid(gaussians, gaussians.opacities[:, None], grid, device)[0]
    logger.info("'shell' makes a double wall, about twice the surface's area; 'surface' makes a solid")
    highest = float(density.max())
    if level is None:
        filled = density[density > EMPTY]
        level = float(threshold_otsu(filled)) if filled.size > 1 else 0.5 * highest
    if not 0 < level < highest:
        raise ConfigError(f"level {level:g} lies outside the densities of this scene; expected 0 to {highest:.3g}")
    return ImplicitSurface(density, level, np.ones(len(gaussians), np.float32), gaussians.means)
