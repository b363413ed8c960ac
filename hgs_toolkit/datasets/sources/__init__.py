"""Posed images in other programs' formats, recognised by the names of their files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hgs_toolkit.datasets.images import unread_images
from hgs_toolkit.datasets.label_kinds import LABEL_FILE, says_cameras
from hgs_toolkit.datasets.sources.bare import POSE_KINDS, AssumedPoses, read_bare
from hgs_toolkit.datasets.sources.cameras_json import CAMERAS_JSON, read_cameras_json
from hgs_toolkit.datasets.sources.colmap import CAMERAS, FILES, IMAGES, read_colmap
from hgs_toolkit.datasets.sources.photographs import Scene
from hgs_toolkit.datasets.sources.transforms import is_transforms, read_transforms
from hgs_toolkit.datasets.storage import FileStore, open_store
from hgs_toolkit.errors import DataError

logger = logging.getLogger(__name__)

Read = Callable[[FileStore, Sequence[str], FileStore | None, list[str] | None], list[Scene]]
"""From a store, its camera files, the store of the images (None: the same) and a list for problems to scenes."""


@dataclass(frozen=True)
class SourceFormat:
    """One row of the table of sources with cameras.

    Attributes:
        kind: name of the format, as ``hgs dataset convert --from`` takes it.
        expected: the files that it consists of, for messages.
        owns: whether a file of this name belongs to it.
        read: its scenes.
    """

    kind: str
    expected: str
    owns: Callable[[str], bool]
    read: Read


def _base(*names: str) -> Callable[[str], bool]:
    """Whether a file is called one of ``names``, in whatever folder."""
    return lambda name: PurePosixPath(name).name in names


SOURCES = (
    SourceFormat("transforms", "transforms.json", is_transforms, read_transforms),
    SourceFormat(
        "cameras", CAMERAS_JSON, _base(CAMERAS_JSON),
        lambda store, files, images, problems: [read_cameras_json(store, file, images, problems) for file in files],
    ),
    SourceFormat(
        "colmap", f"{CAMERAS} with {IMAGES} (or .bin)", _base(*FILES),
        lambda store, files, images, problems: [
            read_colmap(store, folder, images, problems)
            for folder in sorted({PurePosixPath(file).parent.as_posix() for file in files})
        ],
    ),
)  # fmt: skip
"""Sources that bring their cameras; a new one is a file with its reader and a row here."""

KINDS = (*(source.kind for source in SOURCES), "bare")

OTHER_CAMERAS = (".xml", ".csv", ".xmp", ".nvm", ".out")
"""Suffixes of camera files that are not read: those of Agisoft Metashape, RealityCapture, VisualSFM and Bundler."""

ASSUME = f"for images without cameras choose the distribution of their poses: --law {', '.join(POSE_KINDS)}"
"""What to do with images whose cameras are unknown."""

CAMERA_SUFFIXES = (".json", ".txt", ".bin")
"""Suffixes of files that can be named in place of their folder."""


def read_scenes(
    path: str | Path,
    kind: str = "auto",
    images: str | Path | None = None,
    assumed: AssumedPoses | None = None,
    problems: list[str] | None = None,
) -> list[Scene]:
    """The scenes of a folder, a zip archive or one camera file; no pixel is decoded.

    Args:
        kind: one of KINDS, or ``auto``.
        images: folder or archive of the images, if not in ``path``.
        assumed: the poses of images without cameras; only for ``bare``.
        problems: takes what is wrong with images that are left out; None raises it.

    Raises:
        DataError: naming the file that is broken, missing or of no known kind.
    """
    path = Path(path)
    if kind not in ("auto", *KINDS):
        raise DataError(f"the kind is '{kind}'; expected auto, {', '.join(KINDS)}")
    one_file = path.is_file() and path.suffix.lower() in CAMERA_SUFFIXES
    store = open_store(path.parent if one_file else path)
    image_store = open_store(images) if images is not None else None
    names = [path.name] if one_file else store.names
    files = {source.kind: [name for name in names if source.owns(name)] for source in SOURCES}
    if kind == "auto":
        kind = _tell(path, store, files, assumed)
    if assumed is not None and kind != "bare":
        raise DataError(
            f"{path} has cameras; assumed poses are for images without any: leave --law out, or add --from bare"
        )
    if kind == "bare":
        if assumed is None:
            raise DataError(f"{path}: {ASSUME}")
        scenes = [read_bare(image_store or store, assumed, problems)]
    else:
        source = next(source for source in SOURCES if source.kind == kind)
        if not files[kind]:
            raise DataError(f"{path} holds no {source.expected}; expected the format '{kind}'")
        scenes = source.read(store, files[kind], image_store, problems)
    scenes = [scene for scene in scenes if scene.photographs]
    if not scenes:
        reason = f": {problems[0]}" if problems else unread_images((image_store or store).names)
        raise DataError(f"{path} holds no usable image{reason}")
    return scenes


def _tell(path: Path, store: FileStore, files: Mapping[str, Sequence[str]], assumed: AssumedPoses | None) -> str:
    """The kind of a source that was not named."""
    found = [kind for kind, names in files.items() if names]
    if len(found) == 1:
        return found[0]
    if set(found) == {"transforms", "colmap"} and _lie_below(files["colmap"], files["transforms"]):
        logger.info("%s: %s is read; the COLMAP model is what it was made of", path, files["transforms"][0])
        return "transforms"
    if found:
        names = " and ".join(files[kind][0] for kind in found)
        raise DataError(f"{path} holds {names}; say which to read: --from {' or '.join(found)}")
    if LABEL_FILE in store.names and says_cameras(store):
        raise DataError(f"{path} has a {LABEL_FILE} already: hgs dataset check says whether it can be trained on")
    if assumed is None:
        expected = ", ".join(source.expected for source in SOURCES)
        raise DataError(f"{path} holds no {expected}{_other_cameras(store.names)}; {ASSUME}")
    return "bare"


def _lie_below(files: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each of ``files`` lies in the folder of one of ``others`` or below: nerfstudio keeps its model so."""
    folders = {PurePosixPath(other).parent for other in others}
    return all(folders.intersection(PurePosixPath(file).parents) for file in files)


def _other_cameras(names: Sequence[str]) -> str:
    """What to add to a message that cameras are missing: the first camera file of another program."""
    found = next((name for name in names if name.lower().endswith(OTHER_CAMERAS)), None)
    return f"; if {found} has the cameras, export them again as a COLMAP model in text" if found else ""
