# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that hides Gaussians which were erased, or which a volume holds. They stay in the geometry, marked."""

from __future__ import annotations

from bpy.types import NodeTree

from ..nodes.graph import GeometryGraph, Socket, made_once
from ..nodes.levels_nodes import HIDDEN

NAME = "HGS Clean-Up"
SIGNATURE = "hgs_cleanup"

ERASED = "hgs_erased"
"""Attribute of the data: Gaussians that were erased. They can be restored."""

VERSION = 1
"""Number of this construction; groups in saved files keep theirs."""

REACH = 1e6
"""Length of the rays that find out what is inside of a volume."""

HELP = {
    "Hide Erased": "Hide the Gaussians that were erased",
    "Use Volume": "Hide the Gaussians in the volume as well",
    "Volume": "A mesh object that is closed, with normals outwards; it may move",
    "Hide Outside": "Hide what is outside of the volume instead",
}
"""What the inputs are for."""


def cleanup_group() -> NodeTree:
    """The group, made once in a file."""
    return made_once(NAME, SIGNATURE, VERSION, lambda group: _build(GeometryGraph(group)))


def _build(graph: GeometryGraph) -> None:
    hide_erased = graph.declare("Hide Erased", "Bool", True)
    use_volume = graph.declare("Use Volume", "Bool", False)
    volume = graph.declare("Volume", "Object")
    outside = graph.declare("Hide Outside", "Bool", False)
    graph.explain(HELP)
    inside = _inside(graph, volume)
    held = graph.choose(outside, inside, graph.negated(inside), "BOOLEAN")
    erased = graph.both(hide_erased, graph.read(ERASED, "BOOLEAN"))
    hidden = graph.either(graph.read(HIDDEN, "BOOLEAN"), graph.either(erased, graph.both(use_volume, held)))
    graph.finish(graph.store(graph.geometry, HIDDEN, hidden, "BOOLEAN"))


def _inside(graph: GeometryGraph, volume: Socket) -> Socket:
    """Whether a ray from a Gaussian meets the volume's surface from within."""
    info = graph.add("GeometryNodeObjectInfo", transform_space="RELATIVE")
    graph.put(volume, info.inputs["Object"])
    ray = graph.add("GeometryNodeRaycast")
    graph.put(info.outputs["Geometry"], ray.inputs["Target Geometry"])
    up = (0.0, 0.0, 1.0)
    graph.put(up, ray.inputs["Ray Direction"])
    graph.put(REACH, ray.inputs["Ray Length"])
    along = graph.vector("DOT_PRODUCT", ray.outputs["Hit Normal"], up)
    return graph.both(ray.outputs["Is Hit"], graph.compare("GREATER_THAN", along, 0.0))
