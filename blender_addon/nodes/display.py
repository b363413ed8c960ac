# SPDX-License-Identifier: GPL-3.0-or-later
"""The display of a splat object: the modifier that draws it, and how it knows the size of the picture."""

from __future__ import annotations

from bpy.types import Modifier, NodesModifier, Object

from ..compat import draws_splats, drive_input, set_input
from ..core.harmonics import COUNTS, HARMONICS, degree_of
from ..typed import SplatData, SplatObject
from .display_nodes import NAME, SIGNATURE, display_group
from .material import splat_material
from .modifiers import add_modifier, find_modifier, runs
from .native_nodes import NATIVE_NAME, NATIVE_SIGNATURE, native_group

WIDTH_EXPRESSION = "width * percentage / 100"
WIDTH_SOURCES = {"width": "render.resolution_x", "percentage": "render.resolution_percentage"}


def add_display(obj: SplatObject) -> NodesModifier:
    """Give a splat object the modifier that draws it, as the last one; the modifier.

    Where Blender draws splats by itself, it gets one that takes hidden Gaussians away, and Blender does the rest.
    """
    if draws_splats():
        return add_modifier(obj, NATIVE_NAME, native_group())
    modifier = add_modifier(obj, NAME, display_group(harmonics_degree(obj.data)))
    material = splat_material()
    set_input(modifier, "Material", material)
    if not obj.data.materials:
        obj.data.materials.append(material)
    drive_input(modifier, "Picture Width", WIDTH_EXPRESSION, WIDTH_SOURCES)
    return modifier


def last_modifiers(obj: SplatObject) -> list[Modifier]:
    """Modifiers that draw an object or ready it for Blender's own drawing: what they get is what there is to export."""
    return [modifier for modifier in obj.modifiers if runs(modifier, SIGNATURE) or runs(modifier, NATIVE_SIGNATURE)]


def display_of(obj: Object) -> NodesModifier | None:
    """The display modifier of an object, or None."""
    return find_modifier(obj, SIGNATURE)


def harmonics_degree(data: SplatData) -> int:
    """Degree of the spherical harmonics that splat data carry."""
    count = sum(name.startswith(HARMONICS) for name in data.attributes.keys())  # noqa: SIM118
    return degree_of(count) if count in COUNTS else 0
