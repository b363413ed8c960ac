# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group of a colour grade: exposure, tint, hue, saturation, contrast, gamma and curves, within a mask.

A Gaussian's colour is a constant plus harmonics of the direction it is seen from. Whatever is linear in colour acts on
both alike, so that it is exact from every side; the tone curve, which is not linear, acts on the constant colour, and
its slope there acts on the harmonics. The mask mixes the graded colour with the original one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
from bpy.types import GeometryNodeTree, NodeTree

from ..core.harmonics import C0, COUNTS, HARMONICS
from ..nodes.graph import GeometryGraph, Graph, Socket
from ..typed import present

NAME = "HGS Grade"
SIGNATURE = "hgs_grade_degree"

CURVES_NAME = "HGS Curves"
"""Name of the node whose curves are drawn by hand, and of the group that it stands in."""

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in brightness (ITU-R BT.709)."""

DISPLAY_GAMMA = 2.2
"""Exponent from display colours to light: twice the light is a display colour 2^(1/2.2) times as large."""

STEP = 1 / 32
"""Distance in colour, to both sides, at which the slope of the tone curve is measured."""

HELP = {
    "Strength": "How far the grade is mixed in; 0 is the original",
    "Exposure": "Stops, each of which doubles the light",
    "Tint": "Filter in front of the light; white changes nothing",
    "Hue": "Turns all hues and keeps their brightness",
    "Saturation": "0 is grey, 1 is as it was",
    "Contrast": "Slope about middle grey; 1 is as it was",
    "Gamma": "Above 1 the middle tones become brighter; black and white stay",
    "Curves": "How far the curves are mixed in",
    "By Level": "Grade only the levels of the tree from First Level to Last Level",
    "First Level": "Coarsest level that is graded; -1 is the background",
    "Last Level": "Finest level that is graded",
    "By Box": "Grade only what is in the box",
    "Box": "An object: the cube of side 2 about its origin, moved, turned and scaled as it is",
    "Outside": "Grade what is outside of the box instead",
    "Attribute": "Name of a point attribute whose value, 0 to 1, is the strength at each Gaussian; empty grades all",
}
"""What the inputs are for."""


class Look(NamedTuple):
    """The sockets of what is done to colours."""

    gain: Socket  # vector: factors on display colours
    rows: Sequence[Socket]  # matrix of hue and saturation, a vector for each row
    contrast: Socket
    gamma: Socket
    curves: Socket
    drawn: NodeTree  # the group of the curves


def grade_group(degree: int) -> NodeTree:
    """A new group for harmonics of ``degree`` 0 to 3. It is not shared, since the curves are its own."""
    group = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    assert isinstance(group, GeometryNodeTree)
    group[SIGNATURE] = degree
    _build(GeometryGraph(group), COUNTS[degree])
    return group


def curves_node(group: NodeTree) -> Any:
    """The node that holds the curves of a group of :func:`grade_group`: red, green, blue and all three."""
    nodes: Any = group.nodes  # whose own properties the stubs do not know
    return next(node for node in nodes if node.bl_idname == "GeometryNodeGroup").node_tree.nodes[CURVES_NAME]


def _build(graph: GeometryGraph, count: int) -> None:
    strength = graph.declare("Strength", "Float", 1.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    look = _declare_look(graph)
    weight = graph.math("MULTIPLY", strength, _declare_mask(graph))
    graph.explain(HELP)

    red, green, blue, opacity = graph.channels(graph.read("radiance:base", "FLOAT_COLOR"))
    constant = graph.join(red, green, blue)
    before = graph.vector("MULTIPLY_ADD", constant, (C0,) * 3, (0.5,) * 3)
    straight = _contrasted(graph, look, _matrix(graph, look, before))
    change = graph.vector("SUBTRACT", _toned(graph, look, straight), before)
    change = graph.scaled(change, graph.math("DIVIDE", weight, C0))
    base = graph.call("FunctionNodeCombineColor", *graph.split(graph.vector("ADD", constant, change)), opacity)

    geometry = graph.geometry
    if count:
        ends = [_toned(graph, look, graph.vector("ADD", straight, (side,) * 3)) for side in (STEP, -STEP)]
        slope = graph.scaled(graph.vector("SUBTRACT", *ends), graph.math("DIVIDE", look.contrast, 2 * STEP))
        # Before the constant colour, from which the slope comes, is another one.
        geometry, kept = graph.captured(geometry, {"slope": ("VECTOR", slope), "weight": ("FLOAT", weight)})
        for index in range(count):
            name = f"{HARMONICS}{index}"
            own = graph.read(name, "FLOAT_VECTOR")
            graded = graph.vector("MULTIPLY", kept["slope"], _matrix(graph, look, own))
            change = graph.scaled(graph.vector("SUBTRACT", graded, own), kept["weight"])
            geometry = graph.store(geometry, name, graph.vector("ADD", own, change), "FLOAT_VECTOR")
    graph.finish(graph.store(geometry, "radiance:base", base, "FLOAT_COLOR"))


def _declare_look(graph: GeometryGraph) -> Look:
    exposure = graph.declare("Exposure", "Float", 0.0, min_value=-10.0, max_value=10.0)
    tint = graph.declare("Tint", "Color", (1.0, 1.0, 1.0, 1.0))
    hue = graph.declare("Hue", "Float", 0.0, min_value=-math.pi, max_value=math.pi, subtype="ANGLE")
    saturation = graph.declare("Saturation", "Float", 1.0, min_value=0.0, max_value=4.0)
    contrast = graph.declare("Contrast", "Float", 1.0, min_value=0.0, max_value=4.0)
    gamma = graph.declare("Gamma", "Float", 1.0, min_value=0.1, max_value=10.0)
    curves = graph.declare("Curves", "Float", 1.0, min_value=0.0, max_value=1.0, subtype="FACTOR")

    light = graph.math("POWER", 2.0, graph.math("DIVIDE", exposure, DISPLAY_GAMMA))
    filtered = (graph.math("POWER", channel, 1 / DISPLAY_GAMMA) for channel in graph.channels(tint)[:3])
    gain = graph.scaled(graph.join(*filtered), light)
    return Look(gain, _rows(graph, hue, saturation), contrast, gamma, curves, _curves_group())


def _rows(graph: GeometryGraph, hue: Socket, saturation: Socket) -> list[Socket]:
    """Rows of the matrix that turns colours about the grey axis, puts their brightness back, and takes so much of
    their difference from the grey of that brightness."""
    cosine, sine = graph.math("COSINE", hue), graph.math("SINE", hue)
    diagonal = graph.math("DIVIDE", graph.math("MULTIPLY_ADD", cosine, 2.0, 1.0), 3.0)
    mean = graph.math("DIVIDE", graph.math("SUBTRACT", 1.0, cosine), 3.0)
    lift = graph.math("DIVIDE", sine, math.sqrt(3))
    ahead, behind = graph.math("ADD", mean, lift), graph.math("SUBTRACT", mean, lift)
    turned = [
        graph.join(diagonal, behind, ahead),
        graph.join(ahead, diagonal, behind),
        graph.join(behind, ahead, diagonal),
    ]  # Rodrigues' formula about (1, 1, 1) / sqrt(3): red goes towards green
    weighted = [graph.scaled(row, weight) for row, weight in zip(turned, LUMA, strict=True)]
    brightness = graph.vector("ADD", graph.vector("ADD", weighted[0], weighted[1]), weighted[2])
    return [
        graph.vector("ADD", LUMA, graph.scaled(graph.vector("SUBTRACT", row, brightness), saturation))
        for row in turned
    ]  # fmt: skip


def _matrix(graph: GeometryGraph, look: Look, color: Socket) -> Socket:
    """Gain, hue and saturation of a colour or of harmonics."""
    lit = graph.vector("MULTIPLY", color, look.gain)
    return graph.join(*(graph.vector("DOT_PRODUCT", lit, row) for row in look.rows))


def _contrasted(graph: GeometryGraph, look: Look, color: Socket) -> Socket:
    middle = (0.5,) * 3
    return graph.vector("ADD", graph.scaled(graph.vector("SUBTRACT", color, middle), look.contrast), middle)


def _toned(graph: GeometryGraph, look: Look, color: Socket) -> Socket:
    """The tone curve, channel by channel: gamma, a straight line below black, and the curves that were drawn."""
    power = graph.math("DIVIDE", 1.0, look.gamma)

    def bent(value: Socket) -> Socket:
        above = graph.math("POWER", graph.math("MAXIMUM", value, 0.0), power)
        return graph.math("ADD", above, graph.math("MINIMUM", value, 0.0))

    bright = graph.join(*(bent(value) for value in graph.split(color)))
    return graph.call("GeometryNodeGroup", look.curves, bright, node_tree=look.drawn)


def _curves_group() -> NodeTree:
    """A new group with the curves, which three nodes of a grade share: the curve, and both ends of its slope."""
    tree = bpy.data.node_groups.new(CURVES_NAME, "GeometryNodeTree")
    interface = present(tree.interface)
    interface.new_socket("Curves", in_out="INPUT", socket_type="NodeSocketFloat")
    interface.new_socket("Color", in_out="INPUT", socket_type="NodeSocketVector")
    interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketVector")
    graph = Graph(tree)
    inputs = graph.add("NodeGroupInput").outputs
    bent = graph.call("ShaderNodeRGBCurve", inputs["Curves"], inputs["Color"], name=CURVES_NAME)
    graph.put(bent, graph.add("NodeGroupOutput").inputs["Color"])
    graph.arrange()
    return tree


def _declare_mask(graph: GeometryGraph) -> Socket:
    """0 to 1: how far the grade reaches each Gaussian, by its level, a box and an attribute."""
    by_level = graph.declare("By Level", "Bool", False)
    first, last = (graph.declare(f"{end} Level", "Int", 0, min_value=-1) for end in ("First", "Last"))
    by_box = graph.declare("By Box", "Bool", False)
    box = graph.declare("Box", "Object")
    outside = graph.declare("Outside", "Bool", False)
    name = graph.declare("Attribute", "String", "")
    level = graph.read("level", "INT")
    excluded = graph.either(
        graph.compare("LESS_THAN", level, first, "INT"), graph.compare("GREATER_THAN", level, last, "INT")
    )
    excluded = graph.both(by_level, excluded)
    beyond = graph.outside_box(graph.call("GeometryNodeInputPosition"), box)
    beyond = graph.choose(outside, beyond, graph.negated(beyond), "BOOLEAN")
    excluded = graph.either(excluded, graph.both(by_box, beyond))
    value = graph.math("MINIMUM", graph.math("MAXIMUM", graph.read(name), 0.0), 1.0)
    everywhere = graph.compare("EQUAL", name, "", "STRING")
    return graph.choose(excluded, graph.choose(everywhere, value, 1.0), 0.0)
