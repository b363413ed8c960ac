"""The grid of cubic voxels that a mesh is cut from: position, size, memory, values between its points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import map_coordinates

from hgs_toolkit.errors import ConfigError, FormatError
from hgs_toolkit.exporters.meshes.settings import MIN_RESOLUTION, check_resolution
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians
from hgs_toolkit.memory import available_memory

OUTLIERS = 0.001
"""Share of the opacity that may lie beyond each side of the box, so that stray Gaussians do not stretch it."""

SUPPORT = 3.0
"""Distance from its centre, in standard deviations, at which a Gaussian ends on the grid."""

PADDING = 1.15
"""Side of the box over that of its content: the surface and its blur stay clear of the boundary."""

BYTES_PER_VOXEL = 56
"""Memory per voxel, bytes: the measured peak of the costlier method (density, exposure, three vector components and a
transform, float32)."""

FLOOR = 0.7
"""Least standard deviation on the grid, voxels: narrower Gaussians would fall between its points."""


@dataclass(frozen=True)
class Grid:
    """Points ``origin + voxel * (i, j, k)`` for 0 <= (i, j, k) < shape.

    Attributes:
        origin: position of the point (0, 0, 0), world units.
        voxel: distance of neighbours, world units.
        shape: number of points along x, y and z.
    """

    origin: tuple[float, float, float]
    voxel: float
    shape: tuple[int, int, int]

    def coordinates(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """World positions (..., 3) in units of the grid: its points have whole coordinates."""
        return np.asarray((points - np.array(self.origin)) / self.voxel, np.float64)

    def positions(self, coordinates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Inverse of :meth:`coordinates`."""
        return np.asarray(coordinates * self.voxel + np.array(self.origin), np.float64)

    def sample(self, values: Floats, points: NDArray[np.floating]) -> Floats:
        """Trilinear interpolation of ``values`` (X, Y, Z) at world positions (M, 3); the nearest beyond the box."""
        where = self.coordinates(points).T
        return np.asarray(map_coordinates(values, where, np.float32, order=1, mode="nearest"))


def fit_grid(gaussians: VisibleGaussians, resolution: int) -> Grid:
    """A grid around the gaussians with about ``resolution`` points along its longest side.

    Raises:
        ConfigError: if the resolution is out of range or needs more memory than there is.
        FormatError: if the Gaussians have no extent.
    """
    check_resolution(resolution)
    low, high = bounding_box(gaussians)
    extent = float((high - low).max()) * PADDING
    scale = float(np.abs([low, high]).max())
    if not math.isfinite(extent) or extent <= 1e-5 * scale or extent <= 0:
        raise FormatError(f"the Gaussians span {extent:.3g} units at {scale:.3g} from the origin; expected an extent")
    voxel = extent / (resolution - 1)
    sides = np.ceil((high - low) * PADDING / voxel).astype(int) + 1
    shape = (_fast_length(sides[0]), _fast_length(sides[1]), _fast_length(sides[2]))
    _check_memory(shape, resolution)
    origin = (low + high) / 2 - voxel * (np.array(shape) - 1) / 2
    return Grid((float(origin[0]), float(origin[1]), float(origin[2])), voxel, shape)


def bounding_box(gaussians: VisibleGaussians) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner (3,) of what the gaussians cover, without the outermost 0.1 % of the opacity."""
    reach = SUPPORT * np.sqrt(np.einsum("nii->ni", gaussians.covariances())).astype(np.float64)
    means = gaussians.means.astype(np.float64)
    low = [_weighted_quantile(means[:, k] - reach[:, k], gaussians.opacities, OUTLIERS) for k in range(3)]
    high = [_weighted_quantile(means[:, k] + reach[:, k], gaussians.opacities, 1 - OUTLIERS) for k in range(3)]
    return np.array(low), np.array(high)


def _weighted_quantile(values: NDArray[np.float64], weights: Floats, share: float) -> float:
    order = values.argsort()
    reached = weights[order].cumsum(dtype=np.float64)
    return float(values[order[min(np.searchsorted(reached, share * reached[-1]), len(values) - 1)]])


def _fast_length(length: int) -> int:
    """The next length that Fourier transforms are quick at."""
    return int(next_fast_len(max(int(length), MIN_RESOLUTION), real=True))


def _check_memory(shape: tuple[int, int, int], resolution: int) -> None:
    needed, there = math.prod(shape) * BYTES_PER_VOXEL, available_memory()
    if needed > there:
        raise ConfigError(
            f"resolution {resolution} makes {' x '.join(map(str, shape))} voxels, which need about "
            f"{needed / 1e9:.1f} GB; {there / 1e9:.1f} GB are free, choose a lower --resolution"
        )
