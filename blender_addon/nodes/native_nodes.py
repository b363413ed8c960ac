# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that hands splats to Blender's own renderer (5.3 and newer): without hidden ones, as splat points."""

from __future__ import annotations

from bpy.types import NodeTree

from ..compat import SPLAT_TYPE_NAME, draws_splats
from .graph import GeometryGraph, made_once
from .levels_nodes import HIDDEN

NATIVE_NAME = "HGS Native"
NATIVE_SIGNATURE = "hgs_native"

VERSION = 2
"""Number of this construction; groups of earlier ones, in saved files, set no type."""


def native_group() -> NodeTree:
    """The group, made once in a file."""
    return made_once(NATIVE_NAME, NATIVE_SIGNATURE, VERSION, lambda group: _build(GeometryGraph(group)))


def _build(graph: GeometryGraph) -> None:
    shown = graph.call("GeometryNodeDeleteGeometry", graph.geometry, graph.read(HIDDEN, "BOOLEAN"), domain="POINT")
    graph.finish(_as_splats(graph, shown) if draws_splats() else shown)


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
