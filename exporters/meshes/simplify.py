"""Quadric decimation that checks its result: fewer triangles, the same topology."""

from __future__ import annotations

import logging

import numpy as np
import trimesh
from fast_simplification import simplify

logger = logging.getLogger(__name__)

AGGRESSIVENESS = (7, 3)
"""Settings of the library to try in order, its default, then a careful one: how quickly the error may grow."""

STEP = 1.25
"""Factor by which the number of triangles is raised while the topology does not survive."""


def decimate(mesh: trimesh.Trimesh, faces: int, *, strict: bool = True) -> trimesh.Trimesh:
    """The mesh reduced to about ``faces`` triangles; a watertight mesh stays watertight with the same Euler number.

    If so few triangles would tear the surface, a warning is logged and as few more as keep it whole remain; without
    ``strict`` it may tear.
    """
    if len(mesh.faces) <= faces:
        return mesh
    allowed = faces
    while allowed < len(mesh.faces):
        for aggressiveness in AGGRESSIVENESS:
            smaller = _simplified(mesh, allowed, aggressiveness)
            if not strict or _same_topology(mesh, smaller):
                _warn_if_more(smaller, faces)
                return smaller
        allowed = int(allowed * STEP) + 1
    _warn_if_more(mesh, faces)
    return mesh


def _simplified(mesh: trimesh.Trimesh, faces: int, aggressiveness: int) -> trimesh.Trimesh:
    # Small numbers around 0: the library works in float32, and a scene can lie far from the origin.
    center, size = mesh.bounds.mean(axis=0), mesh.extents.max()
    vertices = np.asarray((mesh.vertices - center) / size, np.float32)
    fewer = simplify(vertices, np.asarray(mesh.faces, np.int32), target_count=faces, agg=aggressiveness)
    return trimesh.Trimesh(fewer[0] * size + center, fewer[1], process=False)


def _warn_if_more(mesh: trimesh.Trimesh, faces: int) -> None:
    if len(mesh.faces) > STEP * faces:
        logger.warning("%d triangles are kept: fewer, such as %d, would tear the surface", len(mesh.faces), faces)


def _same_topology(mesh: trimesh.Trimesh, smaller: trimesh.Trimesh) -> bool:
    return bool(smaller.is_watertight == mesh.is_watertight and smaller.euler_number == mesh.euler_number)
