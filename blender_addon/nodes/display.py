# SPDX-License-Identifier: GPL-3.0-or-later
"""The display of a splat object: the modifier that draws it, and how it knows the size of the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bpy.types import Modifier, NodesModifier, Object

from ..compat import SPLAT_TYPE, drive_input, set_input
from ..core.harmonics import COUNTS, HARMONICS, degree_of
from ..typed import SplatData, SplatObject
from .display_nodes import NAME, SIGNATURE, display_group
from .material import splat_material
from .modifiers import add_modifier, find_modifier, runs
from .native_nodes import EXACT_COLORS, NATIVE_NAME, NATIVE_SIGNATURE, native_group

CARDS, BLENDER = "CARDS", "BLENDER"
"""What can draw a splat object: the cards of this extension, or the renderer of Blender 5.3 and newer."""

WIDTH_EXPRESSION = "width * percentage / 100"
WIDTH_SOURCES = {"width": "render.resolution_x", "percentage": "render.resolution_percentage"}


def add_display(obj: SplatObject) -> NodesModifier:
    """Give a splat object the modifier that draws it by cards, as the last one; the modifier."""
    modifier = add_modifier(obj, NAME, display_group(harmonics_degree(obj.data)))
    material = splat_material()
    set_input(modifier, "Material", material)
    if not obj.data.materials:
        obj.data.materials.append(material)
    drive_input(modifier, "Picture Width", WIDTH_EXPRESSION, WIDTH_SOURCES)
    return modifier


def drawn_by(obj: SplatObject) -> str:
    """CARDS or BLENDER: what draws a splat object."""
    native = find_modifier(obj, NATIVE_SIGNATURE)
    if native is not None and native.show_render:
        return BLENDER
    has_cards = display_of(obj) is not None
    return BLENDER if not has_cards and getattr(obj.data, "type", None) == SPLAT_TYPE else CARDS


def draw_by(obj: SplatObject, choice: str) -> None:
    """Let cards (CARDS) or the renderer of Blender 5.3 (BLENDER) draw a splat object.

    The modifier that does not draw is switched off, and keeps its settings and keyframes.
    """
    display, native = display_of(obj) or add_display(obj), find_modifier(obj, NATIVE_SIGNATURE)
    if choice == BLENDER and native is None:
        native = add_modifier(obj, NATIVE_NAME, native_group(harmonics_degree(obj.data)))
    display.show_viewport = display.show_render = choice == CARDS
    if native is not None:
        native.show_viewport = native.show_render = choice == BLENDER


def composite_exactly(obj: SplatObject, exact: bool) -> None:
    """Let Blender composite display colours (``exact``) or linear light of a splat object that it draws itself."""
    native = find_modifier(obj, NATIVE_SIGNATURE)
    if native is not None:
        group = native_group(harmonics_degree(obj.data))
        if native.node_group != group:  # an earlier construction, in a saved file
            native.node_group = group
        set_input(native, EXACT_COLORS, exact)


def last_modifiers(obj: SplatObject) -> list[Modifier]:
    """Modifiers that draw an object or ready it for Blender's own drawing: what they get is what there is to export."""
    return [modifier for modifier in obj.modifiers if runs(modifier, SIGNATURE) or runs(modifier, NATIVE_SIGNATURE)]


@contextmanager
def undrawn(obj: SplatObject) -> Iterator[None]:
    """While it lasts, an object is evaluated without the modifiers that draw it, in the order of its data.

    As cards, or without what is hidden, Gaussians are not the tree any more.
    """
    shown = [modifier for modifier in last_modifiers(obj) if modifier.show_viewport]
    for modifier in shown:
        modifier.show_viewport = False
    try:
        yield
    finally:
        for modifier in shown:
            modifier.show_viewport = True


def display_of(obj: Object) -> NodesModifier | None:
    """The display modifier of an object, or None."""
    return find_modifier(obj, SIGNATURE)


def harmonics_degree(data: SplatData) -> int:
    """Degree of the spherical harmonics that splat data carry."""
    count = sum(name.startswith(HARMONICS) for name in data.attributes.keys())  # noqa: SIM118
    return degree_of(count) if count in COUNTS else 0
