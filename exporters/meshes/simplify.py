"""Fewer triangles, the same solid: quadric decimation whose result is checked."""

from __future__ import annotations

import logging

import numpy as np
import trimesh
from fast_simplification import simplify

logger = logging.getLogger(__name__)

MIN_FACES = 100
"""Fewer triangles cannot hold handles and holes."""

AGGRESSIVENESS = (7, 3)
"""How quickly the bound on the error is raised: the library's default, then careful."""

STEP = 1.25
"""Factor by which more triangles are allowed where the topology does not survive."""


def decimate(mesh: trimesh.Trimesh, faces: int, *, strict: bool = True) -> trimesh.Trimesh:
    """At most about ``faces`` triangles; a watertight mesh stays watertight with the same Euler number.

    Where that would tear the surface, as few more as keep it whole, and a warning says so; not ``strict``, it may tear.
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
