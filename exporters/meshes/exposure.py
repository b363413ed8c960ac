"""Which side of a Gaussian is outside, and whether anybody sees it: how much light reaches it through all the others.

The exposure at a point is E = mean over +-x, +-y, +-z of exp(-optical depth to the edge of the grid): near 1 in free
space, near 0 behind a wall. Six cumulative sums give it everywhere. Every wall has the same depth, however many
Gaussians it is made of, since each counts as its share of the wall.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from hgs_toolkit.exporters.meshes.density import splat
from hgs_toolkit.exporters.meshes.splats import Floats, VisibleSplats
from hgs_toolkit.exporters.meshes.voxels import FLOOR, Grid

WALL_DEPTH = 3.0
"""Optical depth of crossing one wall: 5 % of the light passes, and a wall of half the strength still holds it back."""

STEP = 2.5
"""Voxels from a Gaussian's centre at which its two sides are compared, unless twice its thickness is more."""

SEEN = 0.1
"""Gain of exposure across a Gaussian from which it counts in full; one open direction of six gives 1/6. Gaussians
buried in the solid gain next to nothing, and their normals are noise."""

FLAT, ROUND = 0.4, 0.7
"""Ratios of the least to the middle standard deviation up to which the least axis is the normal, and from which it says
nothing; between them the axis fades to the gradient of the exposure."""

GRADIENT_BLUR = 1.5
"""Standard deviation, voxels, of the blur before gradients of the exposure are taken."""

OWN_SHARE = 0.5
"""Least density at a Gaussian's centre, in its own opacities: between grid points its peak is missed."""


class Facing(NamedTuple):
    """Outward unit normals (N, 3), and from 0 to 1 how much each Gaussian takes part in the visible surface (N,)."""

    normals: Floats
    seen: Floats


def wall_shares(splats: VisibleSplats, density: Floats, grid: Grid) -> Floats:
    """(N,) each Gaussian's opacity over the summed opacity ``density`` (X, Y, Z) at its centre.

    Weighted so, Gaussians sum to 1 on the surface whether it is covered once or ten times over.
    """
    there = grid.sample(density, splats.means)
    return np.asarray(splats.opacities / np.maximum(there, OWN_SHARE * splats.opacities))


def thickness(splats: VisibleSplats, grid: Grid) -> Floats:
    """(N,) integral of each Gaussian along its shortest axis, as it is on the grid, in voxels."""
    return np.asarray(math.sqrt(2 * math.pi) * np.maximum(splats.scales[:, 0] / grid.voxel, FLOOR), np.float32)


def exposed_space(splats: VisibleSplats, shares: Floats, grid: Grid, device: torch.device | str = "cpu") -> Floats:
    """The exposure (X, Y, Z) among walls of the optical depth WALL_DEPTH each."""
    amounts = WALL_DEPTH * shares / thickness(splats, grid)
    return exposure(splat(splats, amounts[:, None], grid, device)[0])


def exposure(depth: Floats) -> Floats:
    """E (X, Y, Z) of the optical depth each voxel adds."""
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


def facing(splats: VisibleSplats, light: Floats, grid: Grid) -> Facing:
    """Normals: the shortest axes, turned to the more exposed side; where it is round, the way to the light."""
    axis = splats.axes[:, 0]
    gain = _gain(splats, axis, light, grid)
    normals = np.where(gain[:, None] < 0, -axis, axis)
    flatness = splats.scales[:, 0] / np.maximum(splats.scales[:, 1], np.finfo(np.float32).tiny)
    fade = np.clip((flatness - FLAT) / (ROUND - FLAT), 0, 1)[:, None]
    if fade.any():
        normals = (1 - fade) * normals + fade * _to_the_light(light, grid, splats.means)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), axis)
        gain = _gain(splats, normals, light, grid)
    share = np.clip(np.abs(gain) / SEEN, 0, 1)
    return Facing(np.asarray(normals, np.float32), np.asarray(share**2 * (3 - 2 * share), np.float32))


def _gain(splats: VisibleSplats, direction: Floats, light: Floats, grid: Grid) -> Floats:
    """(N,) exposure a step along ``direction`` (N, 3), less that a step against it."""
    step = np.maximum(STEP * grid.voxel, 2 * splats.scales[:, :1]) * direction
    return grid.sample(light, splats.means + step) - grid.sample(light, splats.means - step)


def _to_the_light(light: Floats, grid: Grid, points: Floats) -> Floats:
    """Unit vectors (M, 3) along which the blurred exposure grows fastest."""
    smooth = gaussian_filter(light, GRADIENT_BLUR, mode="nearest", truncate=3)
    sides = [(points + step, points - step) for step in grid.voxel * np.eye(3, dtype=np.float32)]
    gradient = np.stack([grid.sample(smooth, ahead) - grid.sample(smooth, behind) for ahead, behind in sides], axis=-1)
    return np.asarray(gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12))
