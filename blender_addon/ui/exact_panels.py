# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact engine in the properties editor: sampling, passes, what the camera sees, and what is not honoured."""

from __future__ import annotations

import bpy

from ..engine.exact_settings import ENGINE, exact_settings
from ..engine.gpu_refusals import reason
from ..engine.unhonoured import unhonoured
from ..typed import present
from .panel_text import paragraph


class _ExactPanel(bpy.types.Panel):
    """A panel of the properties editor that is there with the exact engine."""

    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with the engine."""
        return context.engine == ENGINE


class HGS_PT_exact_sampling(_ExactPanel):
    """Depth of field and motion blur, and what the engine does not do."""

    bl_label = "Sampling"
    bl_idname = "HGS_PT_exact_sampling"
    bl_context = "render"

    def draw(self, context: bpy.types.Context) -> None:
        """Number of samples, the shutter, and sentences."""
        scene, layout = present(context.scene), present(self.layout)
        layout.use_property_split = True
        layout.prop(exact_settings(scene), "samples")
        layout.prop(scene.render, "use_motion_blur")
        if scene.render.use_motion_blur:
            layout.prop(scene.render, "motion_blur_position", text="Position")
            layout.prop(scene.render, "motion_blur_shutter")
        layout.prop(exact_settings(scene), "use_gpu")
        if words := reason():
            paragraph(layout, context, words, icon="INFO")
        for words in unhonoured(scene, present(context.view_layer)):
            paragraph(layout, context, f"Not honoured: {words}", icon="INFO")


class HGS_PT_exact_passes(_ExactPanel):
    """Passes of the view layer."""

    bl_label = "Passes"
    bl_idname = "HGS_PT_exact_passes"
    bl_context = "view_layer"

    def draw(self, context: bpy.types.Context) -> None:
        """A switch for each pass."""
        layer, layout = present(context.view_layer), present(self.layout)
        layout.use_property_split, layout.use_property_decorate = True, False
        for name in ("use_pass_z", "use_pass_normal", "use_pass_object_index", "use_pass_cryptomatte_object"):
            layout.prop(layer, name)
        if layer.use_pass_cryptomatte_object:
            layout.prop(layer, "pass_cryptomatte_depth", text="Ranks")
        layout.prop(exact_settings(context.scene), "use_level")


class HGS_PT_exact_visibility(_ExactPanel):
    """How an object is seen by the camera."""

    bl_label = "Camera"
    bl_idname = "HGS_PT_exact_visibility"
    bl_context = "object"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Visibility and holdout."""
        layout = present(self.layout)
        layout.use_property_split = True
        for name in ("visible_camera", "is_holdout", "pass_index"):
            layout.prop(present(context.object), name)


CLASSES = (HGS_PT_exact_sampling, HGS_PT_exact_passes, HGS_PT_exact_visibility)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
