# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deform panel: lattices, curves, armatures and meshes that carry the active splat object."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
from bpy.types import Object

from ..compat import draw_input
from ..data import OnSplats, SplatPanel, active_splats, get_values, is_splats
from ..typed import Outcome, SplatObject, present
from .probes import (
    DeformRefused,
    bind_armature,
    bind_curve,
    bind_lattice,
    bind_mesh,
    deform_of,
    new_lattice,
    probes_of,
    remove_probes,
)

AXES = tuple(
    (f"{sign}_{axis}", f"{'' if sign == 'POS' else '-'}{axis}", "") for sign in ("POS", "NEG") for axis in "XYZ"
)
LONGEST = "LONGEST"

BINDERS: dict[str, Callable[[SplatObject, Object], None]] = {
    "LATTICE": bind_lattice,
    "ARMATURE": bind_armature,
    "MESH": bind_mesh,
}
"""By the type of what deforms; curves have an axis besides."""


def deformer(context: bpy.types.Context, obj: SplatObject) -> Object | None:
    """The selected object that is to deform ``obj``; None if none is selected."""
    kinds = (*BINDERS, "CURVE")
    others = [each for each in context.selected_objects if each != obj and each.type in kinds and not is_splats(each)]
    return others[0] if others else None


def deform(context: bpy.types.Context, obj: SplatObject, axis: str = LONGEST, points: int = 4) -> Object:
    """Let the selected lattice, curve, armature or mesh deform a splat object, or a new lattice; what deforms it.

    Raises:
        DeformRefused: if it cannot be bound.
    """
    if obj.mode != "OBJECT":
        raise DeformRefused(f"{obj.name} is being edited; leave the edit mode first")
    target = deformer(context, obj)
    if target is None:
        target = new_lattice(context, obj, points)
    if target.type == "CURVE":
        longest = "XYZ"[int(np.ptp(get_values(obj.data, "position"), 0).argmax())]
        bind_curve(obj, target, f"POS_{longest}" if axis == LONGEST else axis)
    else:
        BINDERS[target.type](obj, target)
    return target


class HGS_OT_deform(OnSplats, bpy.types.Operator):
    """Let the selected lattice, curve, armature or mesh deform the active splats; a new lattice if none is selected."""

    bl_idname = "hgs.deform"
    bl_label = "Deform Splats"
    bl_options = {"REGISTER", "UNDO"}

    axis: bpy.props.EnumProperty(
        name="Axis",
        description="The splats' own axis that runs along a curve",
        items=((LONGEST, "Longest", "Along which they reach furthest"), *AXES),
        default=LONGEST,
    )
    points: bpy.props.IntProperty(
        name="Points", description="Points along a new lattice's side", default=4, min=2, max=64
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object that may be changed must be active."""
        return super().poll(context) and active_splats(context).data.is_editable

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Bind it, or report why not."""
        try:
            target = deform(context, active_splats(context), self.axis, self.points)
        except DeformRefused as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{target.name} deforms {active_splats(context).name}")
        return {"FINISHED"}


class HGS_OT_remove_deform(OnSplats, bpy.types.Operator):
    """Take the deformation away: the splats are where they were; what deformed them stays."""

    bl_idname = "hgs.remove_deform"
    bl_label = "Remove Deformation"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be one."""
        return super().poll(context) and deform_of(active_splats(context)) is not None

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Remove it."""
        remove_probes(active_splats(context))
        return {"FINISHED"}


class HGS_PT_deform(SplatPanel):
    """What deforms the active splat object, and how far."""

    bl_label = "Deform"
    bl_idname = "HGS_PT_deform"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Buttons, the amount, and what deforms."""
        obj, layout = active_splats(context), present(self.layout)
        target = deformer(context, obj)
        layout.operator(HGS_OT_deform.bl_idname, text=f"Deform by {target.name}" if target else "Deform by New Lattice")
        modifier, probes = deform_of(obj), probes_of(obj)
        if modifier is None or probes is None:
            return
        draw_input(layout, modifier, "Amount")
        for each in probes.modifiers:
            layout.prop(each, "show_viewport", text=each.name)
        layout.operator(HGS_OT_remove_deform.bl_idname, icon="X")


CLASSES = (HGS_OT_deform, HGS_OT_remove_deform, HGS_PT_deform)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
