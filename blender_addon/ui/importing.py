# SPDX-License-Identifier: GPL-3.0-or-later
"""A splat file becomes an object of the scene: what the importer, the seeds browser and the player share."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..core.files.reading import read_splats
from ..core.splats import TURN_X, ZERO_ROWS, offset_of
from ..data import WORLD_OFFSET, is_splats, splat_data
from ..nodes.display import add_display
from ..typed import SplatObject, present

SEED = "hgs_seed"
"""Property of an object: the seed that its file names."""

SOURCE = "hgs_source"
"""Property of an object: the path of its file."""

LEFT_OUT = "hgs_left_out"
"""Property of an object: the number of rows of zeros of its file, which are no Gaussians."""


def import_file(context: bpy.types.Context, path: Path, frame: str | None = None) -> SplatObject:
    """Read ``path`` into a new object with its display, link it to the active collection and select it; the object.

    Args:
        frame: a key of TURN_X, for files whose axes are not those of their kind.

    Raises:
        ImportRefused: as :func:`~..core.reading.read_splats`.
        NoSplatsError: if it is a glTF file of ordinary meshes.
    """
    obj = new_object(path, frame)
    present(context.collection).objects.link(obj)
    for other in context.selected_objects:
        other.select_set(False)
    obj.select_set(True)
    present(context.view_layer).objects.active = obj
    return obj


def new_object(path: Path, frame: str | None = None) -> SplatObject:
    """Import as :func:`import_file` does, but leave the object out of every collection."""
    splats = read_splats(path)
    obj = bpy.data.objects.new(path.stem, splat_data(path.stem, splats))
    assert is_splats(obj)
    obj.rotation_euler.x = TURN_X[frame or splats.frame]
    obj[SOURCE] = str(path)
    if isinstance(splats.facts.get("seed"), int) and splats.facts["seed"] < 2**31:
        obj[SEED] = splats.facts["seed"]
    if (offset := offset_of(splats.facts)).any():
        obj[WORLD_OFFSET] = offset.tolist()
    if splats.facts.get(ZERO_ROWS):
        obj[LEFT_OUT] = splats.facts[ZERO_ROWS]
    add_display(obj)
    return obj


def remarks(obj: SplatObject) -> list[str]:
    """Sentences on what the import changed, for the user."""
    said = []
    if obj.get(WORLD_OFFSET) is not None:
        place = ", ".join(f"{value:.12g}" for value in obj[WORLD_OFFSET])
        said.append(f"{obj.name} lies far from the origin; its property {WORLD_OFFSET} keeps the offset ({place})")
    if obj.get(LEFT_OUT) is not None:
        said.append(f"{obj[LEFT_OUT]} rows of zeros in {obj.name} are no Gaussians and were left out")
    return said
