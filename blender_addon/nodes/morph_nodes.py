# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that mixes one splat object with another: Gaussian by Gaussian, attribute by attribute.

Two scenes of one generator have the same tree in the same order, so the i-th Gaussian of one becomes the i-th of the
other: positions, scales, opacities and colours on straight lines, rotations on the shorter great arc (slerp). It is
all geometry nodes, so it needs no handler and renders on machines without this extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bpy.types import NodeTree

from .graph import GeometryGraph, Socket, made_once
from .modifiers import MORPH

NAME = "HGS Morph"
SIGNATURE = MORPH
"""Custom property of a node group that says which attributes it mixes, so that equal ones are shared."""

MIX_TYPES = {"FLOAT": "FLOAT", "FLOAT_VECTOR": "VECTOR", "QUATERNION": "ROTATION"}
"""What mixing an attribute's type is called by the node that mixes."""


class Kind(NamedTuple):
    """An attribute that is mixed: its name and the identifier of its type."""

    name: str
    type: str


def morph_group(kinds: Sequence[Kind]) -> NodeTree:
    """The group that mixes positions and the attributes ``kinds``; inputs Geometry, Key (object) and Factor."""
    signature = " ".join(f"{kind.name}={kind.type}" for kind in kinds)
    return made_once(NAME, SIGNATURE, signature, lambda group: _build(GeometryGraph(group), kinds))


def _build(graph: GeometryGraph, kinds: Sequence[Kind]) -> None:
    key = graph.declare("Key", "Object")
    factor = graph.declare("Factor", "Float", min_value=0.0, max_value=1.0, subtype="FACTOR")
    # Both scenes in their own coordinates: where the key object stands does not matter.
    info = graph.add("GeometryNodeObjectInfo", transform_space="ORIGINAL")
    graph.put(key, info.inputs["Object"])
    index = graph.call("GeometryNodeInputIndex")

    def mixed(value: Socket, data_type: str) -> Socket:
        """``value`` here and in the key object, mixed by Factor."""
        there = graph.call(
            "GeometryNodeSampleIndex", info.outputs["Geometry"], value, index, data_type=data_type, domain="POINT"
        )
        if data_type == "FLOAT_COLOR":
            return _mixed_channels(graph, factor, value, there)
        return graph.call("ShaderNodeMix", factor, value, there, data_type=MIX_TYPES[data_type])

    geometry = graph.geometry
    for kind in kinds:
        geometry = graph.store(geometry, kind.name, mixed(graph.read(kind.name, kind.type), kind.type), kind.type)
    position = mixed(graph.call("GeometryNodeInputPosition"), "FLOAT_VECTOR")
    graph.finish(graph.call("GeometryNodeSetPosition", geometry, None, position))


def _mixed_channels(graph: GeometryGraph, factor: Socket, here: Socket, there: Socket) -> Socket:
    """Four channels, each mixed by itself: mixing colours as such leaves alpha as it is."""
    pairs = zip(*(graph.channels(color) for color in (here, there)), strict=True)
    mixes = [graph.call("ShaderNodeMix", factor, *pair, data_type="FLOAT") for pair in pairs]
    return graph.call("FunctionNodeCombineColor", *mixes)
