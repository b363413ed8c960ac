# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that takes a tree of Gaussians apart by level: what is seen, how strong, how large, how far grown.

Everything is an input of the modifier, so it can be keyframed, and nothing of the object's data changes. Hidden
Gaussians stay in the geometry, marked, so that indices of parents and of morphs still hold; the display leaves
them out.
"""

from __future__ import annotations

from bpy.types import NodeTree

from .graph import GeometryGraph, Socket, made_once

NAME = "HGS Levels"
SIGNATURE = "hgs_levels_count"

HIDDEN = "hgs_hidden"
"""Attribute of Gaussians that are not to be drawn or exported."""

BACKGROUND = "Background"

HELP = {
    "Grow": "How far Gaussians have come from their parents (0) to their places (1)",
    "Size": "Factor on the size of all Gaussians",
    "Blend Levels": "Fade from level to level by one number",
    "Keep Coarser": "Coarser levels stay; otherwise each level is seen alone",
    "Blend": "The level that is seen; between two of them, how far the next has faded in",
    "Crop": "Hide what is outside of the crop box",
    "Crop Box": "An object: the cube of side 2 about its origin, moved, turned and scaled as it is",
    "Keep Outside": "Hide what is inside of the crop box instead",
    "Least Opacity": "Hide Gaussians that are more transparent",
    "Least Size": "Hide Gaussians whose greatest standard deviation is smaller",
    "Most Size": "Hide Gaussians whose greatest standard deviation is larger; 0 hides none",
}
"""What the inputs are for."""

LEVEL_HELP = {
    "Visible": "Show the Gaussians of this level",
    "Opacity": "Factor on the opacity of this level",
    "Size": "Factor on the size of this level's Gaussians",
}
"""What those of each level are for."""


def label(level: int) -> str:
    """What a level is called in the names of inputs; -1 is the background."""
    return BACKGROUND if level < 0 else f"Level {level}"


def levels_group(count: int) -> NodeTree:
    """The group for trees of ``count`` levels; made once in a file."""
    return made_once(NAME, SIGNATURE, count, lambda group: _build(GeometryGraph(group), count))


def _build(graph: GeometryGraph, count: int) -> None:
    grow = graph.declare("Grow", "Float", 1.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    shrink = graph.declare("Size", "Float", 1.0, min_value=0.0)
    blending = graph.declare("Blend Levels", "Bool", False)
    together = graph.declare("Keep Coarser", "Bool", True)
    blend = graph.declare("Blend", "Float", float(count - 1), min_value=0.0, max_value=float(count - 1))
    each = range(-1, count)
    seen = [graph.declare(f"{label(level)} Visible", "Bool", True) for level in each]
    strength = [graph.declare(f"{label(level)} Opacity", "Float", 1.0, min_value=0.0, max_value=1.0,
                              subtype="FACTOR") for level in each]  # fmt: skip
    size = [graph.declare(f"{label(level)} Size", "Float", 1.0, min_value=0.0) for level in each]
    crops = graph.declare("Crop", "Bool", False)
    box = graph.declare("Crop Box", "Object")
    outside = graph.declare("Keep Outside", "Bool", False)
    least_opacity = graph.declare("Least Opacity", "Float", 0.0, min_value=0.0, max_value=1.0, subtype="FACTOR")
    least_size = graph.declare("Least Size", "Float", 0.0, min_value=0.0, subtype="DISTANCE")
    most_size = graph.declare("Most Size", "Float", 0.0, min_value=0.0, subtype="DISTANCE")
    graph.explain(HELP | {f"{label(level)} {name}": text for level in each for name, text in LEVEL_HELP.items()})

    level = graph.read("level", "INT")
    item = graph.math("ADD", level, 1.0)
    red, green, blue, own_opacity = graph.channels(graph.read("radiance:base", "FLOAT_COLOR"))
    weight = graph.choose(blending, 1.0, _blend_weight(graph, level, blend, together))
    share = graph.math("MULTIPLY", weight, graph.pick(item, strength))
    opacity = graph.math("MULTIPLY", own_opacity, share)
    scale = graph.scaled(graph.read("scale", "FLOAT_VECTOR"), graph.math("MULTIPLY", shrink, graph.pick(item, size)))
    place = _grown(graph, grow)

    x, y, z = graph.split(scale)
    largest = graph.math("MAXIMUM", graph.math("MAXIMUM", x, y), z)
    too_large = graph.both(
        graph.compare("GREATER_THAN", most_size, 0.0), graph.compare("GREATER_THAN", largest, most_size)
    )
    beyond = graph.outside_box(place, box)
    cropped = graph.choose(outside, beyond, graph.negated(beyond), "BOOLEAN")
    hidden = graph.read(HIDDEN, "BOOLEAN")
    for reason in (
        graph.negated(graph.pick(item, seen, "BOOLEAN")),
        graph.compare("LESS_EQUAL", share, 0.0),
        graph.compare("LESS_THAN", opacity, least_opacity),
        graph.compare("LESS_THAN", largest, least_size),
        too_large,
        graph.both(crops, cropped),
    ):
        hidden = graph.either(hidden, reason)

    base = graph.call("FunctionNodeCombineColor", red, green, blue, opacity)
    # All at once, before anything of it changes.
    fields = {
        "base": ("RGBA", base),
        "scale": ("VECTOR", scale),
        "hide": ("BOOLEAN", hidden),
        "place": ("VECTOR", place),
    }
    geometry, values = graph.captured(graph.geometry, fields)
    geometry = graph.store(geometry, "radiance:base", values["base"], "FLOAT_COLOR")
    geometry = graph.store(geometry, "scale", values["scale"], "FLOAT_VECTOR")
    geometry = graph.store(geometry, HIDDEN, values["hide"], "BOOLEAN")
    graph.finish(graph.call("GeometryNodeSetPosition", geometry, None, values["place"]))


def _blend_weight(graph: GeometryGraph, level: Socket, blend: Socket, together: Socket) -> Socket:
    """A level's weight at the place ``blend`` between levels; that of the background is always 1.

    Alone: hat functions, 1 - |level - blend|. With the coarser ones: a level fades in while the place moves from the
    level before to it, and stays.
    """
    ahead = graph.math("SUBTRACT", blend, level)

    def held(value: Socket) -> Socket:
        return graph.math("MINIMUM", graph.math("MAXIMUM", value, 0.0), 1.0)

    hat = held(graph.math("SUBTRACT", 1.0, graph.math("ABSOLUTE", ahead)))
    weight = graph.choose(together, hat, held(graph.math("ADD", ahead, 1.0)))
    return graph.choose(graph.compare("LESS_THAN", level, -0.5), weight, 1.0)


def _grown(graph: GeometryGraph, grow: Socket) -> Socket:
    """Positions between the parent's (0) and the Gaussian's own (1)."""
    parent, own = graph.read("parent", "INT"), graph.call("GeometryNodeInputPosition")
    sample = graph.add("GeometryNodeSampleIndex", data_type="FLOAT_VECTOR", domain="POINT")
    for value, target in zip((graph.geometry, own, parent), [s for s in sample.inputs if s.enabled], strict=False):
        graph.put(value, target)
    way = graph.vector("SUBTRACT", own, sample.outputs[0])
    missing = graph.math("SUBTRACT", grow, 1.0)
    moved = graph.vector("ADD", own, graph.scaled(way, missing))
    has_parent = graph.compare("GREATER_THAN", parent, -0.5)
    return graph.choose(has_parent, own, moved, "VECTOR")
