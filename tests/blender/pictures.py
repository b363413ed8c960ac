"""What tests that look at pictures share."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import bpy
import numpy as np

Array = np.ndarray[Any, Any]

SIZE = 256
"""Width and height of the goldens."""

EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
EXACT = "HGS_EXACT"


def psnr(a: Array, b: Array) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-12)))


def glowing() -> Any:
    """A material of one colour whatever the light, so that a single sample has no noise."""
    material = bpy.data.materials.new("blue")
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    emission = nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (0.1, 0.2, 0.6, 1)
    end = nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], end.inputs["Surface"])
    return material


def read_exr(path: Path) -> dict[str, Array]:
    """Channels (H, W) of an OpenEXR file without compression, by their names; upper row first."""
    data = path.read_bytes()
    position, attributes = 8, {}

    def text() -> str:
        nonlocal position
        end = data.index(b"\0", position)
        found, position = data[position:end].decode(), end + 1
        return found

    while name := text():
        text()  # the type
        (size,) = struct.unpack_from("<i", data, position)
        attributes[name] = data[position + 4 : position + 4 + size]
        position += 4 + size
    assert attributes["compression"] == b"\0"
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    kinds = []
    for entry in re.finditer(rb"([^\0]+)\0(.{16})", attributes["channels"], re.DOTALL):
        kinds.append((entry[1].decode(), {0: "<u4", 1: "<f2", 2: "<f4"}[entry[2][0]]))
    row = np.dtype([("head", "<i4", 2), *((name, kind, width) for name, kind in kinds)])
    rows = np.frombuffer(data, row, height, position + 8 * height)
    return {name: rows[name].astype(np.float32) for name, _ in kinds}


def render_exr(scene: Any, path: Path) -> dict[str, Array]:
    """Render ``scene`` into ``path`` with all its passes; the channels by their names."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # since 5.0
        settings.media_type = "MULTI_LAYER_IMAGE"
        settings.use_exr_interleave = True  # one part with all channels
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return read_exr(path)


Rows = tuple[tuple[float, ...], ...]


def through_the_camera(stage: Any, size: int) -> tuple[Rows, Rows]:
    """Rows of the matrices world to camera and projection of the stage's camera, for a square image."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    camera = stage.camera.evaluated_get(depsgraph)
    world_to_camera = camera.matrix_world.normalized().inverted()
    projection = camera.calc_matrix_camera(depsgraph, x=size, y=size)
    return tuple(map(tuple, world_to_camera)), tuple(map(tuple, projection))
