# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group by which probes follow the triangles of a mesh, whatever deforms it."""

from __future__ import annotations

from bpy.types import NodeTree

from ..nodes.graph import GeometryGraph, Socket, made_once

NAME = "HGS Follow Mesh"
SIGNATURE = "hgs_follow"
VERSION = 1

CORNERS = ("hgs_corner_0", "hgs_corner_1", "hgs_corner_2")
LOCAL = "hgs_local"
"""Attributes of probes: the vertices of their triangle, and their coordinates along its edges and its normal."""


def follow_group() -> NodeTree:
    """The group, made once in a file."""
    return made_once(NAME, SIGNATURE, VERSION, lambda group: _build(GeometryGraph(group)))


def _build(graph: GeometryGraph) -> None:
    target = graph.declare("Mesh", "Object")
    graph.explain({"Mesh": "The mesh that carries the splats; its modifiers may move vertices, not add any"})
    info = graph.add("GeometryNodeObjectInfo", transform_space="RELATIVE")
    graph.put(target, info.inputs["Object"])

    def corner(name: str) -> Socket:
        place = graph.call("GeometryNodeInputPosition")
        return graph.call("GeometryNodeSampleIndex", info.outputs["Geometry"], place, graph.read(name, "INT"),
                          data_type="FLOAT_VECTOR", domain="POINT")  # fmt: skip

    first, second, third = (corner(name) for name in CORNERS)
    edges = [graph.vector("SUBTRACT", each, first) for each in (second, third)]
    normal = graph.vector("NORMALIZE", graph.vector("CROSS_PRODUCT", *edges))
    along = graph.split(graph.read(LOCAL, "FLOAT_VECTOR"))
    position = first
    for axis, length in zip((*edges, normal), along, strict=True):
        position = graph.vector("ADD", position, graph.scaled(axis, length))
    graph.finish(graph.call("GeometryNodeSetPosition", graph.geometry, None, position))
