"""Posed images in other programs' formats, told apart by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from hgs_toolkit.datasets.eg3d import LABEL_FILE
from hgs_toolkit.datasets.sources.bare import POSE_KINDS, AssumedPoses, read_bare
from hgs_toolkit.datasets.sources.cameras_json import CAMERAS_JSON, read_cameras_json
from hgs_toolkit.datasets.sources.colmap import CAMERAS, FILES, IMAGES, read_colmap
from hgs_toolkit.datasets.sources.photographs import Scene
from hgs_toolkit.datasets.sources.transforms import is_transforms, read_transforms
from hgs_toolkit.datasets.storage import FileStore, open_store
from hgs_toolkit.errors import DataError

WANTED = {"transforms": "transforms.json", "cameras": CAMERAS_JSON, "colmap": f"{CAMERAS} with {IMAGES} (or .bin)"}
KINDS = (*WANTED, "bare")

CAMERA_SUFFIXES = (".json", ".txt", ".bin")
"""Of files that can be named in place of their folder."""


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
    files = _camera_files([path.name] if one_file else store.names)
    if kind == "auto":
        kind = _tell(path, store, files, assumed)
    if assumed is not None and kind != "bare":
        raise DataError(
            f"{path} has cameras; assumed poses are for images without any: leave --law out, or add --from bare"
        )
    if kind != "bare" and not files[kind]:
        raise DataError(f"{path} holds no {WANTED[kind]}; expected the format '{kind}'")
    if kind == "transforms":
        scenes = read_transforms(store, files[kind], image_store, problems)
    elif kind == "cameras":
        scenes = [read_cameras_json(store, file, image_store, problems) for file in files[kind]]
    elif kind == "colmap":
        folders = sorted({PurePosixPath(file).parent.as_posix() for file in files[kind]})
        scenes = [read_colmap(store, folder, image_store, problems) for folder in folders]
    else:
        assert assumed is not None
        scenes = [read_bare(image_store or store, assumed, problems)]
    scenes = [scene for scene in scenes if scene.photographs]
    if not scenes:
        raise DataError(f"{path} holds no usable image" + (f": {problems[0]}" if problems else ""))
    return scenes


def _camera_files(names: Sequence[str]) -> dict[str, list[str]]:
    """The camera files among ``names`` by kind."""
    return {
        "transforms": [name for name in names if is_transforms(name)],
        "cameras": [name for name in names if PurePosixPath(name).name == CAMERAS_JSON],
        "colmap": [name for name in names if PurePosixPath(name).name in FILES],
    }


def _tell(path: Path, store: FileStore, files: Mapping[str, Sequence[str]], assumed: AssumedPoses | None) -> str:
    """The kind of a source that was not named."""
    found = [kind for kind, names in files.items() if names]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(files[kind][0] for kind in found)
        raise DataError(f"{path} holds {names}; say which to read: --from {' or '.join(found)}")
    if LABEL_FILE in store.names:
        raise DataError(f"{path} has a {LABEL_FILE} already: hgs dataset check says whether it can be trained on")
    if assumed is None:
        raise DataError(
            f"{path} holds no {', '.join(WANTED.values())}; for images without cameras choose the "
            f"distribution of their poses: --law {', '.join(POSE_KINDS)}"
        )
    return "bare"
