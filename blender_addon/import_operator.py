# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > Gaussian splats."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from .importing import READERS, ImportRefused, import_file


class HGS_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Import Gaussian splats with their levels, parents and harmonics."""

    bl_idname = "hgs.import_splats"
    bl_label = "Import Splats"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default=";".join(f"*{suffix}" for suffix in READERS), options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Import, or report why not."""
        try:
            import_file(context, Path(self.filepath))
        except ImportRefused as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator(HGS_OT_import_splats.bl_idname, text="Gaussian Splats (.hgs, .ply)")


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_import_splats)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(HGS_OT_import_splats)
