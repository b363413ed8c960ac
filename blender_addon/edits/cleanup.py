# SPDX-License-Identifier: GPL-3.0-or-later
"""The Clean-Up panel: floaters are found, Gaussians erased and restored. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from ..compat import draw_input, get_input, set_input
from ..core.cleaning import FloaterLimits, find_floaters
from ..core.splats import Array
from ..data import OnSplats, SplatPanel, active_splats, is_splats, raw_splats
from ..typed import Outcome, present
from .marks import add_cleanup, cleanup_of, erase, erased_of, inside, nearest, select, selected_of


class OnMarks(OnSplats):
    """Operators that mark the Gaussians of the active splat object, whose data must not be another file's."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object whose data have Gaussians and may be changed must be active."""
        if not super().poll(context):
            return False
        data = active_splats(context).data
        return data.is_editable and data.attributes.domain_size("POINT") > 0


class HGS_OT_find_floaters(OnMarks, bpy.types.Operator):
    """Erase or select Gaussians that are faint, large, or apart from the body; they can be restored."""

    bl_idname = "hgs.find_floaters"
    bl_label = "Find Floaters"
    bl_options = {"REGISTER", "UNDO"}

    action: bpy.props.EnumProperty(
        name="Action",
        items=(
            ("ERASE", "Erase", "Erase them"),
            ("SELECT", "Select", "Select them for edit mode, and nothing else"),
        ),
        default="ERASE",
    )
    share: bpy.props.FloatProperty(
        name="Part Below", description="Share of all Gaussians below which a connected part is a floater",
        default=0.01, min=0.0, max=0.5, precision=4,
    )  # fmt: skip
    gap: bpy.props.FloatProperty(
        name="Gap", description="Distance at which parts are apart, in the object's units; 0 chooses one", min=0.0
    )
    distance: bpy.props.FloatProperty(
        name="Distance",
        description="Distance to the body, the largest part, from which a Gaussian is a floater; 0 leaves this out",
        min=0.0,
    )
    opacity: bpy.props.FloatProperty(
        name="Opacity Below", description="Opacity below which a Gaussian is a floater", min=0.0, max=1.0
    )
    size: bpy.props.FloatProperty(
        name="Size Above",
        description="Greatest standard deviation above which a Gaussian is a floater; 0 leaves this out",
        min=0.0,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Find them."""
        obj = active_splats(context)
        limits = FloaterLimits(self.opacity, self.size, self.share, self.distance, self.gap)
        with out_of_edit_mode(obj):
            found = find_floaters(raw_splats(obj.data), limits, ~erased_of(obj.data), nearest)
            if self.action == "SELECT":
                select(obj, found)
            else:
                erase(obj, found)
        word = "selected" if self.action == "SELECT" else "erased"
        self.report({"INFO"}, f"{int(found.sum()):,} of {len(found):,} Gaussians {word}")
        return {"FINISHED"}


class _Erases(OnMarks):
    """Operators that erase or restore Gaussians; ``chosen`` says which."""

    restore: bpy.props.BoolProperty(name="Restore", description="Restore erased ones instead", options={"SKIP_SAVE"})

    def chosen(self, context: bpy.types.Context) -> Array | None:
        """Which Gaussians (N,), or None where that was reported to be unknown."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Mark them."""
        operator: Any = self
        obj = active_splats(context)
        with out_of_edit_mode(obj):
            chosen = self.chosen(context)
            if chosen is None:
                return {"CANCELLED"}
            count = erase(obj, chosen, restore=self.restore)
        operator.report({"INFO"}, f"{count:,} Gaussians {'restored' if self.restore else 'erased'}")
        return {"FINISHED"}


class HGS_OT_erase_selected(_Erases, bpy.types.Operator):
    """Erase what is selected in edit mode; it can be restored."""

    bl_idname = "hgs.erase_selected"
    bl_label = "Erase Selected"
    bl_options = {"REGISTER", "UNDO"}

    def chosen(self, context: bpy.types.Context) -> Array | None:
        """What is selected."""
        return selected_of(active_splats(context))


class HGS_OT_erase_in_volume(_Erases, bpy.types.Operator):
    """Erase the Gaussians inside of the other selected mesh objects, which must be closed; they can be restored."""

    bl_idname = "hgs.erase_in_volume"
    bl_label = "Erase in Volume"
    bl_options = {"REGISTER", "UNDO"}

    def chosen(self, context: bpy.types.Context) -> Array | None:
        """What the selected meshes hold."""
        volumes = selected_volumes(context)
        if not volumes:
            self.report({"ERROR"}, "no volume is selected; select a closed mesh, then the splats, both")
            return None
        depsgraph = context.evaluated_depsgraph_get()
        obj = active_splats(context)
        found: Array = np.logical_or.reduce([inside(volume, obj, depsgraph) for volume in volumes])
        return found


class HGS_OT_restore_erased(_Erases, bpy.types.Operator):
    """Restore all erased Gaussians."""

    bl_idname = "hgs.restore_erased"
    bl_label = "Restore All"
    bl_options = {"REGISTER", "UNDO"}

    restore: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def chosen(self, context: bpy.types.Context) -> Array | None:
        """What is erased."""
        return erased_of(active_splats(context).data)


class HGS_OT_hide_in_volume(OnSplats, bpy.types.Operator):
    """Hide what is in the selected mesh object, live: the mesh may be moved, shaped and animated."""

    bl_idname = "hgs.hide_in_volume"
    bl_label = "Hide in Volume"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Let the modifier use the mesh, which becomes a wire that is not rendered."""
        volumes = selected_volumes(context)
        if len(volumes) != 1:
            self.report(
                {"ERROR"}, f"{len(volumes)} volumes are selected; select one closed mesh, then the splats, both"
            )
            return {"CANCELLED"}
        modifier, volume = add_cleanup(active_splats(context)), volumes[0]
        volume.display_type, volume.hide_render = "WIRE", True
        set_input(modifier, "Volume", volume)
        set_input(modifier, "Use Volume", True)
        return {"FINISHED"}


def selected_volumes(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The mesh objects that are selected beside the active splat object."""
    return [obj for obj in context.selected_objects if obj.type == "MESH" and not is_splats(obj)]


@contextmanager
def out_of_edit_mode(obj: bpy.types.Object) -> Iterator[None]:
    """While it lasts, an object's data can be read and written; edit mode comes back after it."""
    editing = obj.mode == "EDIT"
    if editing:
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        yield
    finally:
        if editing:
            bpy.ops.object.mode_set(mode="EDIT")


class HGS_PT_cleanup(SplatPanel):
    """Erased Gaussians of the active splat object."""

    bl_label = "Clean-Up"
    bl_idname = "HGS_PT_cleanup"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The operators, in pairs, and the inputs of the modifier."""
        obj, layout = active_splats(context), present(self.layout)
        layout.operator(HGS_OT_find_floaters.bl_idname)
        layout.operator("hgs.erase_brush", icon="BRUSH_DATA")
        for kind in (HGS_OT_erase_selected, HGS_OT_erase_in_volume):
            row = layout.row(align=True)
            row.operator(kind.bl_idname)
            again: Any = row.operator(kind.bl_idname, text="Restore")
            again.restore = True
        layout.operator(HGS_OT_hide_in_volume.bl_idname)
        modifier = cleanup_of(obj)
        if modifier is None:
            return
        if obj.mode == "OBJECT":
            erased = erased_of(obj.data)
            layout.label(text=f"{int(erased.sum()):,} of {len(erased):,} erased")
        layout.operator(HGS_OT_restore_erased.bl_idname)
        column = layout.column(align=True)
        draw_input(column, modifier, "Hide Erased")
        if get_input(modifier, "Volume") is not None:
            for name in ("Use Volume", "Volume", "Hide Outside"):
                draw_input(column, modifier, name)


CLASSES = (
    HGS_OT_find_floaters, HGS_OT_erase_selected, HGS_OT_erase_in_volume, HGS_OT_restore_erased, HGS_OT_hide_in_volume,
    HGS_PT_cleanup,
)  # fmt: skip


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
