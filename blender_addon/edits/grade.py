# SPDX-License-Identifier: GPL-3.0-or-later
"""The Grade panel: modifiers that change the colours of the active splat object, one on top of the other."""

from __future__ import annotations

import bpy
from bpy.types import NodesModifier, UILayout

from ..compat import draw_input, get_input, set_input
from ..data import OnSplats, SplatPanel, active_splats, count_levels
from ..nodes.display import harmonics_degree, last_modifiers
from ..nodes.modifiers import add_modifier, runs
from ..typed import Outcome, SplatObject, present
from .boxes import add_box
from .grade_nodes import NAME, SIGNATURE, curves_node, grade_group

LOOK = ("Strength", "Exposure", "Tint", "Hue", "Saturation", "Contrast", "Gamma", "Curves")


def add_grade(obj: SplatObject) -> NodesModifier:
    """Give a splat object one more grade, after those it has and before its display; the modifier."""
    modifier = add_modifier(obj, NAME, grade_group(harmonics_degree(obj.data)))
    set_input(modifier, "Last Level", count_levels(obj.data) - 1)
    drawn = last_modifiers(obj)
    if drawn:
        obj.modifiers.move(len(obj.modifiers) - 1, obj.modifiers.find(drawn[0].name))
    return modifier


def grades_of(obj: SplatObject) -> list[NodesModifier]:
    """The grades of an object, in the order in which they act."""
    return [modifier for modifier in obj.modifiers if runs(modifier, SIGNATURE)]


class HGS_OT_add_grade(OnSplats, bpy.types.Operator):
    """Grade the colours of the active splat object, after the grades that it has; the data stay as they are."""

    bl_idname = "hgs.add_grade"
    bl_label = "Add Grade"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add the modifier."""
        add_grade(active_splats(context))
        return {"FINISHED"}


class HGS_OT_grade_box(OnSplats, bpy.types.Operator):
    """Restrict a grade to a box that can be moved, turned, scaled and animated."""

    bl_idname = "hgs.grade_box"
    bl_label = "Add Box"
    bl_options = {"REGISTER", "UNDO"}

    modifier: bpy.props.StringProperty(name="Grade", description="Name of the modifier; empty takes the last one")

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add an empty cube as large as the Gaussians."""
        obj = active_splats(context)
        found = [each for each in grades_of(obj) if self.modifier in ("", each.name)]
        if not found:
            self.report({"ERROR"}, f"{obj.name} has no grade called '{self.modifier}'; add one first")
            return {"CANCELLED"}
        set_input(found[-1], "Box", add_box(context, obj, f"{obj.name} grade"))
        set_input(found[-1], "By Box", True)
        return {"FINISHED"}


class HGS_OT_remove_grade(OnSplats, bpy.types.Operator):
    """Take a grade off the active splat object."""

    bl_idname = "hgs.remove_grade"
    bl_label = "Remove Grade"
    bl_options = {"REGISTER", "UNDO"}

    modifier: bpy.props.StringProperty(name="Grade", description="Name of the modifier")

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Remove the modifier."""
        obj = active_splats(context)
        for each in grades_of(obj):
            if each.name == self.modifier:
                obj.modifiers.remove(each)
                return {"FINISHED"}
        self.report({"ERROR"}, f"{obj.name} has no grade called '{self.modifier}'")
        return {"CANCELLED"}


class HGS_PT_grade(SplatPanel):
    """The grades of the active splat object."""

    bl_label = "Grade"
    bl_idname = "HGS_PT_grade"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """All inputs of every grade."""
        layout = present(self.layout)
        for modifier in grades_of(active_splats(context)):
            _draw_grade(layout.box(), modifier)
        layout.operator(HGS_OT_add_grade.bl_idname, icon="ADD")


def _draw_grade(layout: UILayout, modifier: NodesModifier) -> None:
    row = layout.row(align=True)
    row.prop(modifier, "name", text="")
    row.prop(modifier, "show_viewport", text="")
    row.prop(modifier, "show_render", text="")
    remove = row.operator(HGS_OT_remove_grade.bl_idname, text="", icon="X")
    remove.modifier = modifier.name
    column = layout.column(align=True)
    for name in LOOK:
        draw_input(column, modifier, name)
    layout.template_curve_mapping(curves_node(present(modifier.node_group)), "mapping", type="COLOR")
    column = layout.column(align=True)
    draw_input(column, modifier, "By Level")
    if get_input(modifier, "By Level"):
        for name in ("First Level", "Last Level"):
            draw_input(column, modifier, name)
    if get_input(modifier, "Box") is None:
        column.operator(HGS_OT_grade_box.bl_idname).modifier = modifier.name
    else:
        for name in ("By Box", "Box", "Outside"):
            draw_input(column, modifier, name)
    draw_input(column, modifier, "Attribute")


CLASSES = (HGS_OT_add_grade, HGS_OT_grade_box, HGS_OT_remove_grade, HGS_PT_grade)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
