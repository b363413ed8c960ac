# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of seeds as an asset library: a .blend whose objects the Asset Browser shows with their images."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..core.catalogs import add_catalog
from ..core.files.reading import ImportRefused
from ..core.saving import FileExists, whole_file
from ..core.toolkit.batches import Batch, BatchError
from ..typed import ExportHelper, Outcome, SplatObject, present
from .importing import new_object
from .seeds import SETTINGS, open_browser

TAGS = ("gaussian splats", "hgs")


def write_library(
    context: bpy.types.Context, path: Path, batch: Batch, *, author: str = "", replace: bool = False
) -> int:
    """Write every scene of ``batch`` that has a file to import into the .blend ``path``, as an asset; how many.

    The scene at hand stays as it is.

    Raises:
        BatchError: if no scene has a file to import.
        ImportRefused: if a file is broken.
        FileExists: if ``path`` exists and ``replace`` is off.
        OSError: if a file cannot be written.
    """
    objects: list[SplatObject] = []
    try:
        catalog = add_catalog(path.parent, batch.folder.name)
        for scene in batch.scenes:
            if scene.asset is None:
                continue
            obj = new_object(scene.asset)
            objects.append(obj)
            obj.name = obj.data.name = f"{batch.folder.name} seed {scene.seed}"
            _mark(context, obj, catalog, author, batch, scene.thumbnail)
        if not objects:
            raise BatchError("this batch has no files to import; make it anew with --save hgs,png")
        with whole_file(path, replace=replace) as temporary:
            bpy.data.libraries.write(str(temporary), set(objects), fake_user=True, compress=True)
    finally:
        for obj in objects:
            data = obj.data
            bpy.data.objects.remove(obj)
            bpy.data.batch_remove([data])
    return len(objects)


def _mark(
    context: bpy.types.Context, obj: SplatObject, catalog: str, author: str, batch: Batch, thumbnail: Path | None
) -> None:
    """Make an object an asset: catalogue, author, tags, description, preview."""
    obj.asset_mark()
    asset = present(obj.asset_data)
    asset.catalog_id, asset.author = catalog, author
    asset.description = f"{obj.data.attributes.domain_size('POINT'):,} Gaussians"
    asset.description += f", made by {batch.generator}" if batch.generator else ""
    for tag in TAGS:
        asset.tags.new(tag, skip_if_exists=True)
    if thumbnail is not None:
        with context.temp_override(id=obj):
            bpy.ops.ed.lib_id_load_custom_preview(filepath=str(thumbnail))


def register_library(context: bpy.types.Context, folder: Path) -> None:
    """Let the Asset Browser know ``folder``, unless it lies in a library that it knows."""
    libraries = present(context.preferences).filepaths.asset_libraries
    known = [Path(bpy.path.abspath(each.path)).resolve() for each in libraries if each.path]
    if not any(folder.resolve().is_relative_to(each) for each in known):
        libraries.new(name=folder.name, directory=str(folder))


class HGS_OT_write_assets(bpy.types.Operator, ExportHelper):
    """Write all seeds of the batch into a .blend for the Asset Browser, with previews, tags and a catalogue."""

    bl_idname = "hgs.write_assets"
    bl_label = "Write Asset Library"

    filename_ext = ".blend"
    filter_glob: bpy.props.StringProperty(default="*.blend", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    author: bpy.props.StringProperty(name="Author", description="Stands in every asset")
    show: bpy.props.BoolProperty(
        name="Add to Asset Browser", description="Add the folder to the asset libraries of the preferences",
        default=True,
    )  # fmt: skip
    replace: bpy.props.BoolProperty(
        name="Overwrite", description="Write over a file of this name", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Write it, or report why not."""
        path, opened = Path(self.filepath).with_suffix(".blend"), open_browser(SETTINGS.of(context.scene))
        try:
            count = write_library(context, path, opened.present_batch(), author=self.author, replace=self.replace)
        except (BatchError, ImportRefused, FileExists) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except (OSError, RuntimeError) as error:
            self.report({"ERROR"}, f"cannot write {path}: {error}")
            return {"CANCELLED"}
        if self.show:
            register_library(context, path.parent)
        self.report({"INFO"}, f"{count} assets written to {path.name}")
        return {"FINISHED"}


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_write_assets)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.utils.unregister_class(HGS_OT_write_assets)
