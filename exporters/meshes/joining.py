"""Parts that nearly touch become one solid: an ear whose foot is thinner than the grid can show is no loose piece.

Between a part and what lies beside it a bridge is raised in the scalar field, no longer than REACH of the grid's
longest side and about half as thick as the part is, so that the isosurface through the field is in one piece. What is
farther away, or too small to matter, stays as it is.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, label
from scipy.spatial import cKDTree

from hgs_toolkit.exporters.meshes.visible import Floats

logger = logging.getLogger(__name__)

REACH = 1 / 16
"""Longest bridge, as a share of the grid's longest side."""

LEAST = 1e-3
"""Smallest part that is worth a bridge, as a share of the largest part's voxels."""

MOST = 32
"""Largest number of parts that are joined, the largest first."""

THINNEST, THICKEST = 1.5, 4.0
"""Bounds of a bridge's radius, voxels: a thinner one would fall between the grid's points."""

RISE = 0.25
"""How far the field rises above its surface along a bridge, as a share of its range above the surface."""


class Gap(NamedTuple):
    """The shortest way from a part to another: its length, and the voxels (3,) at its ends."""

    length: float
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


def join_parts(values: Floats, surface: float) -> int:
    """Join the parts of ``values`` (X, Y, Z) above ``surface`` to the largest one, in place; the number of bridges.

    The nearest part comes first, and what is joined may carry the next one.
    """
    parts, count = label(values > surface)
    if count < 2:
        return 0
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable") + 1
    wanted = [int(part) for part in order[: MOST + 1] if sizes[part - 1] >= LEAST * sizes.max()]
    edges = _edges(parts, wanted)
    main, *rest = wanted
    waiting = {part: _gap(edges[part], edges[main]) for part in rest}
    bridges = 0
    while waiting:
        part = min(waiting, key=lambda each: waiting[each].length)
        gap = waiting.pop(part)
        if gap.length > REACH * max(values.shape):
            break
        radius = float(np.clip(np.cbrt(sizes[part - 1]) / 4, THINNEST, THICKEST))
        _raise_bridge(values, surface, gap.start, gap.end, radius)
        bridges += 1
        # What is joined may carry the next one.
        closer = {other: _gap(edges[other], edges[part]) for other in waiting}
        waiting = {other: min(old, closer[other], key=lambda each: each.length) for other, old in waiting.items()}
    if bridges:
        logger.info("parts that nearly touched the rest were joined to it: %d", bridges)
    return bridges


def _edges(parts: npt.NDArray[np.int32], wanted: list[int]) -> dict[int, cKDTree]:
    """For each of the wanted parts, the voxels on its edge, in a tree to look for neighbours in."""
    inside = parts > 0
    edge = np.argwhere(inside & ~binary_erosion(inside))
    of = parts[tuple(edge.T)]
    return {part: cKDTree(edge[of == part]) for part in wanted}


def _gap(part: cKDTree, other: cKDTree) -> Gap:
    distances, nearest = other.query(part.data)
    place = int(distances.argmin())
    return Gap(float(distances[place]), part.data[place].astype(int), other.data[nearest[place]].astype(int))


def _raise_bridge(
    values: Floats, surface: float, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], radius: float
) -> None:
    """Raise ``values`` above ``surface`` within ``radius`` of the line from one voxel to another."""
    low = np.maximum(np.minimum(start, end) - int(radius) - 1, 0)
    high = np.minimum(np.maximum(start, end) + int(radius) + 2, values.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    along = (end - start).astype(float)
    share = np.clip((points - start) @ along / max(float(along @ along), 1.0), 0, 1)
    away = np.linalg.norm(points - start - share[..., None] * along, axis=-1)
    rise = RISE * (float(values.max()) - surface) * (1 - away / radius)
    values[box] = np.where(rise > 0, np.maximum(values[box], surface + rise), values[box])
