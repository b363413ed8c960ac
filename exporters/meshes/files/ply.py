"""Meshes as binary .ply: position, normal and sRGB colour of each vertex, faces as lists of three."""

from __future__ import annotations

import io

import numpy as np
import trimesh
from plyfile import PlyData, PlyElement

from hgs_toolkit.exporters.meshes.color import vertex_colors


def encode_ply(mesh: trimesh.Trimesh) -> bytes:
    """The file of a mesh whose vertices are already in the file's unit and axes; colours are sRGB bytes."""
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    columns = [*np.asarray(mesh.vertices).T, *np.asarray(mesh.vertex_normals).T]
    colors = vertex_colors(mesh)
    if colors is not None:
        kinds += [(name, "u1") for name in ("red", "green", "blue")]
        columns += [*colors.T]
    vertices = np.empty(len(mesh.vertices), kinds)
    for (name, _kind), column in zip(kinds, columns, strict=True):
        vertices[name] = column
    faces = np.empty(len(mesh.faces), [("vertex_indices", "<i4", (3,))])
    faces["vertex_indices"] = mesh.faces
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    stream = io.BytesIO()
    PlyData(elements, byte_order="<").write(stream)
    return stream.getvalue()
