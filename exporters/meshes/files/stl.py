"""Meshes as binary .stl: an 80-byte header, the count, and 50 bytes a triangle. The format has no colours."""

from __future__ import annotations

import struct

import numpy as np
import trimesh

HEADER = b"hgs_toolkit, millimetres, z up".ljust(80)


def encode_stl(mesh: trimesh.Trimesh) -> bytes:
    """The file of a mesh in millimetres, z up: for each triangle its normal, three corners and two unused bytes."""
    triangles = np.zeros(len(mesh.faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    triangles["normal"], triangles["corners"] = mesh.face_normals, mesh.triangles
    return HEADER + struct.pack("<I", len(triangles)) + triangles.tobytes()
