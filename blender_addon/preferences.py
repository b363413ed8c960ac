# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: where ``hgs`` is, where batches go, how long one may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

BATCHES = "batches"


class HgsPreferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = __package__

    executable: bpy.props.StringProperty(
        name="hgs program",
        description="Path of the program hgs that comes with hgs_toolkit; empty: the one on PATH",
        subtype="FILE_PATH",
    )
    output: bpy.props.StringProperty(
        name="Batches",
        description="Folder in which new batches get folders of their own; empty: the extension's own folder",
        subtype="DIR_PATH",
    )
    timeout: bpy.props.IntProperty(
        name="Time limit", description="Minutes after which a generation is stopped", default=60, min=1, max=24 * 60
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Rows in the preferences' window."""
        column = self.layout.column()
        for name in ("executable", "output", "timeout"):
            column.prop(self, name)


def preferences(context: bpy.types.Context) -> Any:
    """The preferences of the enabled extension."""
    return context.preferences.addons[__package__].preferences


def output_folder(context: bpy.types.Context) -> Path:
    """Where new batches go; created if it is the extension's own folder."""
    chosen = preferences(context).output
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(__package__, path=BATCHES, create=True))


CLASSES = (HgsPreferences,)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
