# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that carries a deformation over to Gaussians: their places, shapes, and the light they send where.

Four probes follow the deformation for each Gaussian: its centre and a point beside it along each axis. Their
differences are the columns of the deformation's Jacobian J. A Gaussian with the axes A (its rotation's columns, as long
as its standard deviations) becomes the one with the axes J A, whose orthogonal ones and their lengths are found by
one-sided Jacobi rotations (Hestenes 1958). Harmonics turn by the rotation nearest to J, which Newton's iteration finds
(Higham 1986). It is all geometry nodes, so it needs no handler and renders on machines without this extension.
"""

from __future__ import annotations

from collections.abc import Sequence

from bpy.types import NodeTree

from ..core.binding import PROBES, sampling_directions
from ..core.harmonics import COUNTS, HARMONICS
from ..nodes.graph import GeometryGraph, Socket, made_once
from .part_nodes import coefficients_of_values, harmonic_value, newton_step, right_angle, used

NAME = "HGS Deform"
SIGNATURE = "hgs_deform_degree"

NUMBER, REST = "hgs_probe", "hgs_rest"
"""Attributes of a deformed object: which probes are a Gaussian's, and where it was when it was bound."""

SWEEPS = 4
"""Number of rounds of Jacobi rotations; each squares what is left of the angles' error."""

STEPS = 6
"""Number of Newton's steps towards the nearest rotation."""

THINNEST = 1e-5
"""Least standard deviation of a Gaussian as a share of its largest: thinner ones lose their direction to rounding."""

Columns = Sequence[Socket]

HELP = {
    "Probes": "The object that is deformed in place of the splats",
    "Step": "Distance of the probes; set when they were made",
    "Amount": "From where the splats were (0) to where they are carried (1)",
}


def deform_group(degree: int) -> NodeTree:
    """The group for Gaussians with spherical harmonics of ``degree`` 0 to 3; made once in a file."""
    return made_once(NAME, SIGNATURE, degree, lambda group: _build(GeometryGraph(group), degree))


def _build(graph: GeometryGraph, degree: int) -> None:
    probes = graph.declare("Probes", "Object")
    step = graph.declare("Step", "Float", 1e-3, min_value=0.0)
    amount = graph.declare("Amount", "Float", 1.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    graph.explain(HELP)
    info = graph.add("GeometryNodeObjectInfo", transform_space="RELATIVE")
    graph.put(probes, info.inputs["Object"])
    followed = info.outputs["Geometry"]
    first = graph.math("MULTIPLY", graph.read(NUMBER, "INT"), float(PROBES))

    def probe(number: int) -> Socket:
        index = graph.math("ADD", first, float(number))
        place = graph.call("GeometryNodeInputPosition")
        return graph.call("GeometryNodeSampleIndex", followed, place, index, data_type="FLOAT_VECTOR", domain="POINT")

    centre = probe(0)
    inverse = graph.math("DIVIDE", 1.0, step)
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    columns = [graph.scaled(graph.vector("SUBTRACT", probe(axis + 1), centre), inverse) for axis in range(3)]
    rest = graph.read(REST, "FLOAT_VECTOR")
    centre = _mixed(graph, amount, rest, centre)
    jacobian = [_mixed(graph, amount, axis, column) for axis, column in zip(axes, columns, strict=True)]
    moved = graph.vector("SUBTRACT", graph.call("GeometryNodeInputPosition"), rest)
    position = graph.vector("ADD", centre, _times(graph, jacobian, moved))  # of what a morph has moved, too
    scale, rotation = _shape(graph, jacobian)
    turn = _nearest_rotation(graph, jacobian)
    geometry = _turned(graph, graph.geometry, turn, degree)
    # Everything is read before anything of it is changed: fields are evaluated where they are stored.
    geometry = graph.store(geometry, "hgs_new_rotation", rotation, "QUATERNION")
    geometry = graph.store(geometry, "scale", scale, "FLOAT_VECTOR")
    geometry = graph.store(geometry, "rotation", graph.read("hgs_new_rotation", "QUATERNION"), "QUATERNION")
    geometry = graph.call("GeometryNodeRemoveAttribute", geometry, None, "hgs_new_rotation")
    graph.finish(graph.call("GeometryNodeSetPosition", geometry, None, position))


def _mixed(graph: GeometryGraph, factor: Socket, a: Socket, b: Socket) -> Socket:
    return graph.call("ShaderNodeMix", factor, a, b, data_type="VECTOR")


def _times(graph: GeometryGraph, columns: Columns, vector: Socket) -> Socket:
    """A matrix, given by its columns, times a vector."""
    x, y, z = (graph.scaled(column, part) for column, part in zip(columns, graph.split(vector), strict=True))
    return graph.vector("ADD", graph.vector("ADD", x, y), z)


def _shape(graph: GeometryGraph, jacobian: Columns) -> tuple[Socket, Socket]:
    """Scale and rotation of the deformed Gaussian."""
    x, y, z = graph.split(graph.read("scale", "FLOAT_VECTOR"))
    least = graph.math("MULTIPLY", graph.math("MAXIMUM", graph.math("MAXIMUM", x, y), z), THINNEST)
    rotation = graph.read("rotation", "QUATERNION")
    arms = []
    for size, axis in zip((x, y, z), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), strict=True):
        arm = graph.call("FunctionNodeRotateVector", axis, rotation)
        arms.append(graph.scaled(_times(graph, jacobian, arm), graph.math("MAXIMUM", size, least)))
    for _ in range(SWEEPS):
        for a, b in ((0, 1), (0, 2), (1, 2)):
            arms[a], arms[b] = used(graph, right_angle(), arms[a], arms[b])
    lengths = graph.join(*(graph.vector("LENGTH", arm) for arm in arms))
    return lengths, _rotation(graph, arms[0], arms[2])


def _nearest_rotation(graph: GeometryGraph, columns: Columns) -> Socket:
    """The rotation nearest to a matrix, which is given by its columns."""
    for _ in range(STEPS):
        columns = used(graph, newton_step(), *columns)
    return _rotation(graph, columns[0], columns[2])


def _rotation(graph: GeometryGraph, x: Socket, z: Socket) -> Socket:
    """The rotation whose first and third axis lie along two vectors at right angles."""
    return graph.call("FunctionNodeAxesToRotation", z, x, primary_axis="Z", secondary_axis="X")


def _turned(graph: GeometryGraph, geometry: Socket, turn: Socket, degree: int) -> Socket:
    """``geometry`` with turned harmonics: each degree from its values in as many directions as it has terms."""
    back = graph.call("FunctionNodeInvertRotation", turn)
    stored = [graph.read(f"{HARMONICS}{index}", "FLOAT_VECTOR") for index in range(COUNTS[degree])]
    results: list[Socket] = []
    for order in range(1, degree + 1):
        coefficients = stored[COUNTS[order - 1] : COUNTS[order]]
        directions, _ = sampling_directions(order)
        values = [used(graph, harmonic_value(order), back, tuple(direction), *coefficients)[0]
                  for direction in directions.tolist()]  # fmt: skip
        results += used(graph, coefficients_of_values(order), *values)
    # Into attributes of their own first: each is computed of all the old ones.
    for index, value in enumerate(results):
        geometry = graph.store(geometry, f"hgs_new_{index}", value, "FLOAT_VECTOR")
    for index in range(len(results)):
        new = graph.read(f"hgs_new_{index}", "FLOAT_VECTOR")
        geometry = graph.store(geometry, f"{HARMONICS}{index}", new, "FLOAT_VECTOR")
        geometry = graph.call("GeometryNodeRemoveAttribute", geometry, None, f"hgs_new_{index}")
    return geometry
