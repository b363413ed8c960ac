# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Export > Gaussian Splats: what a splat object shows, with everything that was done to it, as a file."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..core.files.writing import WRITERS, frame_for, write_splats
from ..core.saving import FileExists
from ..core.splats import SplatError
from ..data import BARE_WARNING, WORLD_OFFSET, active_splats, bare_transform, is_splats
from ..edits.shown import shown_splats
from ..typed import ExportHelper, Outcome, SplatObject, present

KINDS = (
    (".ply", "3D-GS (.ply)", "Levels and parents as extra columns; opens in every program for splats"),
    (".hgs", "HGS Toolkit (.hgs)", "Exact, with levels and parents"),
    (".spz", "Niantic (.spz)", "10 to 20 bytes a Gaussian, rounded, without levels"),
    (".glb", "glTF (.glb)", "KHR_gaussian_splatting, with levels and parents"),
)


def frames_of(scene: bpy.types.Scene, path: Path) -> dict[int, Path]:
    """The file of each frame of the scene's range: ``NAME_0001.ply`` and so on beside ``path``."""
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    return {frame: path.with_name(f"{path.stem}_{frame:04d}{path.suffix}") for frame in frames}


class HGS_OT_export_splats(bpy.types.Operator, ExportHelper):
    """Export the active splat object as it is shown: edits, levels, filters and transforms applied."""

    bl_idname = "hgs.export_splats"
    bl_label = "Export Splats"

    filename_ext = ""
    filter_glob: bpy.props.StringProperty(default=";".join(f"*{suffix}" for suffix in WRITERS), options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    kind: bpy.props.EnumProperty(
        name="Format", description="Kind of the file; scripts choose it by the suffix", items=KINDS, default=".ply"
    )
    frame: bpy.props.EnumProperty(
        name="Axes",
        description="Axes of a .ply; all other kinds have y up",
        items=(
            ("rdf", "Y Down", "As 3D-GS files have them; what other programs expect"),
            ("y_up", "Y Up", "As .hgs and glTF files have them"),
        ),
        default="rdf",
    )
    animation: bpy.props.BoolProperty(
        name="Every Frame",
        description="Write NAME_0001 and so on, one file for each frame of the scene; Import Sequence plays them",
        options={"SKIP_SAVE"},
    )
    replace: bpy.props.BoolProperty(
        name="Overwrite", description="Write over a file of this name", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object must be active."""
        return is_splats(context.object)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Ask for a file that is named like the object."""
        if not self.filepath:
            self.filepath = bpy.path.clean_name(active_splats(context).name) + self.kind
        return ExportHelper.invoke(self, context, event)

    def check(self, context: bpy.types.Context) -> bool:
        """Let the file's suffix follow the chosen kind, while files are browsed."""
        named = Path(self.filepath)
        path = str(named.with_suffix(self.kind)) if named.suffix.lower() in WRITERS else f"{named}{self.kind}"
        changed = bool(named.name) and path != self.filepath
        if changed:
            self.filepath = path
        return changed

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Write the file, or one a frame, or report why not."""
        path, obj, scene = Path(self.filepath), active_splats(context), present(context.scene)
        try:
            frame = frame_for(path, self.frame)
            if self.animation:
                count = self._write_frames(context, obj, frames_of(scene, path), frame)
                self.report({"INFO"}, f"{count} frames written beside {path.name}")
            else:
                splats = shown_splats(context, obj, frame)
                write_splats(path, splats, replace=self.replace)
                self.report({"INFO"}, f"{len(splats):,} Gaussians written to {path.name}")
        except (SplatError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except OSError as error:
            self.report({"ERROR"}, f"cannot write {path}: {error.strerror}")
            return {"CANCELLED"}
        if obj.get(WORLD_OFFSET) is not None and path.suffix.lower() == ".spz":
            self.report({"WARNING"}, f"{obj.name}: .spz cannot hold its offset; the coordinates stay relative to it")
        if bare_transform(obj.data) is not None:
            self.report({"WARNING"}, f"{obj.name}: {BARE_WARNING}")
        return {"FINISHED"}

    def _write_frames(
        self, context: bpy.types.Context, obj: SplatObject, files: dict[int, Path], frame: str
    ) -> int:  # fmt: skip
        """Write one file for each frame of the scene, which afterwards stands where it stood."""
        for file in files.values():
            if file.exists() and not self.replace:  # said before the first of many is written
                raise FileExists(f"{file.name} exists already; switch 'Overwrite' on or choose another name")
        scene, manager = present(context.scene), present(context.window_manager)
        now = scene.frame_current, scene.frame_subframe
        manager.progress_begin(0, len(files))
        try:
            for done, (number, file) in enumerate(files.items()):
                manager.progress_update(done)
                scene.frame_set(number)
                write_splats(file, shown_splats(context, obj, frame), replace=self.replace)
        finally:
            manager.progress_end()
            scene.frame_set(now[0], subframe=now[1])
        return len(files)


def _menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_export_splats.bl_idname, text=f"Gaussian Splats ({', '.join(WRITERS)})")


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_export_splats)
    bpy.types.TOPBAR_MT_file_export.append(_menu)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.types.TOPBAR_MT_file_export.remove(_menu)
    bpy.utils.unregister_class(HGS_OT_export_splats)
