"""Which coarse Gaussians finer ones explain, and must not carry the surface a second time.

The levels of a hierarchy cover the same surface again and again. A coarse disc is flat where the surface turns, and
reaches beyond edges into holes; wherever finer Gaussians cover its centre, they know better. Only sizes and places are
compared, not the levels, so that files of other programs, which have none, profit alike.
"""

from __future__ import annotations

import numpy as np
import torch

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import FLOOR, Grid
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

BAND = 0.5
"""Width, octaves of size, of the bands in which Gaussians are compared."""

BANDS_BETWEEN = 2
"""Number of bands by which finer Gaussians are below: at least a factor of 1.4 in size, at most 2 is passed over."""

FULL = 0.5
"""Summed opacity of finer Gaussians at the centre of a coarse one from which it is explained in full."""

REACH = 1.5
"""Distance along the normal, in thicknesses, up to which finer Gaussians explain a coarse one."""


def explained_shares(gaussians: VisibleGaussians, grid: Grid, device: torch.device | str = "cpu") -> Floats:
    """(N,) from 0, no finer Gaussian covers its centre, to 1, finer ones cover it as a wall does."""
    sizes = np.sqrt(gaussians.scales[:, 1] * gaussians.scales[:, 2]) / grid.voxel
    bands = np.floor(np.log2(np.maximum(sizes, FLOOR) / FLOOR) / BAND).astype(int)
    explained = np.zeros(len(gaussians), np.float32)
    finer = np.zeros(grid.shape, np.float32)
    summed = -1
    for band in np.unique(bands):
        new = (bands > summed) & (bands <= band - BANDS_BETWEEN)
        if new.any():
            finer += sum_on_grid(gaussians.select(new), gaussians.opacities[new, None], grid, device)[0]
            summed = band - BANDS_BETWEEN
        if summed >= 0:
            own = bands == band
            explained[own] = _covered(gaussians.select(own), finer, grid)
    return explained


def _covered(gaussians: VisibleGaussians, finer: Floats, grid: Grid) -> Floats:
    """(M,) the most of ``finer`` that a line along the normal meets near the centre, over FULL."""
    reach = np.maximum(REACH * gaussians.scales[:, 0], grid.voxel)  # a surface between grid points is met, too
    steps = int(np.clip(np.ceil(reach.max() / grid.voxel), 1, 8))
    most = np.zeros(len(gaussians), np.float32)
    for step in np.linspace(-1, 1, 2 * steps + 1):
        points = gaussians.means + (step * reach)[:, None] * gaussians.axes[:, 0]
        most = np.maximum(most, grid.sample(finer, points))
    return np.asarray(np.clip(most / FULL, 0, 1))
