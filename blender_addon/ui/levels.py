# SPDX-License-Identifier: GPL-3.0-or-later
"""The Levels panel: one modifier that takes the active object's tree apart, and what there is to set."""

from __future__ import annotations

import bpy
from bpy.types import NodesModifier, UILayout

from ..compat import draw_input, get_input, set_input
from ..data import OnSplats, SplatPanel, active_splats, count_levels, get_values
from ..edits.boxes import add_box
from ..nodes.levels_nodes import NAME, SIGNATURE, label, levels_group
from ..nodes.modifiers import add_after_makers, find_modifier
from ..typed import Outcome, SplatData, SplatObject, present

FIRST_COLUMN = 0.36
"""Share of the panel's width that names of levels get; "Background" fits."""


def add_levels(obj: SplatObject) -> NodesModifier:
    """Give a splat object the modifier, after its morphs and before its display; the one it has, if it has one."""
    if found := levels_of(obj):
        return found
    return add_after_makers(obj, NAME, levels_group(count_levels(obj.data)))


def levels_of(obj: SplatObject) -> NodesModifier | None:
    """The modifier of :func:`add_levels`, or None."""
    return find_modifier(obj, SIGNATURE)


def has_background(data: SplatData) -> bool:
    """Whether some Gaussians are outside of the tree."""
    return "level" in data.attributes and bool((get_values(data, "level") < 0).any())


def shown_levels(modifier: NodesModifier) -> list[int]:
    """The levels that a modifier of :func:`add_levels` lets be seen, -1 for the background."""
    return [level for level in _levels(modifier) if get_input(modifier, f"{label(level)} Visible")]


def solo_level(modifier: NodesModifier, level: int) -> None:
    """Let one level be seen alone; if it is already, let all of them be seen."""
    every = shown_levels(modifier) == [level]
    for each in _levels(modifier):
        set_input(modifier, f"{label(each)} Visible", every or each == level)


def _levels(modifier: NodesModifier) -> range:
    """Those that its group knows, which may be fewer than the data have after these were replaced."""
    return range(-1, present(modifier.node_group)[SIGNATURE])


def add_crop_box(context: bpy.types.Context, obj: SplatObject) -> bpy.types.Object:
    """An empty cube around the object's Gaussians that crops them from now on; the empty."""
    box = add_box(context, obj, f"{obj.name} crop")
    modifier = add_levels(obj)
    set_input(modifier, "Crop Box", box)
    set_input(modifier, "Crop", True)
    return box


class HGS_OT_add_levels(OnSplats, bpy.types.Operator):
    """Make the levels of the active splat object adjustable."""

    bl_idname = "hgs.add_levels"
    bl_label = "Take Levels Apart"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add the modifier."""
        add_levels(active_splats(context))
        return {"FINISHED"}


class HGS_OT_solo_level(OnSplats, bpy.types.Operator):
    """Show this level alone, or all of them if it is alone already."""

    bl_idname = "hgs.solo_level"
    bl_label = "Solo"
    bl_options = {"REGISTER", "UNDO"}

    level: bpy.props.IntProperty(name="Level", description="The level to show, -1 for the background", min=-1)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Set every level's visibility."""
        solo_level(add_levels(active_splats(context)), self.level)
        return {"FINISHED"}


class HGS_OT_add_crop_box(OnSplats, bpy.types.Operator):
    """Cut the active splat object by a box that can be moved, turned, scaled and animated."""

    bl_idname = "hgs.add_crop_box"
    bl_label = "Add Crop Box"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add the box."""
        add_crop_box(context, active_splats(context))
        return {"FINISHED"}


class HGS_PT_levels(SplatPanel):
    """Levels of the active splat object."""

    bl_label = "Levels"
    bl_idname = "HGS_PT_levels"

    def draw(self, context: bpy.types.Context) -> None:
        """All inputs of the modifier, level by level."""
        obj, layout = active_splats(context), present(self.layout)
        modifier = levels_of(obj)
        if modifier is None:
            layout.operator(HGS_OT_add_levels.bl_idname)
            return
        _draw_levels(layout, modifier, first=-1 if has_background(obj.data) else 0)
        column = layout.column(align=True)
        for name in ("Grow", "Size", "Blend Levels"):
            draw_input(column, modifier, name)
        if get_input(modifier, "Blend Levels"):
            for name in ("Blend", "Keep Coarser"):
                draw_input(column, modifier, name)
        column = layout.column(align=True)
        column.label(text="Filters")
        for name in ("Least Opacity", "Least Size", "Most Size"):
            draw_input(column, modifier, name)
        if get_input(modifier, "Crop Box") is None:
            layout.operator(HGS_OT_add_crop_box.bl_idname)
        else:
            column = layout.column(align=True)
            for name in ("Crop", "Crop Box", "Keep Outside"):
                draw_input(column, modifier, name)


def _draw_levels(layout: UILayout, modifier: NodesModifier, first: int) -> None:
    """A row for each level from ``first`` on, under the names of the columns."""
    shown = shown_levels(modifier)
    column = layout.column(align=True)
    _, titles = _columns(column)
    titles.label(text="Opacity")
    titles.label(text="Size")
    titles.label(icon="BLANK1")
    for level in _levels(modifier)[first + 1 :]:
        left, right = _columns(column)
        draw_input(left, modifier, f"{label(level)} Visible", text=label(level))
        draw_input(right, modifier, f"{label(level)} Opacity", text="")
        draw_input(right, modifier, f"{label(level)} Size", text="")
        alone = shown == [level]
        solo = right.operator(
            HGS_OT_solo_level.bl_idname, text="", icon="SOLO_ON" if alone else "SOLO_OFF", depress=alone
        )
        solo.level = level


def _columns(layout: UILayout) -> tuple[UILayout, UILayout]:
    """A new row of two parts: what a level is called, and what there is to set."""
    split = layout.split(factor=FIRST_COLUMN, align=True)
    return split.row(align=True), split.row(align=True)


CLASSES = (HGS_OT_add_levels, HGS_OT_solo_level, HGS_OT_add_crop_box, HGS_PT_levels)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
