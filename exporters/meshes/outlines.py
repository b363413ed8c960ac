"""Where the surface is seen: the outset at which the solid has the outlines of the splats.

A splat is seen up to where the Gaussians along a line of sight cover half of it. That is at the centres of thin discs,
and about two and a half standard deviations outside those of thick Gaussians. So outlines from three sides tell how far
outside the centres the surface belongs, for files of every program, without a setting. They are compared on a coarse
grid: an outset is a number of standard deviations, whatever the grid.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.exporters.meshes.grid import Grid, fit_grid
from hgs_toolkit.exporters.meshes.poisson import Walls, find_walls, surface_at
from hgs_toolkit.exporters.meshes.settings import MAX_OUTSET
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render

logger = logging.getLogger(__name__)

Mask = NDArray[np.bool_]

COARSE = 128
"""Points, at most, along the longest side of the grid on which outlines are compared."""

STEPS = 10
"""Number of outsets that are tried, evenly from 0 to the largest."""

GAIN = 0.01
"""Least gain of agreement for which the surface leaves the centres: less is the grid's noise."""

HALF = 0.5
"""Opacity of a pixel from which it belongs to the splats' outline."""

FINE = 3
"""Pixels drawn a point of the grid and side, of which the middle one counts: the renderer's filter widens what it draws
by half a pixel."""

FAR = 1e3
"""Distance of the cameras, in sides of the grid: outlines are then those of parallel light within a thousandth."""


def seen_outset(scene: GaussianHierarchy, walls: Walls, resolution: int) -> float:
    """The outset, 0 to MAX_OUTSET standard deviations, whose solid agrees best with the outlines of the splats.

    Args:
        scene: a batch of one; its background is not drawn.
        walls: those of the mesh.
        resolution: of the mesh, whose grid is compared on unless it is finer than COARSE.
    """
    if resolution > COARSE:
        walls = find_walls(walls.gaussians, fit_grid(walls.gaussians, COARSE), scene.device)
    seen = splat_outlines(scene, walls.grid)
    outsets = np.linspace(0, MAX_OUTSET, STEPS)
    shares = np.array([agreement(solid_outlines(walls, float(outset)), seen) for outset in outsets])
    best = int(shares.argmax())
    if shares[best] < shares[0] + GAIN:
        return 0.0
    outset = float(np.clip(outsets[best] + _peak(shares, best) * (outsets[1] - outsets[0]), 0, MAX_OUTSET))
    logger.debug("outset %.2f: outlines agree to %.3f, and to %.3f without", outset, shares[best], shares[0])
    return outset


def _peak(values: NDArray[np.float64], best: int) -> float:
    """Place of the maximum of the parabola through the best value and its neighbours, in steps from the best."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, at, after = values[best - 1 : best + 2]
    return float(0.5 * (after - before) / max(2 * at - before - after, 1e-9))


def agreement(outlines: list[Mask], others: list[Mask]) -> float:
    """Area that two sets of outlines share, over the area that either covers; 1 for nothing at all."""
    both = sum(int((a & b).sum()) for a, b in zip(outlines, others, strict=True))
    either = sum(int((a | b).sum()) for a, b in zip(outlines, others, strict=True))
    return both / either if either else 1.0


def solid_outlines(walls: Walls, outset: float) -> list[Mask]:
    """What the solid covers along x, y and z: masks (Y, Z), (Z, X) and (X, Y) of the grid's points."""
    field = surface_at(walls, outset)
    inside = field.values > field.surface
    along_x, along_y, along_z = (np.asarray(inside.any(axis=axis), np.bool_) for axis in range(3))
    return [along_x, along_y.T, along_z]


def splat_outlines(scene: GaussianHierarchy, grid: Grid) -> list[Mask]:
    """What the splats cover by more than half along x, y and z; masks as in :func:`solid_outlines`."""
    foreground = scene.levels(range(scene.num_levels), background=False).detach()
    masks = []
    for axis in range(3):
        across, down = (axis + 1) % 3, (axis + 2) % 3
        height, width = grid.shape[down], grid.shape[across]
        _, alphas = render(foreground, _parallel(grid, axis, across, down), FINE * width, FINE * height)
        middle = slice(FINE // 2, None, FINE)
        masks.append((alphas[0, 0, middle, middle, 0] > HALF).cpu().numpy().T)
    return masks


def _parallel(grid: Grid, axis: int, across: int, down: int) -> Cameras:
    """A camera (1,) far off that looks along ``axis`` and whose pixels are the grid's points."""
    sides = grid.voxel * np.array(grid.shape)
    distance = FAR * float(sides.max())
    centre = np.array(grid.origin) + grid.voxel * (np.array(grid.shape) - 1) / 2
    pose = np.eye(4)
    pose[:3, :3] = np.eye(3)[:, [across, down, axis]]  # right-handed: the axes follow each other in turn
    pose[:3, 3] = centre - distance * pose[:3, 2]
    intrinsics = np.array([[distance / sides[across], 0, 0.5], [0, distance / sides[down], 0.5], [0, 0, 1]])
    return Cameras(torch.tensor(pose[None], dtype=torch.float32), torch.tensor(intrinsics[None], dtype=torch.float32))
