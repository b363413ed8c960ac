# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group for Blenders that draw splats by themselves: it takes hidden Gaussians away, as our display does."""

from __future__ import annotations

from typing import Any

import bpy

from .graph import GeometryGraph
from .levels_nodes import HIDDEN

NATIVE_NAME = "HGS Native"
NATIVE_SIGNATURE = "hgs_native"


def native_group() -> Any:
    """The group, made once in a file."""
    for group in bpy.data.node_groups:
        if NATIVE_SIGNATURE in group:
            return group
    group = bpy.data.node_groups.new(NATIVE_NAME, "GeometryNodeTree")
    group[NATIVE_SIGNATURE] = True
    graph = GeometryGraph(group)
    hidden = graph.read(HIDDEN, "BOOLEAN")
    graph.finish(graph.call("GeometryNodeDeleteGeometry", graph.geometry, hidden, domain="POINT"))
    return group
