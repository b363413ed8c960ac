# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Export > Gaussian splats: what a splat object shows, with everything that was done to it, as a .ply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..core.files.write_ply import write_ply
from ..core.splats import INDEX, TURN_X, ActivatedSplats, Array, SplatError
from ..core.transforming import kept, moved, parents_by_index
from ..data import active_splats, bare_transform, get_values, is_splats, raw_splats
from ..nodes.display import last_modifiers
from ..nodes.levels_nodes import HIDDEN
from ..typed import ExportHelper, Outcome, SplatData, SplatObject, present
from .transforms import WARNING


def shown_splats(context: bpy.types.Context, obj: SplatObject, frame: str) -> ActivatedSplats:
    """What ``obj`` shows, in the world's place, in the axes of ``frame``: modifiers, filters and transforms applied.

    Raises:
        SplatError: if it shows no Gaussian, is hidden or being edited, or its modifiers leave no Gaussians.
    """
    if obj.mode != "OBJECT":
        raise SplatError(f"{obj.name} is being edited; leave the edit mode first")
    if not obj.visible_get(view_layer=context.view_layer):  # Blender evaluates no modifiers of it
        raise SplatError(f"{obj.name} is hidden in the viewport; show it first")
    shown = [modifier for modifier in last_modifiers(obj) if modifier.show_viewport]
    for modifier in shown:  # cards, or without what is hidden, they are not the tree any more
        modifier.show_viewport = False
    try:
        evaluated = obj.evaluated_get(context.evaluated_depsgraph_get())
        if not is_splats(evaluated):
            raise SplatError(f"the modifiers of {obj.name} leave no Gaussians; move or remove those that make others")
        splats, keep = _read(evaluated.data)
        matrix = np.array(Matrix.Rotation(-TURN_X[frame], 4, "X") @ evaluated.matrix_world)
    finally:
        for modifier in shown:
            modifier.show_viewport = True
    if not keep.any():
        raise SplatError(f"{obj.name} shows no Gaussian: levels, filters or its crop box hide them all")
    splats.frame = frame
    return moved(kept(splats, keep), matrix)


def _read(data: SplatData) -> tuple[ActivatedSplats, Array]:
    """The Gaussians of evaluated data, and which of them are shown."""
    splats = raw_splats(data)
    if splats.level is not None and splats.parent is not None:
        index = get_values(data, INDEX) if INDEX in data.attributes else np.arange(len(splats))
        splats.parent = parents_by_index(splats.level, splats.parent, index)
    keep = np.ones(len(splats), bool)
    if HIDDEN in data.attributes:
        hidden = np.empty(len(splats), bool)
        marks: Any = data.attributes[HIDDEN]
        marks.data.foreach_get("value", hidden)
        keep = ~hidden
    return splats, keep


class HGS_OT_export_splats(bpy.types.Operator, ExportHelper):
    """Export the active splat object as it is shown: edits, levels, filters and transforms applied."""

    bl_idname = "hgs.export_splats"
    bl_label = "Export Splats"

    filename_ext = ".ply"
    filter_glob: bpy.props.StringProperty(default="*.ply", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    frame: bpy.props.EnumProperty(
        name="Axes",
        items=(
            ("rdf", "Y Down", "As 3D-GS files have them; what other programs expect"),
            ("y_up", "Y Up", "As .hgs and glTF files have them"),
        ),
        default="rdf",
    )

    replace: bpy.props.BoolProperty(
        name="Overwrite", description="Write over a file of this name", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object must be active."""
        return is_splats(context.object)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Write the file, or report why not."""
        path = Path(self.filepath)
        try:
            splats = shown_splats(context, active_splats(context), self.frame)
            write_ply(path, splats, replace=self.replace)
        except (SplatError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except OSError as error:
            self.report({"ERROR"}, f"cannot write {path}: {error.strerror}")
            return {"CANCELLED"}
        if bare_transform(active_splats(context).data) is not None:
            self.report({"WARNING"}, f"{active_splats(context).name}: {WARNING}")
        self.report({"INFO"}, f"{len(splats):,} Gaussians written to {path.name}")
        return {"FINISHED"}


def _menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_export_splats.bl_idname, text="Gaussian Splats (.ply)")


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_export_splats)
    bpy.types.TOPBAR_MT_file_export.append(_menu)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.types.TOPBAR_MT_file_export.remove(_menu)
    bpy.utils.unregister_class(HGS_OT_export_splats)
