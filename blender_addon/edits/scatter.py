# SPDX-License-Identifier: GPL-3.0-or-later
"""Scatter: copies of splat objects on a surface or along a curve, as one object."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from bpy.types import NodesModifier, Object

from ..compat import draw_input, get_input, set_input
from ..core.splats import SplatError
from ..data import empty_data, is_splats, splat_data
from ..nodes.display import add_display
from ..nodes.modifiers import SCATTER, add_modifier, find_modifier
from ..nodes.scatter_nodes import NAME, scatter_group
from ..typed import Outcome, SplatObject, present
from .shown import shown_splats

INPUTS = ("Surface", "Count", "Seed", "Least Size", "Most Size", "Turn", "Align", "Full Detail To")


def add_scatter(context: bpy.types.Context, surface: Object, seeds: Sequence[SplatObject]) -> SplatObject:
    """A new object with copies of ``seeds``, as they are shown now, on ``surface``; it becomes the active one.

    Raises:
        SplatError: if one of the seeds shows no Gaussian, is hidden or being edited.
    """
    splats = [shown_splats(context, obj, "z_up") for obj in seeds]
    collection = bpy.data.collections.new(f"{surface.name} seeds")  # of no scene: only copies are to be seen
    for obj, each in zip(seeds, splats, strict=True):
        each.position -= np.array(obj.matrix_world.translation, np.float32)
        collection.objects.link(bpy.data.objects.new(f"{obj.name} copy", splat_data(f"{obj.name} copy", each)))
    levels = max(int(each.level.max(initial=0)) + 1 if each.level is not None else 1 for each in splats)
    name = f"{surface.name} scatter"
    result = bpy.data.objects.new(name, empty_data(name, max(each.harmonics.shape[1] for each in splats), levels))
    assert is_splats(result)
    present(context.collection).objects.link(result)
    modifier = add_modifier(result, NAME, scatter_group(levels))
    set_input(modifier, "Surface", surface)
    set_input(modifier, "Seeds", collection)
    add_display(result)
    for other in context.selected_objects:
        other.select_set(False)
    result.select_set(True)
    present(context.view_layer).objects.active = result
    return result


def scatter_of(obj: Object) -> NodesModifier | None:
    """The modifier of :func:`add_scatter`, or None."""
    return find_modifier(obj, SCATTER)


class HGS_OT_scatter(bpy.types.Operator):
    """Scatter the selected splat objects over the selected mesh, or along the selected curve."""

    bl_idname = "hgs.scatter"
    bl_label = "Scatter Splats"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Splats must be selected."""
        return any(is_splats(obj) for obj in context.selected_objects)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Make the object, or report what is missing."""
        seeds = [obj for obj in context.selected_objects if is_splats(obj)]
        surfaces = [obj for obj in context.selected_objects if obj.type in {"MESH", "CURVE"} and not is_splats(obj)]
        if len(surfaces) != 1:
            self.report({"ERROR"}, f"{len(surfaces)} meshes and curves are selected; select one, and splats with it")
            return {"CANCELLED"}
        try:
            add_scatter(context, surfaces[0], seeds)
        except SplatError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class HGS_PT_scatter(bpy.types.Panel):
    """Copies of splats on a surface or a curve."""

    bl_label = "Scatter"
    bl_idname = "HGS_PT_scatter"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The button, and the inputs of the active object's scatter."""
        layout = present(self.layout)
        layout.operator(HGS_OT_scatter.bl_idname)
        modifier = scatter_of(context.object) if context.object is not None else None
        if modifier is None:
            return
        collection = get_input(modifier, "Seeds")
        if collection is not None:
            layout.label(text=f"{len(collection.objects)} splat objects")
        column = layout.column(align=True)
        for name in INPUTS:
            draw_input(column, modifier, name)


CLASSES = (HGS_OT_scatter, HGS_PT_scatter)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
