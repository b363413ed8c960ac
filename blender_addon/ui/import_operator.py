# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > Gaussian splats, and files that are dropped into the viewport."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..core.files.read_glb import NoSplatsError
from ..core.files.reading import READERS, ImportRefused
from ..typed import ImportHelper, Outcome, present
from .importing import import_file, remarks

AUTO = "AUTO"


class HGS_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Import Gaussian splats with their levels, parents and harmonics."""

    bl_idname = "hgs.import_splats"
    bl_label = "Import Splats"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default=";".join(f"*{suffix}" for suffix in READERS), options={"HIDDEN"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    axes: bpy.props.EnumProperty(
        name="Axes",
        description="How the file's axes lie; the object is turned upright by them, its data stay as they are",
        items=(
            (AUTO, "Automatic", "What is usual for the kind of file, or what the file says"),
            ("rdf", "Y Down", "As in COLMAP and most 3D-GS files"),
            ("y_up", "Y Up", "As in glTF"),
            ("z_up", "Z Up", "As in Blender"),
        ),
        default=AUTO,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Import every chosen file; report those that cannot be."""
        done = 0
        for path in self._paths():
            try:
                self._import(context, path)
                done += 1
            except ImportRefused as error:
                self.report({"ERROR"}, str(error))
        if not done:
            return {"CANCELLED"}
        self.report({"INFO"}, f"Imported {done} of {len(self._paths())}; HGS > View Exactly shows splats as trained")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Files that were dropped are there already; otherwise ask for some."""
        if self.files and self.directory:
            return self.execute(context)
        return ImportHelper.invoke(self, context, event)

    def _paths(self) -> list[Path]:
        # Only the last part of a name: what is dropped lies in the folder.
        names = [Path(each.name).name for each in self.files if each.name]
        return [Path(self.directory) / name for name in names] or [Path(self.filepath)]

    def _import(self, context: bpy.types.Context, path: Path) -> None:
        try:
            for remark in remarks(import_file(context, path, None if self.axes == AUTO else self.axes)):
                self.report({"WARNING"}, remark)
        except NoSplatsError:  # a mesh, such as hgs mesh writes: Blender reads it
            try:
                bpy.ops.import_scene.gltf(filepath=str(path))
            except (AttributeError, RuntimeError) as error:  # a report, a failure within it, or it is disabled
                reason = str(error).strip().splitlines()[-1:]
                raise ImportRefused(f"{path.name}: Blender's glTF importer refuses it: {''.join(reason)}") from error


class HGS_FH_splats(bpy.types.FileHandler):
    """Splat files dropped into the viewport."""

    bl_idname = "HGS_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = HGS_OT_import_splats.bl_idname
    bl_file_extensions = ";".join(READERS)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Only where objects can appear."""
        return context.area is not None and context.area.type == "VIEW_3D"


def _menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_import_splats.bl_idname, text=f"Gaussian Splats ({', '.join(READERS)})")


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_import_splats)
    bpy.utils.register_class(HGS_FH_splats)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(HGS_FH_splats)
    bpy.utils.unregister_class(HGS_OT_import_splats)
