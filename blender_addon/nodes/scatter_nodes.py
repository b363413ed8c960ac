# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that scatters splats over a surface or along a curve, each with the levels that its distance needs.

Copies become Gaussians of their own before anything draws them (instances are realised), so that cards face the camera
wherever a copy is turned. What a copy's rotation does to harmonics is kept as an attribute, which the display reads.

Levels of detail are the unions of a tree's levels 0 to k, since all levels are drawn together. Each doubling of the
distance from the camera takes the finest level away; it fades out before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bpy.types import NodeTree

from ..core.splats import TURN
from .graph import GeometryGraph, Socket, made_once
from .modifiers import SCATTER

NAME = "HGS Scatter"

DETAIL, SIZE = "hgs_detail", "hgs_size"
"""Attributes of points to scatter on: the level up to which the tree is shown, with a fraction, and the size."""

COPIES = 25
"""Number of copies at first."""

TINY = 1e-6

HELP = {
    "Surface": "Mesh or curve on which copies stand",
    "Seeds": "Collection of splat objects, one of which is chosen for each copy",
    "Count": "Number of copies; on a surface, roughly",
    "Seed": "Each number gives other places, choices and turns",
    "Least Size": "Factor on the size of the smallest copies",
    "Most Size": "Factor on the size of the largest copies",
    "Turn": "How far copies are turned about their upright axis at random",
    "Align": "Stand along the normal of the surface, or face along the curve; otherwise all are upright",
    "Full Detail To": "Distance from the camera within which a copy of size 1 shows all levels; each doubling takes "
    "the finest one away; 0 shows all everywhere",
}
"""What the inputs are for."""


class _Sown(NamedTuple):
    """Points to stand on, and which way copies stand there where they are aligned."""

    points: Socket
    stand: Socket


def scatter_group(levels: int) -> NodeTree:
    """The group for trees of at most ``levels`` levels; made once in a file."""
    return made_once(NAME, SCATTER, levels, lambda group: _build(GeometryGraph(group), levels))


def _build(graph: GeometryGraph, levels: int) -> None:
    surface = graph.declare("Surface", "Object")
    seeds = graph.declare("Seeds", "Collection")
    count = graph.declare("Count", "Int", COPIES, min_value=0)
    seed = graph.declare("Seed", "Int", 0)
    sizes = [graph.declare(f"{end} Size", "Float", 1.0, min_value=0.0) for end in ("Least", "Most")]
    turn = graph.declare("Turn", "Float", 1.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    align = graph.declare("Align", "Bool", False)
    near = graph.declare("Full Detail To", "Float", 0.0, min_value=0.0, subtype="DISTANCE")
    graph.explain(HELP)

    points = _points(graph, surface, count, seed)
    size = graph.call("FunctionNodeRandomValue", *sizes, None, _stream(graph, seed, 0), data_type="FLOAT")
    angle = graph.math("MULTIPLY", turn, _random(graph, seed, 1, -math.pi, math.pi))
    spin = graph.call("FunctionNodeAxisAngleToRotation", (0.0, 0.0, 1.0), angle)
    stand = graph.choose(align, (0.0, 0.0, 0.0), graph.read(TURN, "QUATERNION"), "ROTATION")
    rotation = graph.call("FunctionNodeRotateRotation", stand, spin, rotation_space="LOCAL")
    # All at once, before anything of it changes.
    fields = {
        "size": ("FLOAT", size),
        "turn": ("ROTATION", rotation),
        "detail": ("FLOAT", _detail(graph, near, size, levels)),
    }
    points, values = graph.captured(points, fields)
    points = graph.store(points, SIZE, values["size"])
    points = graph.store(points, DETAIL, values["detail"])
    points = graph.store(points, TURN, values["turn"], "QUATERNION")
    graph.finish(_placed(graph, _copies(graph, points, seeds, seed, levels)))


def _random(graph: GeometryGraph, seed: Socket, stream: int, low: float, high: float) -> Socket:
    """A number for each point, of a stream of its own."""
    return graph.call("FunctionNodeRandomValue", low, high, None, _stream(graph, seed, stream), data_type="FLOAT")


def _stream(graph: GeometryGraph, seed: Socket, stream: int) -> Socket:
    return graph.math("MULTIPLY_ADD", seed, 8.0, float(stream))


def _points(graph: GeometryGraph, surface: Socket, count: Socket, seed: Socket) -> Socket:
    """Points on a mesh and along a curve, of which an object has one or the other."""
    info = graph.add("GeometryNodeObjectInfo", transform_space="RELATIVE")
    graph.put(surface, info.inputs["Object"])
    parts = graph.add("GeometryNodeSeparateComponents")
    graph.put(info.outputs["Geometry"], parts.inputs[0])
    joined = graph.add("GeometryNodeJoinGeometry")
    for sown in (_on_mesh(graph, parts.outputs["Mesh"], count, seed), _on_curve(graph, parts.outputs["Curve"], count)):
        points = graph.store(sown.points, TURN, sown.stand, "QUATERNION")
        graph.tree.links.new(points, joined.inputs[0])
    return joined.outputs[0]


def _on_mesh(graph: GeometryGraph, mesh: Socket, count: Socket, seed: Socket) -> _Sown:
    faces = graph.add("GeometryNodeAttributeStatistic", data_type="FLOAT", domain="FACE")
    graph.put(mesh, faces.inputs["Geometry"])
    graph.put(
        graph.call("GeometryNodeInputMeshFaceArea"),
        next(s for s in faces.inputs if s.enabled and s.name == "Attribute"),
    )
    area = next(s for s in faces.outputs if s.enabled and s.name == "Sum")
    density = graph.math("DIVIDE", count, graph.math("MAXIMUM", area, TINY))
    sown = graph.add("GeometryNodeDistributePointsOnFaces", distribute_method="RANDOM")
    for name, value in (("Mesh", mesh), ("Density", density), ("Seed", seed)):
        graph.put(value, next(s for s in sown.inputs if s.enabled and s.name == name))
    return _Sown(sown.outputs["Points"], sown.outputs["Rotation"])


def _on_curve(graph: GeometryGraph, curve: Socket, count: Socket) -> _Sown:
    sown = graph.add("GeometryNodeCurveToPoints", mode="COUNT")
    graph.put(curve, sown.inputs["Curve"])
    graph.put(count, next(s for s in sown.inputs if s.enabled and s.name == "Count"))
    along = graph.call(
        "FunctionNodeAlignRotationToVector", None, None, sown.outputs["Tangent"], axis="X", pivot_axis="Z"
    )
    return _Sown(sown.outputs["Points"], along)


def _detail(graph: GeometryGraph, near: Socket, size: Socket, levels: int) -> Socket:
    """The level, with a fraction, up to which a tree is shown at a point: the finest within ``near``, then less and
    less with the logarithm of the distance from the scene's camera."""

    def stand(thing: Socket) -> Socket:
        return graph.call("GeometryNodeObjectInfo", thing, transform_space="ORIGINAL")

    here = graph.call("FunctionNodeTransformPoint", graph.call("GeometryNodeInputPosition"),
                      stand(graph.call("GeometryNodeSelfObject")))  # fmt: skip
    camera = graph.call("FunctionNodeTransformPoint", (0.0, 0.0, 0.0),
                        stand(graph.call("GeometryNodeInputActiveCamera")))  # fmt: skip
    distance = graph.vector("LENGTH", graph.vector("SUBTRACT", here, camera))
    reach = graph.math("MAXIMUM", graph.math("MULTIPLY", near, size), TINY)
    doublings = graph.math("LOGARITHM", graph.math("MAXIMUM", graph.math("DIVIDE", distance, reach), 1.0), 2.0)
    less = graph.math("MAXIMUM", graph.math("SUBTRACT", float(levels - 1), doublings), 0.0)
    return graph.choose(graph.compare("GREATER_THAN", near, 0.0), float(levels - 1), less)


def _copies(graph: GeometryGraph, points: Socket, seeds: Socket, seed: Socket, levels: int) -> Socket:
    """Gaussians of a seed at each point; the unions of levels are cut off before they are copied."""
    info = graph.call("GeometryNodeCollectionInfo", seeds, True, False, transform_space="ORIGINAL")
    choice = graph.call("FunctionNodeRandomValue", 0, 1 << 20, None, _stream(graph, seed, 2), data_type="INT")
    size, turn, detail = graph.read(SIZE), graph.read(TURN, "QUATERNION"), graph.read(DETAIL)
    joined = graph.add("GeometryNodeJoinGeometry")
    for last in range(levels):
        beyond = graph.compare("GREATER_THAN", graph.read("level", "INT"), last, "INT")
        cut = graph.call("GeometryNodeDeleteGeometry", info, beyond, domain="POINT") if last < levels - 1 else info
        there = graph.compare("LESS_EQUAL", detail, last + TINY)
        if last:
            there = graph.both(there, graph.compare("GREATER_THAN", detail, last - 1 + TINY))
        copies = graph.call(
            "GeometryNodeInstanceOnPoints", points, there, cut, True, choice, turn, graph.join(size, size, size)
        )
        graph.tree.links.new(graph.call("GeometryNodeRealizeInstances", copies), joined.inputs[0])
    return joined.outputs[0]


def _placed(graph: GeometryGraph, gaussians: Socket) -> Socket:
    """Gaussians turned and scaled as their copies are, with what fades faded; they have no parents any more."""
    red, green, blue, opacity = graph.channels(graph.read("radiance:base", "FLOAT_COLOR"))
    ahead = graph.math("SUBTRACT", graph.math("ADD", graph.read(DETAIL), 1.0), graph.read("level", "INT"))
    fade = graph.math("MINIMUM", graph.math("MAXIMUM", ahead, 0.0), 1.0)
    base = graph.call("FunctionNodeCombineColor", red, green, blue, graph.math("MULTIPLY", opacity, fade))
    rotation = graph.call(
        "FunctionNodeRotateRotation", graph.read("rotation", "QUATERNION"), graph.read(TURN, "QUATERNION"),
        rotation_space="GLOBAL",
    )  # fmt: skip
    gaussians = graph.store(gaussians, "radiance:base", base, "FLOAT_COLOR")
    gaussians = graph.store(gaussians, "rotation", rotation, "QUATERNION")
    scale = graph.scaled(graph.read("scale", "FLOAT_VECTOR"), graph.read(SIZE))
    gaussians = graph.store(gaussians, "scale", scale, "FLOAT_VECTOR")
    return graph.store(gaussians, "parent", -1, "INT")
