"""What a folder or archive brings: a finished set, images with cameras, meshes, or images alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from hgs_toolkit.datasets.eg3d import open_set
from hgs_toolkit.datasets.images import is_image
from hgs_toolkit.datasets.label_kinds import LABEL_FILE, says_cameras
from hgs_toolkit.datasets.meshes.library import ARCHIVE_SUFFIXES, MESH_SUFFIXES
from hgs_toolkit.datasets.sources import CAMERA_SUFFIXES, SOURCES
from hgs_toolkit.errors import DataError

DataKind = Literal["set", "cameras", "meshes", "images"]
"""``set``: the EG3D layout; ``cameras``: another program's images with cameras; ``meshes``; ``images`` alone, or
with the classes of a StyleGAN set."""


def recognise(path: str | Path) -> DataKind:
    """What ``path`` holds, told by the names of its files; textures beside meshes do not make it a set of images.

    Raises:
        DataError: if there is nothing at ``path``, or nothing that can be trained on.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() in CAMERA_SUFFIXES:
        return "cameras"
    store = open_set(path)
    names = store.names
    if LABEL_FILE in names and says_cameras(store):
        return "set"
    if any(source.owns(name) for source in SOURCES for name in names):
        return "cameras"
    suffixes = {PurePosixPath(name).suffix.lower() for name in names}
    if suffixes.intersection(MESH_SUFFIXES) or (path.is_dir() and suffixes.intersection(ARCHIVE_SUFFIXES)):
        return "meshes"
    if any(is_image(name) for name in names):
        return "images"
    raise DataError(
        f"{path} holds {len(names)} files, but no {LABEL_FILE}, no cameras, no mesh and no image; expected one of them"
    )
