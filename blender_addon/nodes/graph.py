# SPDX-License-Identifier: GPL-3.0-or-later
"""Node trees written as formulas: sockets and numbers in, sockets out, laid out by themselves at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bpy
from bpy.types import GeometryNodeTree, NodeTree

from ..typed import present

Socket = Any
"""A node's output, or a constant: a number, a truth value, a sequence of numbers, a text."""

COLUMN, ROW = 200, 170
"""Distance of nodes on the canvas."""


class Graph:
    """Adds nodes to a node tree of geometry or of a shader; what they compute is handed on as sockets."""

    def __init__(self, tree: NodeTree) -> None:
        self.tree = tree

    def add(self, kind: str, **settings: Any) -> Any:
        """A new node with its properties set, which depend on its kind."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def put(self, value: Socket, target: Any) -> None:
        """Link a socket to the input ``target``, or make a constant its value."""
        if hasattr(value, "is_output"):
            self.tree.links.new(value, target)
        else:
            target.default_value = value

    def call(self, kind: str, *inputs: Socket, **settings: Any) -> Any:
        """The first output of a new node with its inputs in use set in order; None leaves one as it is."""
        node = self.add(kind, **settings)
        for value, target in zip(inputs, [s for s in node.inputs if s.enabled], strict=False):
            if value is not None:
                self.put(value, target)
        return next(s for s in node.outputs if s.enabled)

    def math(self, operation: str, *values: Socket) -> Any:
        """A number from numbers: ``ADD``, ``MULTIPLY``, ``POWER``, ..."""
        return self.call("ShaderNodeMath", *values, operation=operation)

    def total(self, values: Sequence[Socket]) -> Any:
        """The sum of numbers."""
        result = values[0]
        for value in values[1:]:
            result = self.math("ADD", result, value)
        return result

    def vector(self, operation: str, *values: Socket) -> Any:
        """A vector, or for ``DOT_PRODUCT``, ``LENGTH`` and the like a number, from vectors."""
        return self.call("ShaderNodeVectorMath", *values, operation=operation)

    def scaled(self, vector: Socket, factor: Socket) -> Any:
        """``factor`` times ``vector``."""
        return self.call("ShaderNodeVectorMath", vector, factor, operation="SCALE")

    def split(self, vector: Socket) -> tuple[Any, Any, Any]:
        """The three numbers of a vector."""
        node = self.add("ShaderNodeSeparateXYZ")
        self.put(vector, node.inputs[0])
        x, y, z = node.outputs
        return x, y, z

    def channels(self, color: Socket) -> tuple[Any, Any, Any, Any]:
        """Red, green, blue and alpha of a colour."""
        node = self.add("FunctionNodeSeparateColor")
        self.put(color, node.inputs[0])
        red, green, blue, alpha = node.outputs
        return red, green, blue, alpha

    def join(self, x: Socket, y: Socket, z: Socket) -> Any:
        """A vector of three numbers."""
        return self.call("ShaderNodeCombineXYZ", x, y, z)

    def compare(self, operation: str, a: Socket, b: Socket, data_type: str = "FLOAT") -> Any:
        """The truth of ``a < b`` (``LESS_THAN``) and the like."""
        return self.call("FunctionNodeCompare", a, b, operation=operation, data_type=data_type)

    def both(self, a: Socket, b: Socket) -> Any:
        """``a and b``."""
        return self.call("FunctionNodeBooleanMath", a, b, operation="AND")

    def either(self, a: Socket, b: Socket) -> Any:
        """``a or b``."""
        return self.call("FunctionNodeBooleanMath", a, b, operation="OR")

    def negated(self, a: Socket) -> Any:
        """``not a``."""
        return self.call("FunctionNodeBooleanMath", a, operation="NOT")

    def choose(self, condition: Socket, no: Socket, yes: Socket, input_type: str = "FLOAT") -> Any:
        """``yes if condition else no``; ``input_type`` is that of both."""
        return self.call("GeometryNodeSwitch", condition, no, yes, input_type=input_type)

    def pick(self, index: Socket, items: Sequence[Socket], data_type: str = "FLOAT") -> Any:
        """``items[index]``."""
        node = self.add("GeometryNodeIndexSwitch", data_type=data_type)
        for _ in range(len(items) - len(node.index_switch_items)):
            node.index_switch_items.new()
        self.put(index, node.inputs[0])
        for item, target in zip(items, node.inputs[1:], strict=False):
            self.put(item, target)
        return node.outputs[0]

    def read(self, name: str, data_type: str = "FLOAT") -> Any:
        """The attribute ``name`` of the geometry at hand."""
        return self.call("GeometryNodeInputNamedAttribute", name, data_type=data_type)

    def store(self, geometry: Socket, name: str, value: Socket, data_type: str = "FLOAT", domain: str = "POINT") -> Any:
        """``geometry`` with an attribute set."""
        return self.call(
            "GeometryNodeStoreNamedAttribute", geometry, None, name, value, data_type=data_type, domain=domain
        )

    def arrange(self) -> None:
        """Put every node right of those it takes something from."""
        column: dict[str, int] = {}
        sources: dict[str, set[str]] = {node.name: set() for node in self.tree.nodes}
        for link in self.tree.links:
            sources[present(link.to_node).name].add(present(link.from_node).name)
        # Nodes were made after those they read from, unless links were made later: a few passes settle it.
        for _ in range(len(sources)):
            settled = {name: 1 + max((column.get(s, 0) for s in found), default=-1) for name, found in sources.items()}
            if settled == column:
                break
            column = settled
        filled: dict[int, int] = {}
        for node in self.tree.nodes:
            at = column[node.name]
            node.location = (COLUMN * at, -ROW * filled.get(at, 0))
            filled[at] = filled.get(at, 0) + 1


def made_once(name: str, key: str, value: Any, build: Callable[[GeometryNodeTree], None]) -> NodeTree:
    """The file's geometry-node group whose property ``key`` is ``value``; ``build`` fills a new one with nodes."""
    for known in bpy.data.node_groups:
        if known.get(key) == value:
            return known
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    assert isinstance(group, GeometryNodeTree)
    group[key] = value
    build(group)
    return group


class GeometryGraph(Graph):
    """A modifier's node group: declared inputs, one geometry in, one geometry out."""

    def __init__(self, tree: GeometryNodeTree) -> None:
        super().__init__(tree)
        tree.is_modifier = True
        self._interface = present(tree.interface)
        self._interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        self._interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        self._inputs = self.add("NodeGroupInput")

    @property
    def geometry(self) -> Any:
        """What the modifier gets."""
        return self._inputs.outputs["Geometry"]

    def declare(self, name: str, kind: str, default: Any = None, **limits: Any) -> Any:
        """A new input of the modifier, such as ``declare("Grow", "Float", 1.0, min_value=0.0)``; its socket."""
        socket: Any = self._interface.new_socket(name, in_out="INPUT", socket_type=f"NodeSocket{kind}")
        for key, value in limits.items():
            setattr(socket, key, value)
        if default is not None:
            socket.default_value = default
        return self._inputs.outputs[name]

    def explain(self, texts: Mapping[str, str]) -> None:
        """Say what inputs are for, by their names: users see it when they point at one."""
        items: Any = self._interface.items_tree
        for item in items:
            item.description = texts.get(item.name, "")

    def captured(self, geometry: Socket, fields: Mapping[str, tuple[str, Socket]]) -> tuple[Socket, dict[str, Socket]]:
        """``geometry`` and the values that ``fields`` (type and socket, by name) have on it, whatever happens to it
        afterwards."""
        node = self.add("GeometryNodeCaptureAttribute", domain="POINT")
        for name, (kind, _) in fields.items():
            node.capture_items.new(kind, name)
        self.put(geometry, node.inputs[0])
        for name, (_, value) in fields.items():
            self.put(value, node.inputs[name])
        return node.outputs[0], {name: node.outputs[name] for name in fields}

    def outside_box(self, place: Socket, box: Socket) -> Socket:
        """Whether a place is outside of the cube of side 2 about the origin of the object ``box``."""
        transform = self.call("GeometryNodeObjectInfo", box, transform_space="RELATIVE")
        inverse = self.call("FunctionNodeInvertMatrix", transform)
        x, y, z = self.split(self.vector("ABSOLUTE", self.call("FunctionNodeTransformPoint", place, inverse)))
        return self.compare("GREATER_THAN", self.math("MAXIMUM", self.math("MAXIMUM", x, y), z), 1.0)

    def finish(self, geometry: Socket) -> None:
        """Make ``geometry`` the modifier's result."""
        end = self.add("NodeGroupOutput")
        self.put(geometry, end.inputs["Geometry"])
        self.arrange()
