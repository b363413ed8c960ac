# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that hands splats to Blender's own renderer (5.3 and newer): without hidden ones, as splat points."""

from __future__ import annotations

from bpy.types import NodeTree

from ..compat import SPLAT_TYPE_NAME, draws_splats
from ..core.harmonics import C0, COUNTS, HARMONICS
from ..core.splats import PLAIN, SLOPE
from .graph import GeometryGraph, Socket, made_once
from .levels_nodes import HIDDEN

NATIVE_NAME = "HGS Native"
NATIVE_SIGNATURE = "hgs_native"

EXACT_COLORS = "Exact Colors"
"""Input of the group."""

HELP = {
    EXACT_COLORS: "Let Blender composite display colours, as in training, under the view transform Raw; otherwise it "
    "composites linear light",
}

STEP = 0.1
"""Half the range of display colours over which harmonics take the mean slope of the colour curve. The slope at a point
is far too steep for dark Gaussians, whose harmonics reach well beyond it."""

LEAST_SLOPE = 1e-3
"""Lower bound of that slope, so that harmonics can be found again by dividing."""

VERSION = 3
"""Number of this construction; groups of earlier ones, in saved files, have no input."""


def native_group(degree: int) -> NodeTree:
    """The group for harmonics of ``degree`` 0 to 3, made once in a file."""
    key = f"{VERSION}, degree {degree}"
    return made_once(NATIVE_NAME, NATIVE_SIGNATURE, key, lambda group: _build(GeometryGraph(group), COUNTS[degree]))


def _build(graph: GeometryGraph, count: int) -> None:
    exact = graph.declare(EXACT_COLORS, "Bool", False)
    graph.explain(HELP)
    shown = graph.call("GeometryNodeDeleteGeometry", graph.geometry, graph.read(HIDDEN, "BOOLEAN"), domain="POINT")
    recolored = graph.choose(exact, shown, _recolored(graph, shown, count), "GEOMETRY")
    graph.finish(_as_splats(graph, recolored) if draws_splats() else recolored)


def _recolored(graph: GeometryGraph, geometry: Socket, count: int) -> Socket:
    """Colours of which Blender, which takes them for display colours, makes the numbers that are to be composited."""
    plain = graph.read("radiance:base", "FLOAT_COLOR")
    geometry = graph.store(geometry, PLAIN, plain, "FLOAT_COLOR")
    red, green, blue, opacity = graph.channels(plain)
    color = graph.vector("MULTIPLY_ADD", graph.join(red, green, blue), (C0,) * 3, (0.5,) * 3)
    shifted = graph.vector("SUBTRACT", _to_display(graph, color), (0.5,) * 3)
    base = graph.call("FunctionNodeCombineColor", *graph.split(graph.scaled(shifted, 1 / C0)), opacity)
    if count:
        ends = [_to_display(graph, graph.vector("ADD", color, (side,) * 3)) for side in (STEP, -STEP)]
        slope = graph.scaled(graph.vector("SUBTRACT", *ends), 1 / (2 * STEP))
        geometry = graph.store(geometry, SLOPE, graph.vector("MAXIMUM", slope, (LEAST_SLOPE,) * 3), "FLOAT_VECTOR")
        for index in range(count):
            name = f"{HARMONICS}{index}"
            own = graph.read(name, "FLOAT_VECTOR")
            geometry = graph.store(
                geometry, name, graph.vector("MULTIPLY", own, graph.read(SLOPE, "FLOAT_VECTOR")), "FLOAT_VECTOR"
            )
    return graph.store(geometry, "radiance:base", base, "FLOAT_COLOR")


def _to_display(graph: GeometryGraph, color: Socket) -> Socket:
    """Numbers taken for linear light as display colours (sRGB), black below 0."""

    def bent(value: Socket) -> Socket:
        above = graph.math("POWER", graph.math("MAXIMUM", value, 0.0), 1 / 2.4)
        curve = graph.math("SUBTRACT", graph.math("MULTIPLY", above, 1.055), 0.055)
        line = graph.math("MULTIPLY", graph.math("MAXIMUM", value, 0.0), 12.92)
        return graph.choose(graph.compare("LESS_THAN", value, 0.0031308), curve, line)

    return graph.join(*(bent(value) for value in graph.split(color)))


def _as_splats(graph: GeometryGraph, geometry: object) -> object:
    """Points of the type that Blender draws as splats, from a point cloud or, in files of 4.5, a mesh's vertices."""
    parts = graph.add("GeometryNodeSeparateComponents")
    graph.put(geometry, parts.inputs[0])
    points = graph.call("GeometryNodeMeshToPoints", parts.outputs["Mesh"])
    joined = graph.add("GeometryNodeJoinGeometry")
    for part in (points, parts.outputs["Point Cloud"]):
        graph.tree.links.new(part, joined.inputs[0])
    # Without the material of cards, which shows nothing but cards: Blender has one of its own for splats.
    plain = graph.call("GeometryNodeSetMaterial", joined.outputs[0])
    return graph.call("GeometryNodePointsSetType", plain, SPLAT_TYPE_NAME)
