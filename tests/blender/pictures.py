"""What tests that look at pictures share."""

from __future__ import annotations

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
