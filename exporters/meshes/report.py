"""The facts of a mesh in numbers: for ``--report``, and for whoever prints or sells it."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from hgs_toolkit.exporters.meshes.color import color_kind
from hgs_toolkit.exporters.meshes.isosurface import face_parts
from hgs_toolkit.exporters.meshes.placement import MeshPlacement, place_meshes


def describe_mesh(mesh: trimesh.Trimesh, placement: MeshPlacement) -> dict[str, Any]:
    """:func:`describe_meshes` of one."""
    return describe_meshes({"": mesh}, placement)[""]


def describe_meshes(meshes: dict[str, trimesh.Trimesh], placement: MeshPlacement) -> dict[str, dict[str, Any]]:
    """Facts of each mesh as they lie in one file, the first deciding the size, ready for JSON.

    Lengths, areas and volumes are in the file's unit.

    ``solid`` means watertight, consistently oriented outwards and in one piece. A textured mesh is judged
    without the seams of its texture, at which vertices are doubled.
    """
    scale = placement.scale(next(iter(meshes.values())))
    return {name: _facts(mesh, placement, scale) for name, mesh in place_meshes(meshes, placement).items()}


def _facts(placed: trimesh.Trimesh, placement: MeshPlacement, scale: float) -> dict[str, Any]:
    """Facts of a mesh that was enlarged ``scale`` times."""
    made = dict(placed.metadata.get("hgs", {}))
    if "voxel" in made:
        made["voxel"] = made["voxel"] * scale
    joined = trimesh.Trimesh(placed.vertices, placed.faces, process=False)
    joined.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=None)
    parts = int(face_parts(joined).max()) + 1
    watertight, volume = bool(joined.is_watertight), float(joined.volume)
    return {
        **made,
        "unit": placement.unit,
        "up": placement.up,
        "vertices": len(placed.vertices),
        "faces": len(placed.faces),
        "size": placed.extents.tolist(),
        "bounds": placed.bounds.tolist(),
        "area": float(joined.area),
        "volume": volume,
        "watertight": watertight,
        "consistent_winding": bool(joined.is_winding_consistent),
        "euler_number": int(joined.euler_number),
        "parts": parts,
        "degenerate_faces": int(np.sum(joined.area_faces <= 0)),
        "solid": watertight and volume > 0 and parts == 1 and bool(joined.is_winding_consistent),
        "color": color_kind(placed),
    }
