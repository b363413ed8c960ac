# SPDX-License-Identifier: GPL-3.0-or-later
"""A brush in the 3D view that erases Gaussians, and restores them with Ctrl."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.types import Context, Event
from gpu_extras.presets import draw_circle_2d

from ..core.brushing import BrushView, touched
from ..core.splats import Array
from ..data import active_splats, get_values
from ..nodes.display import undrawn
from ..nodes.levels_nodes import HIDDEN
from ..typed import Outcome, SplatObject, present
from .cleanup import OnMarks
from .marks import erase, erased_of

SMALLER, LARGER = "LEFT_BRACKET", "RIGHT_BRACKET"
GROWTH = 1.2
"""Factor on the brush's radius at each press of a key."""

ENDS = {"ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE"}
HINT = "Drag: erase   Ctrl: restore   [ ]: size   Shift: through everything   Enter: end"


class HgsBrushPoint(bpy.types.PropertyGroup):
    """Where a stroke came past."""

    place: bpy.props.FloatVectorProperty(size=2)


class HGS_OT_erase_brush(OnMarks, bpy.types.Operator):
    """Erase Gaussians with a brush, those in front first; with Ctrl, restore them."""

    bl_idname = "hgs.erase_brush"
    bl_label = "Erase Brush"
    bl_options = {"REGISTER", "UNDO"}

    radius: bpy.props.FloatProperty(name="Radius", description="Of the brush, pixels", default=25.0, min=1.0)
    through: bpy.props.BoolProperty(name="Through", description="Erase what lies behind as well")
    restore: bpy.props.BoolProperty(name="Restore", description="Restore erased ones instead", options={"SKIP_SAVE"})
    stroke: bpy.props.CollectionProperty(type=HgsBrushPoint, options={"HIDDEN", "SKIP_SAVE"})
    matrix: bpy.props.FloatVectorProperty(size=16, options={"HIDDEN", "SKIP_SAVE"})
    projection: bpy.props.FloatVectorProperty(size=16, options={"HIDDEN", "SKIP_SAVE"})
    width: bpy.props.IntProperty(default=1, min=1, options={"HIDDEN", "SKIP_SAVE"})
    height: bpy.props.IntProperty(default=1, min=1, options={"HIDDEN", "SKIP_SAVE"})

    _shown: tuple[Array, Array]
    _drawing = False
    _cursor: Any = None
    _mouse = (0.0, 0.0)

    def execute(self, context: Context) -> Outcome:
        """Go along the ``stroke`` in a view of these matrices (16 numbers each, row by row) and pixels."""
        obj = active_splats(context)
        matrix, projection = (np.array(each[:], np.float64).reshape(4, 4) for each in (self.matrix, self.projection))
        view = BrushView(matrix @ np.array(obj.matrix_world), projection, self.width, self.height)
        self._shown = _as_shown(context, obj)
        count = sum(self._dab(obj, view, (point.place[0], point.place[1])) for point in self.stroke)
        self.report({"INFO"}, f"{count:,} Gaussians {'restored' if self.restore else 'erased'}")
        return {"FINISHED"}

    def _dab(self, obj: SplatObject, view: BrushView, place: tuple[float, float]) -> int:
        """Erase or restore what is under the brush; how many Gaussians changed."""
        position, shown = self._shown
        erased = erased_of(obj.data)
        there = np.flatnonzero(erased if self.restore else shown & ~erased)
        chosen = np.zeros(len(erased), bool)
        chosen[there[touched(position[there], view, place, self.radius, through=self.through)]] = True
        return erase(obj, chosen, restore=self.restore)

    def invoke(self, context: Context, event: Event) -> Outcome:
        """Take the mouse until Enter."""
        if context.region_data is None or active_splats(context).mode != "OBJECT":
            self.report({"ERROR"}, "the brush works in a 3D view and in object mode")
            return {"CANCELLED"}
        manager: Any = present(context.window_manager)
        self._mouse = (event.mouse_region_x, event.mouse_region_y)
        self._cursor = manager.draw_cursor_add(self._draw, (), "VIEW_3D", "WINDOW")
        present(context.workspace).status_text_set(HINT)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> Outcome:
        """One event, unless one that was passed through has deleted the object or brought it into another mode."""
        if not self.poll(context) or active_splats(context).mode != "OBJECT":
            self.cancel(context)
            self.report(
                {"INFO"}, "the brush has ended, since no splats are active in object mode; start it again there"
            )
            return {"CANCELLED"}
        try:
            return self._take(context, event)
        except Exception:
            self.cancel(context)  # Blender would not: the circle and the text would stay for the session
            raise

    def _take(self, context: Context, event: Event) -> Outcome:
        """One event: a stroke is an undo step of its own."""
        self._mouse = (event.mouse_region_x, event.mouse_region_y)
        if context.area is not None:
            context.area.tag_redraw()
        if event.type in ENDS and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}  # strokes have pushed their undo steps, and FINISHED would push an empty one
        if event.type in (SMALLER, LARGER) and event.value == "PRESS":
            self.radius *= GROWTH if event.type == LARGER else 1 / GROWTH
        elif event.type == "LEFTMOUSE":
            self._drawing = event.value == "PRESS"
            if self._drawing:
                self._shown = _as_shown(context, active_splats(context))
            self._paint(context, event)
            if not self._drawing:
                bpy.ops.ed.undo_push(message="Brush stroke")
        elif event.type == "MOUSEMOVE":
            self._paint(context, event)
        else:
            return {"PASS_THROUGH"}  # turning the view goes on
        return {"RUNNING_MODAL"}

    def cancel(self, context: Context) -> None:
        """Give the mouse back."""
        manager: Any = present(context.window_manager)
        manager.draw_cursor_remove(self._cursor)
        present(context.workspace).status_text_set(None)

    def _paint(self, context: Context, event: Event) -> None:
        if not self._drawing or context.region is None or context.region_data is None:
            return
        self.restore, self.through = event.ctrl, event.shift
        obj, data = active_splats(context), context.region_data
        matrix = np.array(data.view_matrix @ obj.matrix_world)
        view = BrushView(matrix, np.array(data.window_matrix), context.region.width, context.region.height)
        self._dab(obj, view, self._mouse)

    def _draw(self, place: tuple[int, int]) -> None:
        draw_circle_2d(place, (1.0, 1.0, 1.0, 0.8), self.radius)


def _as_shown(context: Context, obj: SplatObject) -> tuple[Array, Array]:
    """Positions (N, 3) and which are not hidden (N,): after the modifiers, unless these change how many there are."""
    position = get_values(obj.data, "position")
    with undrawn(obj):
        evaluated: Any = obj.evaluated_get(context.evaluated_depsgraph_get()).data
        if evaluated.attributes.domain_size("POINT") != len(position):
            return position, np.ones(len(position), bool)
        hidden = get_values(evaluated, HIDDEN) if HIDDEN in evaluated.attributes else np.zeros(len(position), bool)
        return get_values(evaluated, "position"), ~hidden


CLASSES = (HgsBrushPoint, HGS_OT_erase_brush)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
