# SPDX-License-Identifier: GPL-3.0-or-later
"""The Appearance panel: what draws the active splat object, and how."""

from __future__ import annotations

import bpy

from ..compat import draw_input, draws_splats
from ..data import BARE_WARNING, OnSplats, active_splats, bare_transform, is_splats
from ..engine.exact_settings import ENGINE
from ..engine.gpu_refusals import reason
from ..nodes.display import BLENDER, CARDS, display_of, draw_by, drawn_by
from ..typed import Outcome, present
from .panel_text import paragraph
from .transforms import HGS_OT_apply_splat_transform

CHOICES = (
    (CARDS, "Cards (as trained)", "The image that the toolkit draws, in Cycles and EEVEE; the default"),
    (BLENDER, "Blender (fast)", "Blender's own splats: quick in the viewport, other colours at soft edges"),
)


class HGS_OT_draw_by(OnSplats, bpy.types.Operator):
    """Choose what draws the active splat object; run Set Up Scene afterwards."""

    bl_idname = "hgs.draw_by"
    bl_label = "Draw Splats By"
    bl_options = {"REGISTER", "UNDO"}

    choice: bpy.props.EnumProperty(name="Drawn By", items=CHOICES, default=CARDS)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Switch the modifiers over, or report that this Blender cannot."""
        if self.choice == BLENDER and not draws_splats():
            self.report({"ERROR"}, "this Blender draws no splats itself; that came with Blender 5.3")
            return {"CANCELLED"}
        draw_by(active_splats(context), self.choice)
        return {"FINISHED"}


class HGS_PT_appearance(bpy.types.Panel):
    """How the active splat object is drawn, and the scene it is drawn in."""

    bl_label = "Appearance"
    bl_idname = "HGS_PT_appearance"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"

    def draw(self, context: bpy.types.Context) -> None:
        """The scene's set-up, and inputs of the display modifier."""
        obj, layout = context.object, present(self.layout)
        layout.operator("hgs.view_exactly", icon="SHADING_RENDERED")
        if context.engine == ENGINE and (words := reason()):
            paragraph(layout, context, words, icon="INFO")
        layout.operator_menu_enum("hgs.set_up_scene", "colors", text="Set Up Scene")
        if not is_splats(obj):
            return
        if bare_transform(obj.data) is not None:
            paragraph(layout, context, f"{obj.name}: {BARE_WARNING}", icon="ERROR")
        layout.operator(HGS_OT_apply_splat_transform.bl_idname)
        choice = drawn_by(obj)
        if draws_splats():
            name = next(name for identifier, name, _ in CHOICES if identifier == choice)
            layout.operator_menu_enum(HGS_OT_draw_by.bl_idname, "choice", text=f"Drawn By {name}")
        display = display_of(obj)
        if display is not None and choice == CARDS:
            for name in ("Lit", "Cards in Viewport", "Point Size"):
                draw_input(layout, display, name)


CLASSES = (HGS_OT_draw_by, HGS_PT_appearance)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
