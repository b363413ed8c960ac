"""Meshes as Wavefront .obj: text, with an .mtl and a .png beside it when the mesh has a texture."""

from __future__ import annotations

import io

import numpy as np
import trimesh

from hgs_toolkit.exporters.meshes.color import Texture, png, texture, vertex_colors

MATERIAL = "surface"
"""Name of the one material of a textured file."""


def encode_obj(mesh: trimesh.Trimesh, names: list[str]) -> list[bytes]:
    """The .obj, and the .mtl and .png of a textured mesh, which refer to each other by ``names``.

    Vertex colours are sRGB values from 0 to 1 behind the position, as MeshLab and Blender read them.
    """
    baked, colors = texture(mesh), vertex_colors(mesh)
    rows = np.asarray(mesh.vertices)
    if colors is not None:
        rows = np.concatenate([rows, colors / 255.0], axis=1)
    corner, indices = ("%d//%d", 2) if baked is None else ("%d/%d/%d", 3)
    corners = np.repeat(np.asarray(mesh.faces) + 1, indices, axis=1)  # (F, 3 * indices): all of a corner are the same
    text = io.BytesIO()
    if baked is not None:
        text.write(f"mtllib {names[1]}\nusemtl {MATERIAL}\n".encode())
    np.savetxt(text, rows, "v" + rows.shape[1] * " %.7g")
    if baked is not None:
        np.savetxt(text, baked.uvs, "vt %.7g %.7g")
    np.savetxt(text, mesh.vertex_normals, "vn %.5f %.5f %.5f")
    np.savetxt(text, corners, "f " + " ".join([corner] * 3))
    return [text.getvalue()] if baked is None else [text.getvalue(), *_material_files(baked, names)]


def _material_files(baked: Texture, names: list[str]) -> list[bytes]:
    material = f"newmtl {MATERIAL}\nKd 1 1 1\nillum 1\nmap_Kd {names[2]}\n"
    return [material.encode(), png(baked.image)]
