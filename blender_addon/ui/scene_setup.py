# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator that makes a scene show splats as they were trained: engine limits, pixel filter, colour transform."""

from __future__ import annotations

from typing import Any

import bpy

from ..compat import get_input, set_input
from ..core.projection import BLUR
from ..data import bare_warnings, is_splats
from ..nodes.display import BLENDER, composite_exactly, display_of, drawn_by
from ..typed import Outcome, present

BOUNCES = 1024
"""Cards that a ray may pass: Blender's greatest number. The default of 8 makes splats end in black."""

POINT_FILTER = 0.01
"""Width in pixels of a filter that takes every pixel's middle, as splats are trained; Blender's least."""

BOX_FILTER, BOX_VARIANCE = 1.0, 1 / 12
"""A filter of one pixel, which smooths meshes' edges, and the variance that it adds to a Gaussian by itself."""

MESH_SAMPLES = 32
LIT_SAMPLES = 64
"""Cycles goes on from lit cards at random, through them or off them."""

NATIVE_SAMPLES = 128
"""Samples for Blender's own splats, which are seen or not at random in every sample."""

DEPTH_ALPHA = 0.2
"""Alpha from which a card counts for Cycles' depth: opaque splats are piles of faint cards, and Blender's 0.5 leaves
gaps in them (1 to 10 % of the pixels); much less takes the splats' soft fringe for their surface."""

VIEW_TRANSFORMS = {"EXACT": "Raw", "SCENE": "Standard"}


class HGS_OT_set_up_scene(bpy.types.Operator):
    """Set the scene up so that splats look as they were trained, in Cycles and in EEVEE."""

    bl_idname = "hgs.set_up_scene"
    bl_label = "Set Up Scene for Splats"
    bl_options = {"REGISTER", "UNDO"}

    colors: bpy.props.EnumProperty(
        name="Colors",
        items=(
            ("EXACT", "Exact", "Composite display colours as in training, and save them as they are"),
            ("SCENE", "Scene", "Composite linear light, so that splats mix with lamps and materials"),
        ),
        default="EXACT",
    )
    smooth: bpy.props.BoolProperty(
        name="Smooth Edges of Meshes",
        description="Take many samples through a filter of one pixel, in place of each pixel's middle",
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Set everything up, and say what is missing."""
        scene = present(context.scene)
        set_up(scene, self.colors, smooth=self.smooth)
        if has_native(scene):
            self.report({"INFO"}, f"Blender draws some splats itself: {NATIVE_SAMPLES} samples are set up for them")
        for warning in bare_warnings(scene):
            self.report({"WARNING"}, warning)
        if scene.camera is None:
            self.report({"WARNING"}, "the scene has no camera; splats are drawn towards the camera, add one")
        return {"FINISHED"}


def set_up(scene: bpy.types.Scene, colors: str = "EXACT", *, smooth: bool = False) -> None:
    """As the operator; ``colors`` is EXACT or SCENE.

    Where Blender draws some of the splats itself, edges are smooth: it takes samples at random.
    """
    native = has_native(scene)
    smooth = smooth or native
    samples, width = (MESH_SAMPLES, BOX_FILTER) if smooth else (1, POINT_FILTER)
    samples = NATIVE_SAMPLES if native else samples
    displays = [display for obj in scene.objects if (display := display_of(obj))]
    lit = any(get_input(display, "Lit") > 0 for display in displays)
    cycles = present(scene.cycles)
    # Both: with the second left at its default, Russian roulette ends rays at random and leaves salt noise.
    cycles.transparent_max_bounces = cycles.min_transparent_bounces = BOUNCES
    cycles.samples = max(samples, LIT_SAMPLES) if lit else samples
    cycles.pixel_filter_type, cycles.filter_width = "BOX", width
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    present(scene.eevee).taa_render_samples, scene.render.filter_size = samples, width
    scene.render.dither_intensity = 0.0
    for layer in scene.view_layers:
        layer.pass_alpha_threshold = DEPTH_ALPHA
    view: Any = present(scene.view_settings)  # the names of view transforms are those of the colour configuration
    view.view_transform, view.look, view.exposure, view.gamma = VIEW_TRANSFORMS[colors], "None", 0.0, 1.0
    for display in displays:
        set_input(display, "Blur", BLUR - BOX_VARIANCE if smooth else BLUR)
        set_input(display, "Scene Colors", colors == "SCENE")
    for obj in scene.objects:
        if is_splats(obj):
            composite_exactly(obj, exact=colors == "EXACT")


def has_native(scene: bpy.types.Scene) -> bool:
    """Whether Blender draws some of a scene's splats itself."""
    return any(is_splats(obj) and drawn_by(obj) == BLENDER for obj in scene.objects)


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_set_up_scene)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.utils.unregister_class(HGS_OT_set_up_scene)
