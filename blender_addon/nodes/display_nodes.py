# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that draws Gaussians: for each one a card through its centre, parallel to the image.

A card is the Gaussian as 3D Gaussian Splatting projects it (the local affine map of EWA splatting, Zwicker et al. 2001)
carried back from the image to the depth of the centre: two half axes, as long as the opacity makes visible. At a
card's corners stands how many standard deviations they are away, so that the material needs a single exponential, and
cards sort by their centres' depth, as splats do. Everything is computed from the scene's camera.

Besides, a card keeps its Gaussian (centre, scale, rotation, colour, opacity), which the exact engine draws from.
"""

from __future__ import annotations

from typing import NamedTuple

from bpy.types import NodeTree

from ..core.harmonics import C0, HARMONICS, basis_terms
from ..core.projection import BLUR, MARGIN, MIN_ALPHA
from ..core.splats import TURN
from .graph import GeometryGraph, Graph, Socket, made_once
from .levels_nodes import HIDDEN

NAME = "HGS Display"
SIGNATURE = "hgs_display_degree"

VERSION = 1
"""Number of this construction; groups of number 0, in saved files, know no TURN."""

CENTER, COLOR, CORNER, NORMAL = "hgs_center", "hgs_color", "hgs_corner", "hgs_normal"
"""Attributes of cards: centre; display colour and, as alpha, how far the material is lit; how many standard deviations
a corner is from the centre in both axes, and the opacity; the shortest axis."""

HALF_AXES = ("hgs_axis_0", "hgs_axis_1")

NEAR = 1e-4
"""Depth of Gaussians that are nearer or behind the camera, as far as arithmetic goes; they are not drawn."""

HAIR = 5e-7
"""By so much of their depth, four units of the last place of 32 bits, cards of one depth are taken apart."""

HAIRS_APART, HAIRS_MOVED = 5.0, 32.0
"""Cards that are further apart stay where they are: those behind them must not come to lie on them. In walls, where
very many cards are of one depth, none is moved by more than the second."""

SMALLEST = 1e-12

HELP = {
    "Material": "What draws cards and points",
    "Picture Width": "Of renders, in pixels; driven by the scene",
    "Blur": "Added to the variances of projected Gaussians, square pixels",
    "Scene Colors": "Composite linear light; Set Up Scene switches it",
    "Lit": "From glowing as filmed (0) to a matt surface in lamplight (1)",
    "Cards in Viewport": "Splats instead of points, facing the scene's camera: for Material Preview and Rendered",
    "Point Size": "Factor on the size of points in the viewport",
}
"""What the inputs are for."""


class CameraSockets(NamedTuple):
    """The scene's camera, seen from the object."""

    to_camera: Socket  # matrix from the object's coordinates to the camera's: x right, y up, z backward
    to_object: Socket
    position: Socket  # in the object's coordinates
    projection: Socket  # matrix
    orthographic: Socket  # truth value


def display_group(degree: int) -> NodeTree:
    """The group for Gaussians with spherical harmonics of ``degree`` 0 to 3; made once in a file."""
    return made_once(NAME, SIGNATURE, degree + VERSION * 10, lambda group: _build(GeometryGraph(group), degree))


def _build(graph: GeometryGraph, degree: int) -> None:
    material = graph.declare("Material", "Material")
    width = graph.declare("Picture Width", "Float", 1024.0, min_value=1.0)
    blur = graph.declare("Blur", "Float", BLUR, min_value=0.0)
    scene_colors = graph.declare("Scene Colors", "Bool", False)
    lit = graph.declare("Lit", "Float", 0.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    in_viewport = graph.declare("Cards in Viewport", "Bool", False)
    point_size = graph.declare("Point Size", "Float", 1.0, min_value=0.0)
    graph.explain(HELP)

    points = _points(graph)
    view = _view(graph)
    position = graph.call("GeometryNodeInputPosition")
    base = graph.read("radiance:base", "FLOAT_COLOR")
    red, green, blue, opacity = graph.channels(base)
    color = _color(graph, graph.join(red, green, blue), degree, graph.vector("SUBTRACT", position, view.position))
    color = graph.choose(scene_colors, color, _to_linear(graph, color), "VECTOR")

    drawn = _with_values(graph, points, position, color, lit, opacity)
    cards = graph.call("GeometryNodeSetMaterial", _cards(graph, drawn, view, opacity, width, blur), None, material)
    dots = graph.call("GeometryNodeSetMaterial", _dots(graph, drawn, point_size), None, material)
    show_dots = graph.both(graph.call("GeometryNodeIsViewport"), graph.negated(in_viewport))
    graph.finish(graph.choose(show_dots, cards, dots, "GEOMETRY"))


def _points(graph: GeometryGraph) -> Socket:
    """Points that are to be seen, of a point cloud or of a mesh's vertices."""
    parts = graph.add("GeometryNodeSeparateComponents")
    graph.put(graph.geometry, parts.inputs[0])
    points = graph.call("GeometryNodeMeshToPoints", parts.outputs["Mesh"])
    joined = graph.add("GeometryNodeJoinGeometry")
    for part in (points, parts.outputs["Point Cloud"]):
        graph.tree.links.new(part, joined.inputs[0])
    *_, opacity = graph.channels(graph.read("radiance:base", "FLOAT_COLOR"))
    invisible = graph.compare("LESS_THAN", opacity, MIN_ALPHA)
    hidden = graph.either(invisible, graph.read(HIDDEN, "BOOLEAN"))
    return graph.call("GeometryNodeDeleteGeometry", joined.outputs[0], hidden, domain="POINT")


def _view(graph: GeometryGraph) -> CameraSockets:
    camera = graph.call("GeometryNodeInputActiveCamera")

    def to_world(thing: Socket) -> Socket:
        return graph.call("GeometryNodeObjectInfo", thing, transform_space="ORIGINAL")

    parts = graph.add("FunctionNodeSeparateTransform")
    graph.put(to_world(camera), parts.inputs[0])
    # Blender films through a camera without its scale.
    stand = graph.call("FunctionNodeCombineTransform", parts.outputs["Translation"], parts.outputs["Rotation"])
    here = to_world(graph.call("GeometryNodeSelfObject"))
    to_camera = graph.call("FunctionNodeMatrixMultiply", graph.call("FunctionNodeInvertMatrix", stand), here)
    to_object = graph.call("FunctionNodeInvertMatrix", to_camera)
    position = graph.call("FunctionNodeTransformPoint", (0.0, 0.0, 0.0), to_object)
    lens = graph.add("GeometryNodeCameraInfo")
    graph.put(camera, lens.inputs[0])
    return CameraSockets(
        to_camera, to_object, position, lens.outputs["Projection Matrix"], lens.outputs["Is Orthographic"]
    )


def _color(graph: GeometryGraph, constant: Socket, degree: int, direction: Socket) -> Socket:
    """Display colour: max(0, 1/2 + sum of harmonics)."""
    total = graph.vector("MULTIPLY_ADD", constant, (C0,) * 3, (0.5,) * 3)
    if degree:
        back = graph.call("FunctionNodeInvertRotation", graph.read(TURN, "QUATERNION"))
        direction = graph.call("FunctionNodeRotateVector", graph.vector("NORMALIZE", direction), back)
        x, y, z = graph.split(direction)
        powers = {"": 1.0, "x": x, "y": y, "z": z}
        for index, terms in enumerate(basis_terms(degree)):
            weight = graph.total([monomial(graph, powers, letters, factor) for letters, factor in terms])
            total = graph.vector("ADD", total, graph.scaled(graph.read(f"{HARMONICS}{index}", "FLOAT_VECTOR"), weight))
    return graph.vector("MAXIMUM", total, (0.0,) * 3)


def monomial(graph: Graph, powers: dict[str, Socket], letters: str, factor: float) -> Socket:
    """``factor`` times the product of the named coordinates; products are made once and kept in ``powers``."""
    if letters not in powers:
        powers[letters] = graph.math("MULTIPLY", powers[letters[0]], monomial(graph, powers, letters[1:], 1.0))
    return powers[letters] if factor == 1.0 else graph.math("MULTIPLY", powers[letters], factor)


def _to_linear(graph: GeometryGraph, color: Socket) -> Socket:
    """Display colours (sRGB) as linear light, IEC 61966-2-1."""

    def channel(value: Socket) -> Socket:
        curve = graph.math("POWER", graph.math("MULTIPLY_ADD", value, 1 / 1.055, 0.055 / 1.055), 2.4)
        return graph.choose(graph.compare("LESS_THAN", value, 0.04045), curve, graph.math("DIVIDE", value, 12.92))

    return graph.join(*(channel(value) for value in graph.split(color)))


def _with_values(
    graph: GeometryGraph, points: Socket, position: Socket, color: Socket, lit: Socket, opacity: Socket
) -> Socket:
    """``points`` with what cards and dots show, and without what only served to compute it."""
    rgb = graph.split(color)
    drawn = graph.store(points, COLOR, graph.call("FunctionNodeCombineColor", *rgb, lit), "FLOAT_COLOR")
    drawn = graph.store(drawn, CENTER, position, "FLOAT_VECTOR")
    drawn = graph.store(drawn, NORMAL, _shortest_axis(graph), "FLOAT_VECTOR")
    # The middle of a dot counts: nought standard deviations away.
    return graph.store(drawn, CORNER, graph.join(0.0, 0.0, opacity), "FLOAT_VECTOR")


def _shortest_axis(graph: GeometryGraph) -> Socket:
    """The Gaussian's axis with the smallest standard deviation."""
    x, y, z = graph.split(graph.read("scale", "FLOAT_VECTOR"))
    x_first = graph.both(graph.compare("LESS_EQUAL", x, y), graph.compare("LESS_EQUAL", x, z))
    y_or_z = graph.choose(graph.compare("LESS_EQUAL", y, z), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), "VECTOR")
    axis = graph.choose(x_first, y_or_z, (1.0, 0.0, 0.0), "VECTOR")
    return graph.call("FunctionNodeRotateVector", axis, graph.read("rotation", "QUATERNION"))


def _cards(
    graph: GeometryGraph, points: Socket, view: CameraSockets, opacity: Socket, width: Socket, blur: Socket
) -> Socket:  # fmt: skip
    x, y, z = graph.split(graph.call("FunctionNodeTransformPoint", graph.call("GeometryNodeInputPosition"),
                                     view.to_camera))  # fmt: skip
    depth = graph.math("MULTIPLY", z, -1.0)
    behind = graph.both(graph.compare("LESS_THAN", depth, NEAR), graph.negated(view.orthographic))
    points = graph.call("GeometryNodeDeleteGeometry", points, behind, domain="POINT")
    # The farthest first, and the last of the file where depths are equal, as the rasteriser has them.
    backwards = graph.math("MULTIPLY", graph.call("GeometryNodeInputIndex"), -1.0)
    for weight in (backwards, z):
        points = graph.call("GeometryNodeSortElements", points, None, None, weight, domain="POINT")

    major, minor, angle = _ellipse(graph, view, x, y, depth, width, blur)
    cosine, sine = graph.math("COSINE", angle), graph.math("SINE", angle)
    reach = graph.math("SQRT", graph.math("MULTIPLY", 2.0, graph.math("LOGARITHM", graph.math("MAXIMUM", graph.math(
        "MULTIPLY", opacity, 1 / MIN_ALPHA), 1.0), 2.718281828459045)))  # fmt: skip
    directions = (graph.join(cosine, sine, 0.0), graph.join(graph.math("MULTIPLY", sine, -1.0), cosine, 0.0))
    for name, direction, deviation in zip(HALF_AXES, directions, (major, minor), strict=True):
        axis = graph.scaled(direction, graph.math("MULTIPLY", reach, deviation))
        axis = graph.call("FunctionNodeTransformDirection", axis, view.to_object)
        points = graph.store(points, name, axis, "FLOAT_VECTOR")
    points = graph.store(points, CORNER, graph.join(reach, reach, opacity), "FLOAT_VECTOR")
    return _quads(graph, _apart(graph, points, view, z, depth))


def _apart(graph: GeometryGraph, points: Socket, view: CameraSockets, z: Socket, depth: Socket) -> Socket:
    """``points``, which are sorted, the farthest first, with those of one depth moved a hair towards the camera.

    A ray of Cycles that has passed a card goes on behind it, and misses a second card at the same 32-bit distance.
    """
    hair = graph.math("MULTIPLY", depth, HAIR)
    index = graph.call("GeometryNodeInputIndex")
    before = graph.call(
        "GeometryNodeSampleIndex", points, z, graph.math("SUBTRACT", index, 1.0), data_type="FLOAT", domain="POINT"
    )
    gap = graph.math("SUBTRACT", z, before)
    begins = graph.choose(graph.compare("LESS_THAN", gap, graph.math("MULTIPLY", hair, HAIRS_APART)), 1.0, 0.0)
    # Runs of points of about one depth, and which place of its run a point has, from 1 on.
    run = graph.call("GeometryNodeAccumulateField", begins, data_type="INT", domain="POINT")
    place = graph.call("GeometryNodeAccumulateField", 1, run, data_type="INT", domain="POINT")
    steps = graph.math("MODULO", graph.math("SUBTRACT", place, 1.0), HAIRS_MOVED)
    nearer = graph.call(
        "FunctionNodeTransformDirection", graph.join(0.0, 0.0, graph.math("MULTIPLY", steps, hair)), view.to_object
    )
    return graph.call("GeometryNodeSetPosition", points, None, None, nearer)


def _ellipse(
    graph: GeometryGraph, view: CameraSockets, x: Socket, y: Socket, depth: Socket, width: Socket, blur: Socket
) -> tuple[Socket, Socket, Socket]:
    """Standard deviations of the projected Gaussian at its depth, the larger first, and the larger one's angle."""
    elements = graph.add("FunctionNodeSeparateMatrix")
    graph.put(view.projection, elements.inputs[0])
    column = {(int(s.name.split()[1]), int(s.name.split()[3])): s for s in elements.outputs}  # "Column 1 Row 1"
    perspective = graph.choose(view.orthographic, 1.0, 0.0)

    def slope(value: Socket, zoom: Socket, shift: Socket) -> Socket:
        """x / z (or y / z), kept near the image; 0 where rays are parallel."""
        ends = [graph.math("DIVIDE", graph.math("ADD", shift, side), zoom) for side in (-MARGIN, MARGIN)]
        inside = graph.math("MINIMUM", graph.math("MAXIMUM", graph.math("DIVIDE", value, depth), ends[0]), ends[1])
        return graph.math("MULTIPLY", inside, perspective)

    slope_x = slope(x, column[1, 1], column[3, 1])
    slope_y = slope(y, column[2, 2], column[3, 2])
    # A pixel's side: at the Gaussian's depth, or everywhere the same where rays are parallel.
    pixel = graph.math("DIVIDE", graph.choose(view.orthographic, depth, 1.0),
                       graph.math("MULTIPLY", graph.math("MULTIPLY", 0.5, width), column[1, 1]))  # fmt: skip
    floor = graph.math("ADD", graph.math("MULTIPLY", blur, graph.math("MULTIPLY", pixel, pixel)), SMALLEST)

    scale, rotation = graph.read("scale", "FLOAT_VECTOR"), graph.read("rotation", "QUATERNION")
    offsets = []  # of the Gaussian's three axes in the image
    for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        arm = graph.call("FunctionNodeRotateVector", graph.vector("MULTIPLY", scale, axis), rotation)
        right, up, back = graph.split(graph.call("FunctionNodeTransformDirection", arm, view.to_camera))
        offsets.append(
            tuple(graph.math("MULTIPLY_ADD", back, s, side) for s, side in ((slope_x, right), (slope_y, up)))
        )
    xx = graph.total([floor, *(graph.math("MULTIPLY", u, u) for u, _ in offsets)])
    xy = graph.total([graph.math("MULTIPLY", u, v) for u, v in offsets])
    yy = graph.total([floor, *(graph.math("MULTIPLY", v, v) for _, v in offsets)])

    half = graph.math("MULTIPLY", graph.math("SUBTRACT", xx, yy), 0.5)
    middle = graph.math("MULTIPLY", graph.math("ADD", xx, yy), 0.5)
    root = graph.math("SQRT", graph.math("MULTIPLY_ADD", half, half, graph.math("MULTIPLY", xy, xy)))
    major = graph.math("SQRT", graph.math("ADD", middle, root))
    minor = graph.math("SQRT", graph.math("MAXIMUM", graph.math("SUBTRACT", middle, root), floor))
    return major, minor, graph.math("MULTIPLY", 0.5, graph.math("ARCTAN2", xy, half))


def _quads(graph: GeometryGraph, points: Socket) -> Socket:
    """A square for each point, put into place by the half axes that the point carries."""
    square = graph.call("GeometryNodeMeshGrid", 2.0, 2.0, 2, 2)
    square = graph.store(square, "hgs_side", graph.call("GeometryNodeInputPosition"), "FLOAT_VECTOR")
    # Of size nought, so that corners start exactly at the centre.
    instances = graph.call("GeometryNodeInstanceOnPoints", points, None, square, None, None, None, (0.0, 0.0, 0.0))
    cards = graph.call("GeometryNodeRealizeInstances", instances)
    right, up, _ = graph.split(graph.read("hgs_side", "FLOAT_VECTOR"))
    first, second = (graph.read(name, "FLOAT_VECTOR") for name in HALF_AXES)
    offset = graph.vector("ADD", graph.scaled(first, right), graph.scaled(second, up))
    cards = graph.call("GeometryNodeSetPosition", cards, None, None, offset)
    corner = graph.vector("MULTIPLY", graph.read(CORNER, "FLOAT_VECTOR"), graph.join(right, up, 1.0))
    return graph.store(cards, CORNER, corner, "FLOAT_VECTOR")


def _dots(graph: GeometryGraph, points: Socket, size: Socket) -> Socket:
    """Points as large as the Gaussian's middle standard deviation, for the viewport."""
    x, y, z = graph.split(graph.read("scale", "FLOAT_VECTOR"))
    largest = graph.math("MAXIMUM", graph.math("MAXIMUM", x, y), z)
    smallest = graph.math("MINIMUM", graph.math("MINIMUM", x, y), z)
    middle = graph.math("SUBTRACT", graph.math("SUBTRACT", graph.total([x, y, z]), largest), smallest)
    return graph.call("GeometryNodeSetPointRadius", points, None, graph.math("MULTIPLY", middle, size))
