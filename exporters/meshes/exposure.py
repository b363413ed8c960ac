"""Which side of each Gaussian is outside, and whether it is visible: both follow from how much light reaches it.

The exposure at a point is E = mean over +-x, +-y, +-z of exp(-optical depth to the edge of the grid): near 1 in free
space, near 0 behind a wall. Six cumulative sums give it everywhere. Every wall has the same depth, however many
Gaussians it consists of, since each Gaussian counts as its share of the wall.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import FLOOR, Grid
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

WALL_DEPTH = 3.0
"""Optical depth of one wall: 5 % of the light passes, and a wall of half the strength still blocks most of it."""

STEP = 2.5
"""Distance, voxels, from a Gaussian's centre to the points on its two sides whose exposure is compared; twice the
thickness where that is more."""

SEEN = 0.1
"""Difference of exposure between the sides of a Gaussian from which it counts in full; one open direction of six gives
1/6. Gaussians buried in the solid have next to no difference, and their normals are noise."""

FLAT, ROUND = 0.4, 0.7
"""Ratios of the least to the middle standard deviation: up to FLAT the shortest axis is the normal, from ROUND the
gradient of the exposure is; between them the one fades into the other."""

GRADIENT_BLUR = 1.5
"""Standard deviation, voxels, of the blur applied to the exposure before its gradient is taken."""

OWN_SHARE = 0.5
"""Least density assumed at a Gaussian's centre, in units of its opacity: the grid misses peaks between its points."""


WALL = 0.4
"""Summed opacity at a Gaussian's centre from which it belongs to a wall; less is haze, such as faint floaters."""


class Orientation(NamedTuple):
    """Outward unit normals (N, 3), and how visible each Gaussian is, from 0 (buried) to 1 (on the surface) (N,)."""

    normals: Floats
    seen: Floats


def wall_shares(gaussians: VisibleGaussians, opacities: Floats, density: Floats, grid: Grid) -> Floats:
    """(N,) each Gaussian's opacity (N,) over the summed opacity ``density`` (X, Y, Z) at its centre.

    Weighted so, Gaussians sum to 1 on the surface whether it is covered once or ten times over. Where the sum is below
    WALL, there is no wall but haze, and the shares sum to less.
    """
    there = np.maximum(grid.sample(density, gaussians.means), OWN_SHARE * opacities)
    haze = np.clip(there / WALL, 0, 1)
    return np.asarray(opacities * haze**2 / np.maximum(there, np.finfo(np.float32).tiny))


def thickness(gaussians: VisibleGaussians, grid: Grid) -> Floats:
    """(N,) integral of each Gaussian along its shortest axis, as it is on the grid, in voxels."""
    return np.asarray(math.sqrt(2 * math.pi) * np.maximum(gaussians.scales[:, 0] / grid.voxel, FLOOR), np.float32)


def exposed_space(
    gaussians: VisibleGaussians, shares: Floats, grid: Grid, device: torch.device | str = "cpu"
) -> Floats:
    """The exposure (X, Y, Z) among walls of the optical depth WALL_DEPTH each."""
    amounts = WALL_DEPTH * shares / thickness(gaussians, grid)
    return exposure(sum_on_grid(gaussians, amounts[:, None], grid, device)[0])


def exposure(depth: Floats) -> Floats:
    """The exposure E (X, Y, Z), from the optical depth (X, Y, Z) that each voxel adds."""
    total = np.zeros_like(depth)
    for axis in range(3):
        passed = np.cumsum(depth, axis=axis)
        whole = np.take(passed, [-1], axis=axis)
        passed -= 0.5 * depth  # up to the middle of the point's own voxel
        total += np.exp(-passed)
        passed -= whole
        total += np.exp(passed, out=passed)
    total /= 6
    return total


def orient(gaussians: VisibleGaussians, light: Floats, grid: Grid) -> Orientation:
    """Normals and visibility. The normal is the shortest axis, turned to the more exposed side; for round ones it is
    the direction in which the exposure grows."""
    axis = gaussians.axes[:, 0]
    gain = _gain(gaussians, axis, light, grid)
    normals = np.where(gain[:, None] < 0, -axis, axis)
    flatness = gaussians.scales[:, 0] / np.maximum(gaussians.scales[:, 1], np.finfo(np.float32).tiny)
    fade = np.clip((flatness - FLAT) / (ROUND - FLAT), 0, 1)[:, None]
    if fade.any():
        normals = (1 - fade) * normals + fade * _to_the_light(light, grid, gaussians.means)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), axis)
        gain = _gain(gaussians, normals, light, grid)
    share = np.clip(np.abs(gain) / SEEN, 0, 1)
    return Orientation(np.asarray(normals, np.float32), np.asarray(share**2 * (3 - 2 * share), np.float32))


def _gain(gaussians: VisibleGaussians, direction: Floats, light: Floats, grid: Grid) -> Floats:
    """(N,) exposure one step along ``direction`` (N, 3) minus the exposure one step against it."""
    step = np.maximum(STEP * grid.voxel, 2 * gaussians.scales[:, :1]) * direction
    return grid.sample(light, gaussians.means + step) - grid.sample(light, gaussians.means - step)


def _to_the_light(light: Floats, grid: Grid, points: Floats) -> Floats:
    """Unit vectors (M, 3) along which the blurred exposure grows fastest."""
    smooth = gaussian_filter(light, GRADIENT_BLUR, mode="nearest", truncate=3)
    sides = [(points + step, points - step) for step in grid.voxel * np.eye(3, dtype=np.float32)]
    gradient = np.stack([grid.sample(smooth, ahead) - grid.sample(smooth, behind) for ahead, behind in sides], axis=-1)
    return np.asarray(gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12))
