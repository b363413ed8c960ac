"""Which coarse Gaussians are explained by finer ones, and so must not count for the surface a second time.

The levels of a hierarchy cover the same surface again and again. A coarse disc is flat where the surface turns, and
reaches beyond edges into holes, and training leaves it a little beside the surface. Wherever finer Gaussians pass its
centre, they describe the surface better. Only sizes and positions are compared, not levels, so the same holds for files
of other programs, which have none.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import Grid
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

BAND = 0.25
"""Width, octaves of size, of the bands in which Gaussians are compared."""

BANDS_BETWEEN = 2
"""Number of bands between a coarse Gaussian and finer ones: their sizes differ by a factor of 1.2 at least, and from a
factor of 1.7 they always count."""

FULL = 0.5
"""Summed opacity of finer Gaussians that counts as a wall; less is haze, which explains in part."""

LEAST_SIZE = 1e-4
"""Size, as a share of the largest, below which all Gaussians are equally fine."""

TINY = float(np.finfo(np.float32).tiny)

NEIGHBOURS = 6
"""Number of nearest finer Gaussians that are tested for lying close enough."""

ALONG, ACROSS = 1.25, 2.0
"""Distances, in sizes of the coarse Gaussian, within which finer ones explain it: along its disc, and across it, since
training leaves coarse discs beside the surface."""


def explained_shares(gaussians: VisibleGaussians, grid: Grid, device: torch.device | str = "cpu") -> Floats:
    """Shares (N,) from 0 (no finer Gaussian is near the centre) to 1 (finer ones pass it as a wall does)."""
    sizes = np.sqrt(gaussians.scales[:, 1] * gaussians.scales[:, 2])
    octaves = np.log2(np.maximum(sizes / max(float(sizes.max()), TINY), LEAST_SIZE))
    bands = np.floor((octaves - octaves.min()) / BAND).astype(int)
    explained = np.zeros(len(gaussians), np.float32)
    density = np.zeros(grid.shape, np.float32)
    summed = -1
    for band in np.unique(bands):
        last = band - BANDS_BETWEEN
        new = (bands > summed) & (bands <= last)
        if new.any():
            density += sum_on_grid(gaussians.select(new), gaussians.opacities[new, None], grid, device)[0]
            summed = last
        finer = bands <= last
        if np.count_nonzero(finer) >= NEIGHBOURS:
            own = bands == band
            walls = np.clip(grid.sample(density, gaussians.means[finer]) / FULL, 0, 1)
            explained[own] = _passed_by(gaussians.select(own), sizes[own], gaussians.means[finer], walls)
    return explained


def _passed_by(coarse: VisibleGaussians, sizes: Floats, points: Floats, walls: Floats) -> Floats:
    """Shares (M,) to which the nearest of ``points`` (K, 3) form a wall; each is one to the degree ``walls`` (K,)."""
    nearest = cKDTree(points).query(coarse.means, NEIGHBOURS)[1]  # (M, NEIGHBOURS)
    offsets = points[nearest] - coarse.means[:, None]
    across = np.einsum("mki,mi->mk", offsets, coarse.axes[:, 0])
    along = (offsets**2).sum(axis=-1) - across**2
    near = along / ALONG**2 + across**2 / ACROSS**2 <= sizes[:, None] ** 2
    share = (near * walls[nearest]).mean(axis=1)
    return np.asarray(share**2 * (3 - 2 * share), np.float32)  # few neighbours hardly count, nearly all count in full
