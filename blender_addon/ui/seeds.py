# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds: a batch folder as thumbnails to choose from, to import and to morph into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy

from ..compat import draw_input
from ..core.files.reading import ImportRefused
from ..core.toolkit.batches import BatchError, BatchScene
from ..data import OnSplats, active_splats, is_splats
from ..nodes.morph import MorphError, add_morph, animate, morphs_of
from ..typed import Outcome, SplatObject, present
from .browser import Browser, MenuItem
from .importing import import_file
from .panel_text import paragraph
from .scene_settings import SceneSettings

SPACING = 1.5
"""Distance of scenes imported side by side, scene units: the toolkit's subjects have a radius of about 0.6."""

browser: Browser | None = None
"""The browser of the open batch; None while the extension is disabled."""


def open_browser(settings: HgsSeedsSettings) -> Browser:
    """The browser, showing the folder of ``settings``."""
    assert browser is not None, "the extension is enabled"
    browser.show(settings.folder)
    return browser


def _menu(settings: HgsSeedsSettings, context: bpy.types.Context | None) -> list[MenuItem]:
    return open_browser(settings).items


def _choose_first(settings: HgsSeedsSettings, context: bpy.types.Context | None) -> None:
    """Blender keeps a choice as its place in the menu, where another batch has another seed or none."""
    settings.property_unset("seed")


class HgsSeedsSettings(bpy.types.PropertyGroup):
    """Which batch is open, which seed is chosen, how long a morph lasts."""

    folder: bpy.props.StringProperty(
        name="Batch", description="A folder made by hgs sample or by Generate", subtype="DIR_PATH",
        update=_choose_first,
    )  # fmt: skip
    seed: bpy.props.EnumProperty(name="Seed", description="The chosen seed", items=_menu)
    frames: bpy.props.IntProperty(name="Frames", description="Length of a morph", default=60, min=1)


SETTINGS = SceneSettings("hgs_seeds", HgsSeedsSettings)


class HGS_OT_reload_seeds(bpy.types.Operator):
    """Read the batch folder again."""

    bl_idname = "hgs.reload_seeds"
    bl_label = "Reload"

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Read it, and report what is wrong with it; the chosen seed stays chosen if it is still there."""
        settings = SETTINGS.of(context.scene)
        opened, seed = open_browser(settings), settings.seed
        opened.open(opened.folder)
        if opened.problem:
            self.report({"ERROR"}, opened.problem)
            return {"CANCELLED"}
        if seed in [item[0] for item in opened.items]:
            settings.seed = seed
        else:
            _choose_first(settings, context)
        return {"FINISHED"}


class HGS_OT_import_seed(bpy.types.Operator):
    """Import the chosen seed, or every seed of the batch side by side."""

    bl_idname = "hgs.import_seed"
    bl_label = "Import Seed"
    bl_options = {"REGISTER", "UNDO"}

    every: bpy.props.BoolProperty(name="All", description="Every seed of the batch", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Import what can be imported, and say what cannot."""
        settings = SETTINGS.of(context.scene)
        opened = open_browser(settings)
        try:
            scenes = opened.present_batch().scenes if self.every else (opened.chosen(settings.seed),)
        except BatchError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        refusals = import_in_a_row(context, scenes)
        words = "; ".join(refusals)
        if len(refusals) == len(scenes):
            self.report({"ERROR"}, words)
            return {"CANCELLED"}
        if refusals:  # a warning: an error would end the script that runs this, although seeds came in
            self.report({"WARNING"}, f"{len(refusals)} of {len(scenes)} seeds were not imported: {words}")
        return {"FINISHED"}


class HGS_OT_morph_to_seed(OnSplats, bpy.types.Operator):
    """Let the active splat object turn into the chosen seed, from the current frame on."""

    bl_idname = "hgs.morph_to_seed"
    bl_label = "Morph to Seed"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add the modifier and key its factor."""
        obj, settings = active_splats(context), SETTINGS.of(context.scene)
        try:
            scene = open_browser(settings).chosen(settings.seed)
            other = import_scene(context, scene)
            try:
                modifier = add_morph(obj, other)
            finally:
                bpy.data.objects.remove(other)
        except (BatchError, ImportRefused, MorphError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        first = present(context.scene).frame_current
        animate(modifier, first, first + settings.frames)
        present(context.view_layer).objects.active = obj
        return {"FINISHED"}


class HGS_PT_seeds(bpy.types.Panel):
    """The thumbnails of a batch, and what can be done with the chosen one."""

    bl_label = "Seeds"
    bl_idname = "HGS_PT_seeds"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"

    def draw(self, context: bpy.types.Context) -> None:
        """Folder, thumbnails, buttons."""
        settings, layout = SETTINGS.of(context.scene), present(self.layout)
        opened = open_browser(settings)
        row = layout.row(align=True)
        row.prop(settings, "folder", text="", placeholder="Folder of a batch")
        row.operator("hgs.reload_seeds", text="", icon="FILE_REFRESH")
        if opened.batch is None or not opened.batch.scenes:
            if settings.folder:
                paragraph(layout, context, opened.problem or "This batch has no scenes", icon="ERROR")
            return
        layout.template_icon_view(settings, "seed", show_labels=True, scale=8.0, scale_popup=5.0)
        layout.prop(settings, "seed", text="")
        row = layout.row(align=True)
        row.operator("hgs.import_seed", text="Import", icon="IMPORT")
        everything: Any = row.operator("hgs.import_seed", text=f"Import All {len(opened.batch.scenes)}")
        everything.every = True
        layout.operator("hgs.write_assets", icon="ASSET_MANAGER")
        row = layout.row(align=True)
        row.operator("hgs.morph_to_seed", text="Morph to It", icon="MOD_MESHDEFORM")
        row.prop(settings, "frames")
        column = layout.column(align=True)
        for modifier in morphs_of(context.object) if is_splats(context.object) else ():
            draw_input(column, modifier, "Factor", text=modifier.name)


def import_in_a_row(context: bpy.types.Context, scenes: Iterable[BatchScene]) -> list[str]:
    """Import scenes side by side; why some were not, a sentence each that names the file or the seed."""
    refusals, place = [], 0.0
    for scene in scenes:
        try:
            import_scene(context, scene).location.x += place
            place += SPACING
        except (BatchError, ImportRefused) as error:
            refusals.append(str(error))
    return refusals


def import_scene(context: bpy.types.Context, scene: BatchScene) -> SplatObject:
    """Import one scene of a batch; its object.

    Raises:
        BatchError: if its file is gone.
        ImportRefused: if the file is broken.
    """
    if scene.asset is None:
        raise BatchError(f"seed {scene.seed} has no file to import; make the batch anew with --save hgs,png")
    return import_file(context, scene.asset)


CLASSES = (HgsSeedsSettings, HGS_OT_reload_seeds, HGS_OT_import_seed, HGS_OT_morph_to_seed, HGS_PT_seeds)


def register() -> None:
    """Called when the extension is enabled."""
    global browser
    browser = Browser()
    for each in CLASSES:
        bpy.utils.register_class(each)
    SETTINGS.register()


def unregister() -> None:
    """Called when it is disabled."""
    global browser
    SETTINGS.unregister()
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
    if browser is not None:
        browser.close()
        browser = None
