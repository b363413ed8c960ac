# SPDX-License-Identifier: GPL-3.0-or-later
"""Node groups inside the one that deforms: steps that it takes many times, each made once in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpy.types import GeometryNodeTree, NodeTree

from ..core.binding import sampling_directions
from ..core.harmonics import COUNTS, basis_terms
from ..nodes.display_nodes import monomial
from ..nodes.graph import Graph, Socket, made_once
from ..typed import present

SIGNATURE = "hgs_deform_part"

TINY = 1e-30
"""Inner product of columns that are at right angles already."""

Build = Callable[[Graph, Sequence[Socket]], Sequence[Socket]]
"""Outputs of a group from its inputs."""


def used(graph: Graph, group: NodeTree, *inputs: Socket) -> list[Socket]:
    """The outputs of a node that runs ``group`` on ``inputs``."""
    node = graph.add("GeometryNodeGroup", node_tree=group)
    for value, target in zip(inputs, node.inputs, strict=True):
        graph.put(value, target)
    return list(node.outputs)


def right_angle() -> NodeTree:
    """Two columns of a matrix, mixed by a Jacobi rotation so that they are at right angles."""

    def build(graph: Graph, columns: Sequence[Socket]) -> Sequence[Socket]:
        a, b = columns
        inner = graph.vector("DOT_PRODUCT", a, b)
        difference = graph.math("SUBTRACT", graph.vector("DOT_PRODUCT", b, b), graph.vector("DOT_PRODUCT", a, a))
        zeta = graph.math("DIVIDE", difference, graph.math("MULTIPLY", inner, 2.0))
        root = graph.math("SQRT", graph.math("MULTIPLY_ADD", zeta, zeta, 1.0))
        size = graph.math("DIVIDE", 1.0, graph.math("ADD", graph.math("ABSOLUTE", zeta), root))
        tangent = graph.choose(graph.compare("LESS_THAN", zeta, 0.0), size, graph.math("MULTIPLY", size, -1.0))
        apart = graph.compare("LESS_THAN", graph.math("ABSOLUTE", inner), TINY)
        tangent = graph.choose(apart, tangent, 0.0)
        cosine = graph.math("DIVIDE", 1.0, graph.math("SQRT", graph.math("MULTIPLY_ADD", tangent, tangent, 1.0)))
        sine = graph.math("MULTIPLY", cosine, tangent)
        return (
            graph.vector("SUBTRACT", graph.scaled(a, cosine), graph.scaled(b, sine)),
            graph.vector("ADD", graph.scaled(a, sine), graph.scaled(b, cosine)),
        )

    return _part("HGS Right Angle", ["Vector"] * 2, 2, build)


def newton_step() -> NodeTree:
    """The columns of the mean of a matrix and its inverse transposed, which is nearer to a rotation."""

    def build(graph: Graph, columns: Sequence[Socket]) -> Sequence[Socket]:
        a, b, c = columns
        crossed = [graph.vector("CROSS_PRODUCT", *pair) for pair in ((b, c), (c, a), (a, b))]
        inverse = graph.math("DIVIDE", 1.0, graph.vector("DOT_PRODUCT", a, crossed[0]))
        sums = [graph.vector("ADD", column, graph.scaled(cross, inverse))
                for column, cross in zip(columns, crossed, strict=True)]  # fmt: skip
        return [graph.scaled(total, 0.5) for total in sums]

    return _part("HGS Newton Step", ["Vector"] * 3, 3, build)


def harmonic_value(order: int) -> NodeTree:
    """The value, three colours, of the harmonics of one degree in a direction that is turned first."""

    def build(graph: Graph, inputs: Sequence[Socket]) -> Sequence[Socket]:
        turn, direction, *coefficients = inputs
        x, y, z = graph.split(graph.call("FunctionNodeRotateVector", direction, turn))
        powers = {"": 1.0, "x": x, "y": y, "z": z}
        terms = basis_terms(order)[COUNTS[order - 1] :]
        weights = [graph.total([monomial(graph, powers, *term) for term in sums]) for sums in terms]
        return [_weighted(graph, coefficients, weights)]

    kinds = ["Rotation", "Vector", *["Vector"] * (2 * order + 1)]
    return _part(f"HGS Harmonics {order}", kinds, 1, build)


def coefficients_of_values(order: int) -> NodeTree:
    """The coefficients of harmonics of one degree from their values in as many directions."""
    _, inverse = sampling_directions(order)

    def build(graph: Graph, values: Sequence[Socket]) -> Sequence[Socket]:
        return [_weighted(graph, values, row) for row in inverse.tolist()]

    count = 2 * order + 1
    return _part(f"HGS Coefficients {order}", ["Vector"] * count, count, build)


def _weighted(graph: Graph, vectors: Sequence[Socket], weights: Sequence[Socket]) -> Socket:
    total = graph.scaled(vectors[0], weights[0])
    for vector, weight in zip(vectors[1:], weights[1:], strict=True):
        total = graph.vector("ADD", total, graph.scaled(vector, weight))
    return total


def _part(name: str, kinds: Sequence[str], results: int, build: Build) -> NodeTree:
    """The group ``name`` with inputs of the ``kinds`` and vectors as outputs, made once in a file."""

    def fill(tree: GeometryNodeTree) -> None:
        graph, interface = Graph(tree), present(tree.interface)
        for number, kind in enumerate(kinds):
            interface.new_socket(f"In {number}", in_out="INPUT", socket_type=f"NodeSocket{kind}")
        for number in range(results):
            interface.new_socket(f"Out {number}", in_out="OUTPUT", socket_type="NodeSocketVector")
        start, end = graph.add("NodeGroupInput"), graph.add("NodeGroupOutput")
        for value, target in zip(build(graph, list(start.outputs)[: len(kinds)]), end.inputs, strict=False):
            graph.put(value, target)
        graph.arrange()

    return made_once(name, SIGNATURE, name, fill)
