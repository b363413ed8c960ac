# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: where ``hgs`` is, where batches go, how long one may take."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..core.toolkit.jobs import JobError, find_executable
from ..typed import present
from .panel_text import paragraph

EXTENSION = (__package__ or "").rpartition(".")[0]
"""The name under which Blender knows the extension: the package above this folder."""

BATCHES = "batches"


class HgsPreferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = EXTENSION

    executable: bpy.props.StringProperty(
        name="Program",
        description="Path of the program hgs that comes with hgs_toolkit; empty: the one on PATH",
        subtype="FILE_PATH",
    )
    output: bpy.props.StringProperty(
        name="Batches",
        description="Folder in which new batches get folders of their own; empty: the extension's own folder",
        subtype="DIR_PATH",
    )
    timeout: bpy.props.IntProperty(
        name="Minutes", description="A generation that takes longer is stopped", default=60, min=1, max=24 * 60
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Rows in the preferences' window, and which program will run."""
        column = present(self.layout).column()
        column.use_property_split = True
        column.prop(self, "executable", placeholder="hgs on PATH")
        column.prop(self, "output", placeholder="the extension's own folder")
        column.prop(self, "timeout")
        try:
            paragraph(column, context, f"Generate runs {chosen_program(self)}", icon="CHECKMARK")
        except JobError as error:
            paragraph(column, context, f"Generate cannot run: {error}", icon="ERROR")


def chosen_program(chosen: HgsPreferences) -> str:
    """Path of the program ``hgs`` that the preferences ``chosen`` lead to.

    Raises:
        JobError: if there is none.
    """
    return find_executable(bpy.path.abspath(chosen.executable) if chosen.executable else "")


def preferences(context: bpy.types.Context) -> HgsPreferences:
    """The preferences of the enabled extension."""
    found = present(context.preferences).addons[EXTENSION].preferences
    assert isinstance(found, HgsPreferences)
    return found


def output_folder(context: bpy.types.Context) -> Path:
    """Where new batches go; created if it is the extension's own folder."""
    chosen = preferences(context).output
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(EXTENSION, path=BATCHES, create=True))


CLASSES = (HgsPreferences,)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
