"""The isosurface of a field on a grid as triangles, and the choice of the connected parts to keep."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from hgs_toolkit.errors import ConfigError, FormatError
from hgs_toolkit.exporters.meshes.grid import Grid
from hgs_toolkit.exporters.meshes.settings import KEEP
from hgs_toolkit.exporters.meshes.visible import Floats

logger = logging.getLogger(__name__)

NUDGE = 1e-3
"""Least distance between a grid value and the level, as a share of the field's range: below a hundredth of a voxel."""

CRUMB = 0.01
"""Share of the largest part's area below which a part is a crumb; crumbs are always dropped."""


def isosurface(values: Floats, level: float, grid: Grid) -> trimesh.Trimesh:
    """The closed surface (world units, outward) around where ``values`` (X, Y, Z) exceed ``level``.

    Raises:
        FormatError: if no value exceeds the level.
    """
    closed = _closed(values, level)
    if not closed.max() > level:
        raise FormatError("the Gaussians enclose no volume at this resolution; choose a higher --resolution")
    vertices, faces, _, _ = marching_cubes(closed, level, gradient_direction="ascent")
    return trimesh.Trimesh(grid.positions(vertices), faces, process=False)


def _closed(values: Floats, level: float) -> Floats:
    """``values`` prepared for marching cubes: the outermost points lie below the level, so that the surface is closed
    inside the box, and no value equals the level, where several vertices would coincide and pinch the surface."""
    nudge = max(NUDGE * (float(values.max()) - float(values.min())), float(np.finfo(np.float32).tiny))
    closed = values.copy()
    for axis in range(3):
        for end in (0, -1):
            side: list[Any] = [slice(None)] * 3
            side[axis] = end
            closed[tuple(side)] = np.minimum(closed[tuple(side)], np.float32(level - nudge))
    offset = closed - np.float32(level)
    near = np.abs(offset) < nudge
    closed[near] = np.float32(level) + np.copysign(np.float32(nudge), offset[near])
    return closed


def select_parts(mesh: trimesh.Trimesh, keep: str, *, fill: bool) -> trimesh.Trimesh:
    """The parts to keep: ``largest`` by volume, or ``all`` but crumbs.

    Args:
        fill: drop cavities, the parts that face inwards: no view of the gaussians shows them.

    Raises:
        ConfigError: if ``keep`` is neither.
    """
    if keep not in KEEP:
        raise ConfigError(f"keep '{keep}' is unknown; expected {' or '.join(KEEP)}")
    part = face_parts(mesh)
    area = np.bincount(part, mesh.area_faces).astype(float)
    volume = np.bincount(part, signed_volumes(mesh)).astype(float)
    wanted = area >= CRUMB * area.max()
    if fill and (volume > 0).any():
        wanted &= volume > 0
        wanted &= area >= CRUMB * area[volume > 0].max()
    if keep == "largest":
        size = np.abs(volume)
        solid = wanted & (size >= size[wanted].max())
        _report_loss(area, wanted & ~solid, solid)
        wanted = solid
    return submesh(mesh, wanted[part])


def face_parts(mesh: trimesh.Trimesh) -> NDArray[np.int64]:
    """(F,) the number of the connected part each face belongs to."""
    count = len(mesh.vertices)
    ends = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])
    links = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    labels = connected_components(links, directed=False)[1][mesh.faces[:, 0]]
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def signed_volumes(mesh: trimesh.Trimesh) -> NDArray[np.float64]:
    """(F,) signed volumes of the tetrahedra from the box's centre to each face; their sum is the enclosed volume."""
    a, b, c = (mesh.triangles - mesh.bounds.mean(axis=0)).transpose(1, 0, 2)
    return np.asarray(np.einsum("fi,fi->f", a, np.cross(b, c)) / 6, np.float64)


def submesh(mesh: trimesh.Trimesh, wanted: NDArray[np.bool_]) -> trimesh.Trimesh:
    """The mesh of the faces marked in ``wanted`` (F,), without unused vertices."""
    used, faces = np.unique(mesh.faces[wanted], return_inverse=True)
    return trimesh.Trimesh(mesh.vertices[used], faces.reshape(-1, 3), process=False)


def _report_loss(area: NDArray[np.floating], lost: NDArray[np.bool_], kept: NDArray[np.bool_]) -> None:
    if lost.any():
        share = area[lost].sum() / area[lost | kept].sum()
        logger.info("separate parts left out: %d, with %.1f %% of the area; --keep all keeps them",
                    lost.sum(), 100 * share)  # fmt: skip
