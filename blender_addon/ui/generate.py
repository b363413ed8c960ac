# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate: orders a batch of seeds from ``hgs`` without holding Blender up."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..core.toolkit.batches import BatchError, new_folder, sample_command
from ..core.toolkit.class_names import class_names
from ..core.toolkit.generation import Generation
from ..core.toolkit.jobs import JobError
from ..typed import present
from .beside import POLL_SECONDS, CancelsRun, StartsRun, watch
from .panel_text import paragraph
from .preferences import chosen_program, output_folder, preferences
from .scene_settings import SceneSettings
from .seeds import SETTINGS as SEEDS

INSTALL_COMMAND = "pip install hgs_toolkit"

current: Generation | None = None
"""The newest generation, running or ended."""


def _install_command(settings: HgsGenerateSettings) -> str:
    return INSTALL_COMMAND


def _class_names(settings: HgsGenerateSettings, context: bpy.types.Context, text: str) -> list[str]:
    """What the field proposes."""
    return [name for name in class_names(_model_path(settings)) if text.strip().lower() in name.lower()]


def _model_path(settings: HgsGenerateSettings) -> str:
    return bpy.path.abspath(settings.model) if settings.model else ""


class HgsGenerateSettings(bpy.types.PropertyGroup):
    """What to order."""

    model: bpy.props.StringProperty(
        name="Model",
        description="A model.safetensors, a run folder, or a name such as seating64; empty: the default model",
        subtype="FILE_PATH",
    )
    seeds: bpy.props.StringProperty(
        name="Seeds", description="Numbers and ranges, such as 0-15 or 1,5,9-12", default="0-15"
    )
    psi: bpy.props.FloatProperty(
        name="Variety",
        description="Truncation: 0 is the average scene, 1 everything the model knows, with its failures",
        default=0.7, min=0.0, soft_max=1.0, max=2.0,
    )  # fmt: skip
    kind: bpy.props.StringProperty(
        name="Class",
        description="Class of the scenes, for a model that was trained with classes; empty: every seed draws its own",
        search=_class_names,
        search_options={"SUGGESTION"},
    )
    command: bpy.props.StringProperty(
        name="Install",
        description="Run this in a terminal, then start Blender anew; Ctrl+C over the field copies it",
        get=_install_command,
    )
    size: bpy.props.IntProperty(
        name="Thumbnails", description="Side of the thumbnails, pixels", default=128, min=16, max=1024
    )


SETTINGS = SceneSettings("hgs_generate", HgsGenerateSettings)


class HGS_OT_generate(StartsRun, bpy.types.Operator):
    """Make scenes of seeds with the program hgs; Blender stays usable meanwhile."""

    bl_idname = "hgs.generate"
    bl_label = "Generate"

    refusals = (BatchError, JobError)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One at a time: two would take the cores from each other."""
        return not is_running()

    def start(self, context: bpy.types.Context) -> Generation:
        """Start what the scene's settings order."""
        return start(context)

    def timer(self) -> Callable[[], float | None]:
        """The timer of generations."""
        return tick

    def finish(self, context: bpy.types.Context) -> tuple[str, bool]:
        """Show the batch, or say why there is none."""
        finish(present(context.scene))
        problem = present(current).problem
        return problem, bool(problem)


class HGS_OT_cancel_generation(CancelsRun, bpy.types.Operator):
    """Stop the generation; scenes that are done stay on the disk."""

    bl_idname = "hgs.cancel_generation"
    bl_label = "Cancel"

    @classmethod
    def run(cls) -> Generation | None:
        """The generation under way."""
        return current if is_running() else None


class HGS_PT_generate(bpy.types.Panel):
    """Order seeds and see how far they are."""

    bl_label = "Generate"
    bl_idname = "HGS_PT_generate"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, the button, progress or the outcome."""
        settings, layout = SETTINGS.of(context.scene), present(self.layout)
        layout.use_property_split, layout.use_property_decorate = True, False  # nothing here is animated
        layout.prop(settings, "model", placeholder="comes with hgs")
        for name in ("seeds", "psi", "size"):
            layout.prop(settings, name)
        if class_names(_model_path(settings)):
            layout.prop(settings, "kind", placeholder="the seed's")
        if current is not None and current.running:
            row = layout.row()
            row.progress(factor=current.job.fraction, text=current.job.text)
            row.operator("hgs.cancel_generation", text="", icon="CANCEL")
            return
        try:
            chosen_program(preferences(context))
        except JobError as error:
            paragraph(layout, context, f"Generate needs hgs_toolkit beside Blender: {error}", icon="INFO")
            layout.prop(settings, "command")
            return
        layout.operator("hgs.generate", icon="PLAY")
        if current is not None:
            done = current.batch is not None
            text = f"{len(current.batch.scenes)} scenes made" if current.batch else current.problem
            paragraph(layout, context, text, icon="CHECKMARK" if done else "ERROR")


def is_running() -> bool:
    """Whether a generation is under way."""
    return current is not None and current.running


def start(context: bpy.types.Context) -> Generation:
    """Start what the scene's settings order, in a new folder.

    Raises:
        BatchError: if the order or the output folder cannot be used.
        JobError: if ``hgs`` is missing or cannot be run.
    """
    global current
    settings, chosen = SETTINGS.of(context.scene), preferences(context)
    executable = chosen_program(chosen)
    model = _model_path(settings)
    order = {"seeds": settings.seeds, "psi": settings.psi, "model": model, "size": settings.size}
    if class_names(model):
        order["kind"] = settings.kind.strip()
    parent = output_folder(context)
    sample_command(executable, parent, **order)  # an order that is refused must not leave a folder behind
    folder = new_folder(parent)
    current = Generation(sample_command(executable, folder, **order), folder, timeout=60.0 * chosen.timeout)
    return current


def tick() -> float | None:
    """The timer: seconds until it wants to be called again, None when the generation has ended."""
    if current is None:
        return None
    if watch(current):
        return POLL_SECONDS
    finish(present(bpy.context.scene))
    return None


def finish(scene: bpy.types.Scene) -> None:
    """Show a batch that is done in the seeds browser."""
    if current is not None and current.batch is not None:
        SEEDS.of(scene).folder = str(current.folder)


CLASSES = (HgsGenerateSettings, HGS_OT_generate, HGS_OT_cancel_generation, HGS_PT_generate)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    SETTINGS.register()


def unregister() -> None:
    """Called when it is disabled, and when Blender ends: a program that still runs ends with it."""
    global current
    if current is not None:
        current.close()
        current = None
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    SETTINGS.unregister()
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
