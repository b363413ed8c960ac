"""How good a mesh of a solid is, in voxels and ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from tests.exporters.meshes.shapes import Solid


@dataclass(frozen=True)
class Quality:
    """Averages are weighted by area.

    Attributes:
        error, bias: mean distance of the faces' centres from the true surface, and the signed one, voxels.
        normals: mean cosine between the faces' normals and the true outward ones.
        volume, area: over the true ones.
        euler: Euler number.
        parts: connected components.
        watertight: as trimesh says.
    """

    error: float
    bias: float
    normals: float
    volume: float
    area: float
    euler: int
    parts: int
    watertight: bool


def judge(mesh: trimesh.Trimesh, solid: Solid) -> Quality:
    centres, areas = mesh.triangles_center, mesh.area_faces
    distance = solid.distance(centres) / mesh.metadata["hgs"]["voxel"]
    cosine = (mesh.face_normals * solid.normals(centres)).sum(axis=1)
    return Quality(
        error=float(np.average(np.abs(distance), weights=areas)),
        bias=float(np.average(distance, weights=areas)),
        normals=float(np.average(cosine, weights=areas)),
        volume=float(mesh.volume / solid.truth.volume),
        area=float(mesh.area / solid.truth.area),
        euler=int(mesh.euler_number),
        parts=int(mesh.body_count),
        watertight=bool(mesh.is_watertight),
    )
