# SPDX-License-Identifier: GPL-3.0-or-later
"""The display of a splat object: the modifier that draws it, and how it knows the size of the picture."""

from __future__ import annotations

from typing import Any

from .compat import draws_splats, drive_input, set_input
from .display_nodes import NAME, SIGNATURE, display_group
from .harmonics import COUNTS, HARMONICS, degree_of
from .material import splat_material
from .native_nodes import NATIVE_NAME, NATIVE_SIGNATURE, native_group

WIDTH_EXPRESSION = "width * percentage / 100"
WIDTH_SOURCES = {"width": "render.resolution_x", "percentage": "render.resolution_percentage"}


def add_display(obj: Any) -> Any:
    """Give a splat object the modifier that draws it, as the last one; the modifier.

    Where Blender draws splats by itself, it gets one that takes hidden Gaussians away, and Blender does the rest.
    """
    if draws_splats():
        modifier = obj.modifiers.new(NATIVE_NAME, "NODES")
        modifier.node_group = native_group()
        return modifier
    modifier = obj.modifiers.new(NAME, "NODES")
    modifier.node_group = display_group(harmonics_degree(obj.data))
    material = splat_material()
    set_input(modifier, "Material", material)
    if not obj.data.materials:
        obj.data.materials.append(material)
    drive_input(modifier, "Picture Width", WIDTH_EXPRESSION, WIDTH_SOURCES)
    return modifier


def is_display(modifier: Any) -> bool:
    """Whether a modifier is one of :func:`add_display`."""
    return modifier.type == "NODES" and modifier.node_group is not None and SIGNATURE in modifier.node_group


def last_modifiers(obj: Any) -> list[Any]:
    """Modifiers that draw an object or ready it for Blender's own drawing: what they get is what there is to export."""
    return [
        modifier
        for modifier in obj.modifiers
        if is_display(modifier)
        or (modifier.type == "NODES" and modifier.node_group is not None and NATIVE_SIGNATURE in modifier.node_group)
    ]


def display_of(obj: Any) -> Any | None:
    """The display modifier of an object, or None."""
    return next((modifier for modifier in obj.modifiers if is_display(modifier)), None)


def harmonics_degree(data: Any) -> int:
    """Degree of the spherical harmonics that splat data carry."""
    count = sum(name.startswith(HARMONICS) for name in data.attributes.keys())  # noqa: SIM118
    return degree_of(count) if count in COUNTS else 0
