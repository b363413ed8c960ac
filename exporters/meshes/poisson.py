"""Oriented Poisson reconstruction from the Gaussians alone: a closed surface through the middle of the walls.

Flat Gaussians are samples of a surface, with a normal and an area. Their vector field V = sum_n area_n normal_n g_n
approximates minus the gradient of the solid's indicator function chi (1 inside, 0 outside), so that chi solves the
Poisson equation lap(chi) = -div(V) (Kazhdan, Bolitho and Hoppe 2006, section 3), here by Fourier transforms on a grid.
Areas are divided by how often the surface is covered, so that chi rises by 1 across it everywhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.explained import explained_shares
from hgs_toolkit.exporters.meshes.exposure import exposed_space, orient, wall_shares
from hgs_toolkit.exporters.meshes.grid import FLOOR, Grid
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

SMOOTHING = 0.7
"""Standard deviation, voxels, of the blur of the solution; it removes the noise of single Gaussians."""


REACH, SPACINGS = 4.0, 3.0
"""Standard deviation of the surroundings in which the surface is made to pass through the centres, in voxels and in
distances between neighbouring centres, whichever is more: a few centres average out their noise."""

SPACED = 20_000
"""Number of centres, at most, whose neighbours are looked for to learn their spacing."""

DISC, THICK = 0.2, 0.5
"""Ratios of the least to the middle standard deviation: up to DISC the surface belongs at the centre, and from THICK a
whole outset outside it."""

ROUNDING = 0.5
"""Standard deviation of the blur of the indicator function for a surface that leaves the centres, in distances from
them: far outside, single Gaussians stand out of the sum of all, and the surface would follow each of them."""

FAINT = 0.1
"""Share of a wall, blurred by REACH, below which there is nothing to pass through."""


class ImplicitSurface(NamedTuple):
    """A scalar field on a grid and its value at the surface.

    Attributes:
        values: (X, Y, Z), larger inside.
        surface: value at the surface.
        weights: (N,) how much of each Gaussian belongs to the surface, 0 to 1; colours are weighted by it.
        points: (N, 3) where on the surface each Gaussian is, world; colours are found there.
    """

    values: Floats
    surface: float
    weights: Floats
    points: Floats


class Walls(NamedTuple):
    """The indicator function of the solid, before its surface is chosen, and the Gaussians that the surface is made of.

    Attributes:
        chi: (X, Y, Z), larger inside.
        gaussians: N of them.
        normals: (N, 3) outward unit vectors.
        areas: (N,) share of the surface that each stands for, world units squared.
        seen: (N,) how visible each is, 0 to 1.
        grid: the points of ``chi``.
    """

    chi: Floats
    gaussians: VisibleGaussians
    normals: Floats
    areas: Floats
    seen: Floats
    grid: Grid


def find_walls(gaussians: VisibleGaussians, grid: Grid, device: torch.device | str = "cpu") -> Walls:
    """Orient the Gaussians, and solve for the indicator function of what they enclose."""
    carried = gaussians.opacities * (1 - explained_shares(gaussians, grid, device))
    density = sum_on_grid(gaussians, carried[:, None], grid, device)[0]
    shares = wall_shares(gaussians, carried, density, grid)
    del density
    normals, seen = orient(gaussians, exposed_space(gaussians, shares, grid, device), grid)
    # A Gaussian of opacity 1 covers what a disc of uniform strength and area 2 pi s1 s2 would.
    areas = 2 * math.pi * seen * shares * gaussians.scales[:, 1] * gaussians.scales[:, 2]
    chi = solve_poisson(vector_field(gaussians, areas[:, None] * normals, grid, device))
    return Walls(chi, gaussians, normals, areas, seen, grid)


def surface_at(walls: Walls, outset: float = 0.0) -> ImplicitSurface:
    """The surface at the mean of the indicator function over points that stand for the Gaussians; around each point, at
    the mean over the points nearby. For a disc that is its centre, for a thick Gaussian ``outset`` standard deviations
    outside it, along the normal, where the surface is rounded: see ROUNDING."""
    flatness = walls.gaussians.scales[:, 0] / np.maximum(walls.gaussians.scales[:, 1], np.finfo(np.float32).tiny)
    across = walls.gaussians.scales[:, 0] * np.clip((flatness - DISC) / (THICK - DISC), 0, 1)
    passed = walls.gaussians.means + outset * across[:, None] * walls.normals
    weights = walls.areas if walls.areas.any() else None
    distance = outset * float(np.average(across, weights=weights))
    chi = gaussian_filter(walls.chi, ROUNDING * distance / walls.grid.voxel, truncate=3) if distance else walls.chi
    there = walls.grid.sample(chi, passed)
    level = float(np.average(there, weights=weights))
    values = chi - local_offsets(passed, walls.areas, there - level, walls.grid)
    return ImplicitSurface(values, level, walls.seen, np.asarray(passed, np.float32))


def local_offsets(points: Floats, areas: Floats, offsets: Floats, grid: Grid) -> Floats:
    """(X, Y, Z) mean of the ``offsets`` (N,) of points (N, 3) around each voxel, weighted by ``areas`` (N,).

    It fades out where there is less than FAINT of a wall within REACH. Taken off chi, it lets the surface pass through
    the points of thin parts, too, whose chi never rises to the level of thick ones; a smooth form of what screened
    Poisson reconstruction asks of every point (Kazhdan and Hoppe 2013, section 3).
    """
    reach = max(REACH, SPACINGS * _spacing(points[areas > 0]) / grid.voxel)
    voxels = np.round(grid.coordinates(points)).astype(int)
    voxels = np.clip(voxels, 0, np.array(grid.shape) - 1)
    flat = np.ravel_multi_index(tuple(voxels.T), grid.shape)
    size = math.prod(grid.shape)
    summed = []
    for values in (areas, areas * offsets):
        whole = np.bincount(flat, values / grid.voxel**2, size).reshape(grid.shape).astype(np.float32)
        summed.append(gaussian_filter(whole, reach, mode="constant", truncate=3))
    wall = 1 / (math.sqrt(2 * math.pi) * reach)  # what a plane covered once would sum to
    return np.asarray(summed[1] / (summed[0] + FAINT * wall), np.float32)


def _spacing(points: Floats) -> float:
    """Median distance of points (N, 3) to their nearest neighbour, world units; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    some = points[:: max(1, len(points) // SPACED)]
    return float(np.median(cKDTree(points).query(some, 2)[0][:, 1]))


def vector_field(
    gaussians: VisibleGaussians, vectors: Floats, grid: Grid, device: torch.device | str = "cpu"
) -> Floats:
    """The vector field V (3, X, Y, Z), per voxel: vectors (N, 3), in world areas, spread by Gaussians of unit mass."""
    scales = np.maximum(gaussians.scales / grid.voxel, FLOOR)
    mass = (2 * math.pi) ** 1.5 * scales.prod(axis=1, keepdims=True)
    return sum_on_grid(gaussians, vectors / (grid.voxel**2 * mass), grid, device)


def solve_poisson(field: Floats) -> Floats:
    """chi (X, Y, Z) with lap(chi) = -div(field), blurred by SMOOTHING voxels; periodic, of mean 0.

    ``field`` (3, X, Y, Z) is in units of voxels.
    """
    shape = field.shape[1:]
    frequencies = [np.asarray(2 * np.pi * fft.fftfreq(n), np.float32) for n in shape[:2]]
    frequencies.append(np.asarray(2 * np.pi * fft.rfftfreq(shape[2]), np.float32))
    ks = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    threads = torch.get_num_threads()
    spectrum = np.zeros((*shape[:2], shape[2] // 2 + 1), np.complex64)
    for component, k in zip(field, ks, strict=True):
        transform = fft.rfftn(component, workers=threads)
        transform *= k
        spectrum += transform
    squared = ks[0] ** 2 + ks[1] ** 2 + ks[2] ** 2
    squared[0, 0, 0] = 1  # the mean of chi is free; the numerator is 0 there
    spectrum *= np.exp(-0.5 * SMOOTHING**2 * squared) / squared
    spectrum *= np.complex64(1j)
    return np.asarray(fft.irfftn(spectrum, s=shape, workers=threads, overwrite_x=True))
