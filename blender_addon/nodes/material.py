# SPDX-License-Identifier: GPL-3.0-or-later
"""The material of cards: a Gaussian's falloff as transparency, its colour as light, or as a surface that is lit."""

from __future__ import annotations

from typing import Any

import bpy

from ..core.projection import MIN_ALPHA
from ..core.rasterizing import MAX_ALPHA
from ..typed import present
from .display_nodes import COLOR, CORNER, NORMAL
from .graph import Graph

NAME = "HGS Splat"
SIGNATURE = "hgs_material"


def splat_material() -> bpy.types.Material:
    """The material, made once in a file."""
    for known in bpy.data.materials:
        if known.get(SIGNATURE) is not None:
            return known
    material = bpy.data.materials.new(NAME)
    material[SIGNATURE] = True
    if material.node_tree is None:  # since 5.0 it is always there
        material.use_nodes = True
    tree = present(material.node_tree)
    tree.nodes.clear()
    _build(Graph(tree))
    # EEVEE: blended in the order in which the cards come, none of them left out.
    material.surface_render_method = "BLENDED"
    material.use_transparency_overlap = True
    # Cycles would otherwise take every card for a lamp.
    present(material.cycles).emission_sampling = "NONE"
    return material


def _build(graph: Graph) -> None:
    color = graph.add("ShaderNodeAttribute", attribute_name=COLOR)
    corner = graph.add("ShaderNodeAttribute", attribute_name=CORNER)
    emission = graph.add("ShaderNodeEmission")
    graph.put(color.outputs["Color"], emission.inputs["Color"])
    surface = graph.add("ShaderNodeMixShader")
    graph.put(color.outputs["Alpha"], surface.inputs[0])
    graph.put(emission.outputs[0], surface.inputs[1])
    graph.put(_lit(graph, color.outputs["Color"]), surface.inputs[2])

    cover = graph.add("ShaderNodeMixShader")
    alpha = _alpha(graph, corner.outputs["Vector"])
    graph.put(graph.math("MULTIPLY", alpha, _casts(graph, color.outputs["Alpha"])), cover.inputs[0])
    graph.put(graph.add("ShaderNodeBsdfTransparent").outputs[0], cover.inputs[1])
    graph.put(surface.outputs[0], cover.inputs[2])
    end = graph.add("ShaderNodeOutputMaterial")
    graph.put(cover.outputs[0], end.inputs["Surface"])
    graph.arrange()


def _alpha(graph: Graph, corner: Any) -> Any:
    """min(0.999, opacity exp(-(u^2 + v^2) / 2)), and 0 below 1/255."""
    u, v, opacity = graph.split(corner)
    squared = graph.math("ADD", graph.math("MULTIPLY", u, u), graph.math("MULTIPLY", v, v))
    falloff = graph.math("EXPONENT", graph.math("MULTIPLY", squared, -0.5))
    alpha = graph.math("MINIMUM", graph.math("MULTIPLY", opacity, falloff), MAX_ALPHA)
    return graph.math("MULTIPLY", alpha, graph.math("GREATER_THAN", alpha, MIN_ALPHA))


def _casts(graph: Graph, lit: Any) -> Any:
    """1, but for shadows the part that is not lit: lit cards, one above the other, would darken each other to noise."""
    shadow = graph.add("ShaderNodeLightPath").outputs["Is Shadow Ray"]
    return graph.math("SUBTRACT", 1.0, graph.math("MULTIPLY", shadow, lit))


def _lit(graph: Graph, color: Any) -> Any:
    """A matt surface that faces along the Gaussian's shortest axis, on the camera's side."""
    axis = graph.add("ShaderNodeAttribute", attribute_name=NORMAL)
    turn = graph.add("ShaderNodeVectorTransform", vector_type="NORMAL", convert_from="OBJECT", convert_to="WORLD")
    graph.put(axis.outputs["Vector"], turn.inputs["Vector"])  # 5.3 has a hidden input before it
    incoming = graph.add("ShaderNodeNewGeometry").outputs["Incoming"]
    side = graph.add("ShaderNodeVectorMath", operation="DOT_PRODUCT")
    graph.put(turn.outputs[0], side.inputs[0])
    graph.put(incoming, side.inputs[1])
    facing = graph.scaled(turn.outputs[0], graph.math("SIGN", side.outputs["Value"]))
    diffuse = graph.add("ShaderNodeBsdfDiffuse")
    graph.put(color, diffuse.inputs["Color"])
    graph.put(facing, diffuse.inputs["Normal"])
    return diffuse.outputs[0]
