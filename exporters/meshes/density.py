"""The sum of Gaussians on a grid, sum_n value_n exp(-q_n / 2); q is the squared Mahalanobis distance, cut off at q = 9.

Only the grid points inside an ellipsoid are touched. Along z the density of one column is an interval of a
one-dimensional Gaussian: with P the precision matrix and (dx, dy) the column's offset,
    q(z) = a + 2 b z + c z^2,  c = P_zz,  b = P_xz dx + P_yz dy,  a = P_xx dx^2 + 2 P_xy dx dy + P_yy dy^2,
which has its least value a - b^2 / c at z = -b / c. Two backends with the same results up to rounding: a Numba kernel
for the CPU and a torch twin that also serves CUDA.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.exporters.meshes.grid import FLOOR, SUPPORT, Grid
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

LIMIT = SUPPORT**2
"""Squared Mahalanobis distance at which a Gaussian ends."""

CHUNK = 1 << 22
"""Number of grid points that the torch twin handles at a time; it bounds the memory."""


def sum_on_grid(
    gaussians: VisibleGaussians, values: Floats, grid: Grid, device: torch.device | str = "cpu", floor: float = FLOOR
) -> Floats:
    """The sum of values (N, K), each spread by its unnormalised Gaussian, on the grid: (K, X, Y, Z) float32.

    Args:
        gaussians: amplitude 1 at the centre, cut off at three standard deviations.
        values: the contribution of each Gaussian, for example its opacity.
        grid: the points to sum at.
        device: a CUDA device uses the torch twin, the CPU the compiled kernel.
        floor: least standard deviation along each axis, voxels.
    """
    centres, precisions, reach = on_grid(gaussians, grid, floor)
    values = np.ascontiguousarray(values, np.float32)
    if torch.device(device).type == "cpu":
        return sum_numba(centres, precisions, reach, values, grid.shape)
    a, b, c, d = (torch.from_numpy(x).to(device) for x in (centres, precisions, reach, values))
    return np.asarray(sum_torch(a, b, c, d, grid.shape).cpu().numpy())


def on_grid(gaussians: VisibleGaussians, grid: Grid, floor: float) -> tuple[Any, Any, Any]:
    """Centres (N, 3), precision matrices (N, 3, 3) and half the sides of the boxes around the ellipsoids (N, 3),
    float64, in units of the grid."""
    covariances = gaussians.covariances(floor * grid.voxel).astype(np.float64) / grid.voxel**2
    reach = SUPPORT * np.sqrt(np.einsum("nii->ni", covariances))
    return grid.coordinates(gaussians.means), np.linalg.inv(covariances), reach


def sum_numba(
    centres: Any,  # (N, 3) float64, units of the grid
    precisions: Any,  # (N, 3, 3) float64
    reach: Any,  # (N, 3) float64, half the sides of each ellipsoid's box
    values: Floats,  # (N, K)
    shape: tuple[int, int, int],
) -> Floats:  # (K, X, Y, Z)
    """The sum by the compiled kernel. Each thread has planes of x of its own, so no two threads write to one point."""
    from hgs_toolkit.rendering.cpu import workers  # only now: it loads Numba

    out = np.zeros((values.shape[1], *shape), np.float32)
    edges = _slabs(centres[:, 0], reach, shape[0], torch.get_num_threads())
    workers.run(_compiled(), edges, centres, precisions, reach, values, out)
    return out


def sum_torch(
    centres: Tensor, precisions: Tensor, reach: Tensor, values: Tensor, shape: tuple[int, int, int]
) -> Tensor:
    """The torch twin of :func:`sum_numba`: the same arguments as tensors, on any device."""
    out = values.new_zeros(values.shape[1], math.prod(shape))
    size = torch.tensor(shape, device=centres.device)
    low = (centres - reach).ceil().long().clamp_min(0)
    high = torch.minimum((centres + reach).floor().long(), size - 1)
    counts = (high - low + 1).clamp_min(0)[:, :2].prod(1)  # columns of each Gaussian's box
    for chunk in _chunks(counts, int(reach[:, 2].max().item() * 2 + 2) if len(reach) else 1):
        owner = torch.repeat_interleave(chunk, counts[chunk])  # (C,) the Gaussian of each column
        first = counts[chunk].cumsum(0) - counts[chunk]
        within = torch.arange(len(owner), device=owner.device) - torch.repeat_interleave(first, counts[chunk])
        width = (high - low + 1)[owner, 1]
        xy = torch.stack([within // width, within % width], -1) + low[owner, :2]
        _add_columns(out, xy, owner, centres, precisions, values, shape)
    return out.view(-1, *shape)


def _add_columns(
    out: Tensor, xy: Tensor, owner: Tensor, centres: Tensor, precisions: Tensor, values: Tensor, shape: tuple[int, ...]
) -> None:
    """Add the runs along z of the columns ``xy`` (C, 2) of the Gaussians ``owner`` (C,) to ``out`` (K, X * Y * Z)."""
    dx, dy = (xy - centres[owner, :2]).unbind(-1)
    P = precisions[owner]
    c, b = P[:, 2, 2], P[:, 0, 2] * dx + P[:, 1, 2] * dy
    least = P[:, 0, 0] * dx**2 + 2 * P[:, 0, 1] * dx * dy + P[:, 1, 1] * dy**2 - b**2 / c
    middle, half = centres[owner, 2] - b / c, ((LIMIT - least).clamp_min(0) / c).sqrt()
    low = (middle - half).ceil().long().clamp_min(0)
    lengths = torch.where(
        least <= LIMIT, (middle + half).floor().long().clamp_max(shape[2] - 1) - low + 1, 0
    ).clamp_min(0)
    column = torch.repeat_interleave(torch.arange(len(owner), device=owner.device), lengths)  # (M,)
    z = torch.arange(len(column), device=owner.device) - (lengths.cumsum(0) - lengths - low)[column]
    weight = (-0.5 * (least[column] + c[column] * (z - middle[column]) ** 2)).exp()
    flat = (xy[column, 0] * shape[1] + xy[column, 1]) * shape[2] + z
    for k in range(values.shape[1]):
        out[k].index_add_(0, flat, values[owner[column], k] * weight.to(values.dtype))


def _chunks(counts: Tensor, depth: int) -> list[Tensor]:
    """Indices of the Gaussians in groups of about CHUNK grid points."""
    group = (counts.cumsum(0) * depth) // CHUNK
    return [part for part in torch.arange(len(counts), device=counts.device).split(group.unique_consecutive(
        return_counts=True)[1].tolist()) if len(part)]  # fmt: skip


def _slabs(x: Any, reach: Any, planes: int, workers: int) -> Any:
    """Edges (workers + 1,) of slabs of x planes with about equal work."""
    work = reach.prod(1)
    order = x.argsort()
    done = work[order].cumsum()
    cuts = [x[order[np.searchsorted(done, done[-1] * k / workers)]] for k in range(1, workers)] if len(x) else []
    return np.array([0, *np.clip(np.round(cuts), 0, planes), planes], np.int64)


@functools.cache
def _compiled() -> Any:
    from hgs_toolkit.rendering.cpu.jit import cached

    return cached(_sum_kernel)


def _sum_kernel(
    worker: int, _workers: int, edges: Any, centres: Any, precisions: Any, reach: Any, values: Any, out: Any
) -> None:
    """Add every Gaussian's values in the planes edges[worker] <= x < edges[worker + 1], in their order."""
    channels, _, size_y, size_z = out.shape
    run = np.empty(size_z, np.float32)
    for n in range(len(centres)):
        mx, my, mz = centres[n]
        P = precisions[n]
        c = P[2, 2]
        ratio = math.exp(-c)
        for x in range(
            max(math.ceil(mx - reach[n, 0]), edges[worker]), min(math.floor(mx + reach[n, 0]) + 1, edges[worker + 1])
        ):
            dx = x - mx
            for y in range(max(math.ceil(my - reach[n, 1]), 0), min(math.floor(my + reach[n, 1]) + 1, size_y)):
                dy = y - my
                b = P[0, 2] * dx + P[1, 2] * dy
                least = P[0, 0] * dx * dx + 2 * P[0, 1] * dx * dy + P[1, 1] * dy * dy - b * b / c
                if least > LIMIT:
                    continue
                middle, half = mz - b / c, math.sqrt((LIMIT - least) / c)
                low, high = max(math.ceil(middle - half), 0), min(math.floor(middle + half) + 1, size_z)
                # exp(-c z^2 / 2) by two multiplications a step: its ratios form a geometric series.
                d = low - middle
                value, step = math.exp(-0.5 * (least + c * d * d)), math.exp(-c * (d + 0.5))
                for z in range(high - low):
                    run[z] = value
                    value *= step
                    step *= ratio
                for k in range(channels):
                    amount = values[n, k]
                    for z in range(high - low):
                        out[k, x, y, low + z] += amount * run[z]
