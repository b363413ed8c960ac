# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame sequences: an object whose Gaussians are those of a numbered file, another one in every frame.

A handler reads the frame's file into the object's data whenever the frame changes, in the viewport and in renders; it
needs the extension, unlike a morph. What it needs to know stands in properties of the object, so it survives saving.
"""

from __future__ import annotations

import logging
from pathlib import Path

import bpy

from ..compat import has_point_clouds, resize
from ..core.files.read_glb import NoSplatsError
from ..core.files.reading import READERS, ImportRefused, read_splats
from ..core.numbered import BOUNCE, HOLD, LOOP, frame_index, list_frames
from ..data import fill, is_splats
from ..typed import ImportHelper, Outcome, SplatData, SplatObject, present
from .importing import import_file

logger = logging.getLogger(__name__)

FOLDER, START, HELD, MODE, SHOWN = "hgs_sequence", "hgs_start", "hgs_hold", "hgs_mode", "hgs_shown"
"""Properties of an object that plays a sequence; SHOWN names the file whose Gaussians it has."""


def play(context: bpy.types.Context, folder: Path, *, start: int = 1, hold: int = 1, mode: str = HOLD) -> SplatObject:
    """A new object that plays the splat files of ``folder``; it shows the current frame's.

    Raises:
        ImportRefused: if there is none, or the first one is broken.
    """
    files = list_frames(folder)
    if not files:
        raise ImportRefused(f"{folder} has no splat files ({', '.join(READERS)})")
    obj = import_file(context, files[0])
    obj.name = folder.name
    obj[FOLDER], obj[START], obj[HELD], obj[MODE], obj[SHOWN] = str(folder), start, hold, mode, files[0].name
    show_frame(obj, present(context.scene).frame_current)
    return obj


def show_frame(obj: SplatObject, frame: int) -> None:
    """Give ``obj`` the Gaussians of ``frame``.

    Raises:
        ImportRefused: if the file is gone, broken, or has another number of Gaussians than the object.
    """
    folder = Path(bpy.path.abspath(obj[FOLDER]))
    try:
        files = list_frames(folder)
    except OSError as error:
        raise ImportRefused(f"cannot read {folder}: {error.strerror}") from error
    if not files:
        raise ImportRefused(f"{folder} has no splat files any more")
    path = files[frame_index(frame, len(files), start=obj[START], hold=max(1, obj[HELD]), mode=obj[MODE])]
    if path.name == obj[SHOWN]:
        return
    try:
        splats = read_splats(path)
    except NoSplatsError as error:
        raise ImportRefused(str(error)) from error
    _resize(obj.data, len(splats), path)
    fill(obj.data, splats)
    obj[SHOWN] = path.name


def _resize(data: SplatData, count: int, path: Path) -> None:
    """Make room for ``count`` Gaussians."""
    have = data.attributes.domain_size("POINT")
    if have == count:
        return
    if isinstance(data, bpy.types.Mesh):
        data.clear_geometry()
        data.vertices.add(count)
    elif has_point_clouds():
        resize(data, count)
    else:
        raise ImportRefused(f"{path.name} has {count} Gaussians, the object {have}")


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]  # the stubs have it without types
def on_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """Called by Blender whenever the frame has changed; what is wrong is logged, the last image stays."""
    for obj in scene.objects:
        if obj.get(FOLDER) is not None and is_splats(obj):
            try:
                show_frame(obj, scene.frame_current)
            except ImportRefused as error:
                logger.warning("%s: %s", obj.name, error)


class HGS_OT_play_sequence(bpy.types.Operator, ImportHelper):
    """Play a folder of numbered splat files, one a frame."""

    bl_idname = "hgs.play_sequence"
    bl_label = "Import Sequence"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default=";".join(f"*{suffix}" for suffix in READERS), options={"HIDDEN"})
    start: bpy.props.IntProperty(name="First Frame", description="Frame that shows the first file", default=1)
    hold: bpy.props.IntProperty(name="Frames Each", description="Frames for which each file stays", default=1, min=1)
    mode: bpy.props.EnumProperty(
        name="Outside",
        items=(
            (HOLD, "Hold", "The first and the last file stay"),
            (LOOP, "Loop", "The sequence starts again"),
            (BOUNCE, "Bounce", "The sequence runs back and forth"),
        ),
        default=HOLD,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Import the sequence that the chosen file belongs to, or report why not."""
        path = Path(self.filepath)
        folder = path if path.is_dir() else path.parent
        try:
            play(context, folder, start=self.start, hold=self.hold, mode=self.mode)
        except (ImportRefused, NoSplatsError, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_play_sequence.bl_idname, text="Gaussian Splat Sequence")


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_play_sequence)
    bpy.types.TOPBAR_MT_file_import.append(_menu)
    bpy.app.handlers.frame_change_pre.append(on_frame)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.app.handlers.frame_change_pre.remove(on_frame)
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(HGS_OT_play_sequence)
