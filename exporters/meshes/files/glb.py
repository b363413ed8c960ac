"""Meshes as binary glTF 2.0: what Blender, browsers and engines import without options.

Vertex colours are linear by the specification (section 3.7.2.1, COLOR_0), so sRGB bytes become linear 16-bit values;
textures are sRGB and stay as they are. Several meshes are levels of detail: the finest is what the default scene shows,
the others hang on it by MSFT_lod, and each has a scene of its own under its name, for programs without the extension.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from hgs_toolkit.exporters.meshes.color import Texture, png, texture, vertex_colors
from hgs_toolkit.imaging.srgb import srgb_to_linear
from hgs_toolkit.version import program_name

MAGIC, CONTAINER_VERSION = 0x46546C67, 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5123, 5125, 5126
LINEAR_MIPMAP_LINEAR, LINEAR, REPEAT = 9987, 9729, 10497

LOD, UNLIT = "MSFT_lod", "KHR_materials_unlit"


def encode_glb(meshes: dict[str, trimesh.Trimesh], *, unlit: bool = False) -> bytes:
    """The file of meshes by name, the finest first; ``unlit`` shows colours as they are, without lamps."""
    document = _Document()
    for mesh in meshes.values():
        document.add_mesh(mesh, unlit)
    document.add_scenes(list(meshes))
    return document.packed()


class _Document:
    """A file under construction: its JSON and its binary buffer, which both grow."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": program_name()}}

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Append to one of the JSON's lists; the index of the new entry."""
        entries = self.json.setdefault(kind, [])
        entries.append(value)
        return len(entries) - 1

    def use(self, extension: str) -> None:
        """Name an extension as used."""
        used = self.json.setdefault("extensionsUsed", [])
        if extension not in used:
            used.append(extension)

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """A buffer view of ``data``, aligned to four bytes."""
        self.binary.extend(bytes(-len(self.binary) % 4))
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        self.binary.extend(data)
        return self.add("bufferViews", view if target is None else view | {"target": target})

    def add_array(self, values: NDArray[Any], kind: str, component: int, **facts: Any) -> int:
        """An accessor of ``values`` (M,) or (M, width)."""
        target = ELEMENT_ARRAY_BUFFER if kind == "SCALAR" else ARRAY_BUFFER
        view = self.add_bytes(np.ascontiguousarray(values).tobytes(), target)
        accessor = {"bufferView": view, "componentType": component, "count": len(values), "type": kind}
        return self.add("accessors", accessor | facts)

    def add_mesh(self, mesh: trimesh.Trimesh, unlit: bool) -> None:
        """One mesh with one material."""
        positions = np.asarray(mesh.vertices, "<f4")
        bounds = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
        attributes = {
            "POSITION": self.add_array(positions, "VEC3", FLOAT, **bounds),
            "NORMAL": self.add_array(_unit_normals(mesh), "VEC3", FLOAT),
        }
        surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        material: dict[str, Any] = {"pbrMetallicRoughness": surface}
        baked, colors = texture(mesh), vertex_colors(mesh)
        if baked is not None:
            from_top = np.asarray(baked.uvs * [1, -1] + [0, 1], "<f4")  # glTF counts v from the top
            attributes["TEXCOORD_0"] = self.add_array(from_top, "VEC2", FLOAT)
            surface["baseColorTexture"] = {"index": self._add_texture(baked)}
        elif colors is not None:
            attributes["COLOR_0"] = self.add_array(_linear_colors(colors), "VEC4", UNSIGNED_SHORT, normalized=True)
        if unlit:
            self.use(UNLIT)
            material["extensions"] = {UNLIT: {}}
        indices = self.add_array(np.asarray(mesh.faces, "<u4").reshape(-1), "SCALAR", UNSIGNED_INT)
        primitive = {"attributes": attributes, "indices": indices, "material": self.add("materials", material)}
        self.add("meshes", {"primitives": [primitive]})

    def _add_texture(self, baked: Texture) -> int:
        image = self.add("images", {"bufferView": self.add_bytes(png(baked.image)), "mimeType": "image/png"})
        sampler = self.add(
            "samplers", {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": REPEAT, "wrapT": REPEAT}
        )
        return self.add("textures", {"source": image, "sampler": sampler})

    def add_scenes(self, names: list[str]) -> None:
        """A node and a scene for every mesh; the first is the default and lists the others as its levels of detail."""
        for index, name in enumerate(names):
            self.json["meshes"][index]["name"] = name
            self.add("nodes", {"mesh": index, "name": name})
            self.add("scenes", {"nodes": [index], "name": name})
        self.json["scene"] = 0
        if len(names) > 1:
            self.use(LOD)
            self.json["nodes"][0]["extensions"] = {LOD: {"ids": list(range(1, len(names)))}}

    def packed(self) -> bytes:
        """The whole file."""
        self.binary.extend(bytes(-len(self.binary) % 4))
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.json, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(self.binary)
        return b"".join([
            struct.pack("<3I", MAGIC, CONTAINER_VERSION, total),
            struct.pack("<2I", len(text), JSON_CHUNK), text,
            struct.pack("<2I", len(self.binary), BINARY_CHUNK), self.binary,
        ])  # fmt: skip


def _unit_normals(mesh: trimesh.Trimesh) -> NDArray[np.float32]:
    """Vertex normals (V, 3) of length 1; a vertex whose faces all have no area gets the y axis."""
    normals = np.asarray(mesh.vertex_normals, np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    upwards = np.array([0.0, 1.0, 0.0])
    return np.asarray(np.where(length > 1e-6, normals / np.maximum(length, 1e-6), upwards), "<f4")


def _linear_colors(colors: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """(V, 4) linear, 65535 for 1. Alpha is 1; it fills each entry to eight bytes, the alignment glTF asks for."""
    linear = srgb_to_linear(colors / 255.0)
    opaque = np.ones((len(linear), 1))
    return np.asarray(np.rint(np.concatenate([linear, opaque], axis=1) * 65535), "<u2")
