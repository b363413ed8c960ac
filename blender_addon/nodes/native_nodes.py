# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group for Blenders that draw splats by themselves: it takes hidden Gaussians away, as our display does."""

from __future__ import annotations

from bpy.types import NodeTree

from .graph import GeometryGraph, made_once
from .levels_nodes import HIDDEN

NATIVE_NAME = "HGS Native"
NATIVE_SIGNATURE = "hgs_native"


def native_group() -> NodeTree:
    """The group, made once in a file."""
    return made_once(NATIVE_NAME, NATIVE_SIGNATURE, True, lambda group: _build(GeometryGraph(group)))


def _build(graph: GeometryGraph) -> None:
    hidden = graph.read(HIDDEN, "BOOLEAN")
    graph.finish(graph.call("GeometryNodeDeleteGeometry", graph.geometry, hidden, domain="POINT"))
