# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that mixes one splat object with another: Gaussian by Gaussian, attribute by attribute.

Two scenes of one generator have the same tree in the same order, so the i-th Gaussian of one becomes the i-th of the
other: positions, scales, opacities and colours on straight lines, rotations on the shorter great arc (slerp). It is
all geometry nodes, so it needs no handler and renders on machines without this extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import bpy

from .graph import made_once

NAME = "HGS Morph"
SIGNATURE = "hgs_morph_attributes"
"""Custom property of a node group that says which attributes it mixes, so that equal ones are shared."""

COLUMN, ROW = 220, 180
"""Distance of nodes on the canvas."""


class Kind(NamedTuple):
    """An attribute that is mixed: its name and the identifier of its type."""

    name: str
    type: str


def morph_group(kinds: Sequence[Kind]) -> bpy.types.NodeTree:
    """The group that mixes positions and the attributes ``kinds``; inputs Geometry, Key (object) and Factor."""
    signature = " ".join(f"{kind.name}={kind.type}" for kind in kinds)
    return made_once(NAME, SIGNATURE, signature, lambda group: _Builder(group).build(kinds))


class _Builder:
    """Adds nodes to a new group; one instance builds one group."""

    def __init__(self, group: bpy.types.NodeTree) -> None:
        self.nodes, self.links = group.nodes, group.links
        group.is_modifier = True
        interface = group.interface
        interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        interface.new_socket("Key", in_out="INPUT", socket_type="NodeSocketObject")
        factor = interface.new_socket("Factor", in_out="INPUT", socket_type="NodeSocketFloat")
        factor.subtype, factor.min_value, factor.max_value = "FACTOR", 0.0, 1.0
        interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        self.inputs = self.add("NodeGroupInput", 0, 0).outputs
        self.index = self.add("GeometryNodeInputIndex", 0, 1).outputs[0]
        info = self.add("GeometryNodeObjectInfo", 1, 0)
        # Both scenes in their own coordinates: where the key object stands does not matter.
        info.transform_space = "ORIGINAL"
        self.links.new(self.inputs["Key"], info.inputs["Object"])
        self.other = info.outputs["Geometry"]

    def build(self, kinds: Sequence[Kind]) -> None:
        geometry = self.inputs["Geometry"]
        for row, kind in enumerate(kinds, 1):
            geometry = self.store(geometry, kind, 2 * row)
        move = self.add("GeometryNodeSetPosition", 6, 0)
        self.links.new(geometry, move.inputs["Geometry"])
        position = self.add("GeometryNodeInputPosition", 1, 1).outputs[0]
        self.links.new(self.mix(position, "FLOAT_VECTOR", 0), move.inputs["Position"])
        end = self.add("NodeGroupOutput", 7, 0)
        self.links.new(move.outputs["Geometry"], end.inputs["Geometry"])

    def add(self, kind: str, column: int, row: int) -> bpy.types.Node:
        node = self.nodes.new(kind)
        node.location = (COLUMN * column, -ROW * row)
        return node

    def store(self, geometry: bpy.types.NodeSocket, kind: Kind, row: int) -> bpy.types.NodeSocket:
        """Mix one named attribute and store it again; the geometry that has it."""
        read = self.add("GeometryNodeInputNamedAttribute", 1, row)
        read.data_type = kind.type
        read.inputs["Name"].default_value = kind.name
        write = self.add("GeometryNodeStoreNamedAttribute", 5, row)
        write.data_type, write.domain = kind.type, "POINT"
        write.inputs["Name"].default_value = kind.name
        self.links.new(geometry, write.inputs["Geometry"])
        self.links.new(self.mix(read.outputs["Attribute"], kind.type, row), write.inputs["Value"])
        return write.outputs["Geometry"]

    def mix(self, value: bpy.types.NodeSocket, value_type: str, row: int) -> bpy.types.NodeSocket:
        """``value`` here and in the key object, mixed by Factor."""
        sample = self.add("GeometryNodeSampleIndex", 2, row)
        sample.data_type, sample.domain = value_type, "POINT"
        self.links.new(self.other, sample.inputs["Geometry"])
        self.links.new(value, sample.inputs["Value"])
        self.links.new(self.index, sample.inputs["Index"])
        if value_type == "FLOAT_COLOR":
            return self.mix_channels(value, sample.outputs[0], row)
        mix_type = {"FLOAT_VECTOR": "VECTOR", "QUATERNION": "ROTATION", "FLOAT": "FLOAT"}[value_type]
        return self.mix_sockets(value, sample.outputs[0], mix_type, 4, row)

    def mix_channels(self, here: bpy.types.NodeSocket, there: bpy.types.NodeSocket, row: int) -> bpy.types.NodeSocket:
        """Four channels, each mixed by itself: mixing colours as such leaves alpha as it is."""
        split = [self.add("FunctionNodeSeparateColor", 3, row + step) for step in (0, 1)]
        for node, value in zip(split, (here, there), strict=True):
            self.links.new(value, node.inputs["Color"])
        join = self.add("FunctionNodeCombineColor", 4.5, row)
        for channel in range(4):
            pair = (node.outputs[channel] for node in split)
            self.links.new(self.mix_sockets(*pair, "FLOAT", 4, row + channel / 4), join.inputs[channel])
        return join.outputs["Color"]

    def mix_sockets(
        self, here: bpy.types.NodeSocket, there: bpy.types.NodeSocket, mix_type: str, column: float, row: float
    ) -> bpy.types.NodeSocket:
        node = self.add("ShaderNodeMix", column, row)
        node.data_type = mix_type
        factor, a, b = (socket for socket in node.inputs if socket.enabled)
        for source, target in ((self.inputs["Factor"], factor), (here, a), (there, b)):
            self.links.new(source, target)
        return next(socket for socket in node.outputs if socket.enabled)
