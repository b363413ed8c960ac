# SPDX-License-Identifier: GPL-3.0-or-later
"""One button that shows splats in a 3D view as they were trained."""

from __future__ import annotations

import math
from typing import Any

import bpy
from mathutils import Euler

from ..engine.exact_engine import HGS_RE_exact
from ..typed import Outcome, present

FRONT = Euler((math.radians(80), 0, math.radians(20)))
"""Rotation of a view that moves to the splats: a little from above and from the right."""


class HGS_OT_view_exactly(bpy.types.Operator):
    """Show splats in this 3D view as they were trained, by the exact engine and the shading Rendered."""

    bl_idname = "hgs.view_exactly"
    bl_label = "View Exactly"
    bl_options = {"REGISTER", "UNDO"}

    approach: bpy.props.BoolProperty(
        name="Approach", description="Look at what is selected from its front; open the sidebar", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Choose the engine and shade this view with it, or every view where there is no view at hand."""
        render: Any = present(context.scene).render  # types know Blender's own engines alone
        render.engine = HGS_RE_exact.bl_idname
        views = [area for area in context.window.screen.areas if area.type == "VIEW_3D"] if context.window else []
        for area in [context.area] if context.area in views else views:
            view = area.spaces.active
            assert isinstance(view, bpy.types.SpaceView3D)
            view.shading.type = "RENDERED"
            if self.approach:
                view.show_region_ui = True
                present(view.region_3d).view_rotation = FRONT.to_quaternion()
                region = next(each for each in area.regions if each.type == "WINDOW")
                with context.temp_override(area=area, region=region):
                    bpy.ops.view3d.view_selected()
        return {"FINISHED"}


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_view_exactly)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.utils.unregister_class(HGS_OT_view_exactly)
