"""Fewer triangles, the same solid: quadric decimation whose result is checked."""

from __future__ import annotations

import logging

import numpy as np
import trimesh
from fast_simplification import simplify

logger = logging.getLogger(__name__)

MIN_FACES = 100
"""Fewer triangles cannot hold handles and holes."""

AGGRESSIVENESS = (7, 5, 3, 1)
"""How quickly the bound on the error is raised, from the library's default to careful, until the topology survives."""


def decimate(mesh: trimesh.Trimesh, faces: int, *, strict: bool = True) -> trimesh.Trimesh:
    """At most about ``faces`` triangles; a watertight mesh stays watertight with the same Euler number.

    Where no setting of the decimation keeps it so, the mesh stays as it is and a warning says so; not ``strict``, the
    first result is taken.
    """
    if len(mesh.faces) <= faces:
        return mesh
    center, size = mesh.bounds.mean(axis=0), mesh.extents.max()
    # Small numbers around 0: the library works in float32, and a scene can lie far from the origin.
    vertices = np.asarray((mesh.vertices - center) / size, np.float32)
    for aggressiveness in AGGRESSIVENESS:
        fewer = simplify(vertices, np.asarray(mesh.faces, np.int32), target_count=faces, agg=aggressiveness)
        smaller = trimesh.Trimesh(fewer[0] * size + center, fewer[1], process=False)
        if not strict or _same_topology(mesh, smaller):
            return smaller
    logger.warning("%d triangles are kept: decimation to %d would tear the surface", len(mesh.faces), faces)
    return mesh


def _same_topology(mesh: trimesh.Trimesh, smaller: trimesh.Trimesh) -> bool:
    return bool(smaller.is_watertight == mesh.is_watertight and smaller.euler_number == mesh.euler_number)
