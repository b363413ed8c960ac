"""Writing posed images in the EG3D layout, one by one, to a zip archive or a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.cameras import LABEL_SIZE
from hgs_toolkit.datasets.classes import CLASSES, ClassLabel, classes_entry
from hgs_toolkit.datasets.images import Pixels, encode_png
from hgs_toolkit.datasets.label_kinds import LABEL_FILE
from hgs_toolkit.errors import DataError, HgsError, ShapeError
from hgs_toolkit.files import atomic_path, make_folder, refuse_overwrite

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip entry can carry; a fixed one keeps equal content equal in bytes."""

FOLDER_SIZE = 1000
"""Images per subfolder."""


class EG3DWriter:
    """Streams images and labels to ``put(name, bytes)``; made by :func:`open_writer`. Only labels stay in memory.

    Attributes:
        facts: further entries of dataset.json, of which readers of the layout take no notice.
        class_names: names of the numbers of a class vector; empty for a set without classes.
    """

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self.facts: dict[str, Any] = {}
        self.class_names: Sequence[str] = ()
        self._put = put
        self._classes: list[ClassLabel] = []
        self._labels: list[tuple[str, list[float]]] = []

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, image: Pixels | bytes, label: npt.ArrayLike, kind: ClassLabel | None = None) -> str:
        """Append an image, (H, W, 3 | 4) pixels or a PNG file's bytes, with its label (25,); returns its name.

        ``kind`` is its class, a number or a vector, in a set with :attr:`class_names`.
        The label is stored as the shortest decimals that give the same float32 numbers again.
        """
        values = np.asarray(label, dtype=np.float32)
        if values.shape != (LABEL_SIZE,) or not np.isfinite(values).all():
            raise ShapeError(f"a label of shape {values.shape}; expected {LABEL_SIZE} finite numbers")
        index = len(self._labels)
        name = image_name(index)
        self._put(name, image if isinstance(image, bytes) else encode_png(image))
        self._labels.append((name, [float(str(value)) for value in values + np.float32(0)]))  # + 0 turns -0 into 0
        if kind is not None:
            self._classes.append(kind)
        return name

    def finish(self) -> None:
        """Write the labels; :func:`open_writer` calls it."""
        labels = [[name, label] for name, label in self._labels]
        if self.class_names:
            if len(self._classes) != len(labels):
                raise ShapeError(f"{len(self._classes)} classes for {len(labels)} images; expected one for each")
            self.facts[CLASSES] = classes_entry(self.class_names, [name for name, _ in self._labels], self._classes)
        self._put(LABEL_FILE, json.dumps({"labels": labels} | self.facts, separators=(",", ":")).encode())


def image_name(index: int) -> str:
    """Relative path of a set's image number ``index``."""
    return f"{index // FOLDER_SIZE:05d}/img{index:08d}.png"


@contextmanager
def open_writer(path: str | Path, *, force: bool = False) -> Iterator[EG3DWriter]:
    """A writer of the dataset ``path``: a zip archive if it ends in ``.zip``, else a folder.

    Nothing appears at ``path`` before the block ends without an error. The same content gives the same bytes,
    whenever it is written.

    Raises:
        HgsError: if ``path`` exists and not ``force``, is a folder that holds something else than a dataset, or
            cannot be written.
    """
    path = Path(path)
    open_target = open_zip if path.suffix.lower() == ".zip" else _open_folder
    with open_target(path, force) as put:
        writer = EG3DWriter(put)
        yield writer
        writer.finish()


@contextmanager
def open_zip(path: Path, force: bool) -> Iterator[Callable[[str, bytes], None]]:
    """``put(name, bytes)`` of a zip archive that appears at the end; equal content gives equal bytes."""
    with atomic_path(path, force=force) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:

        def put(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix on every system: equal bytes
            archive.writestr(entry, data)

        yield put


@contextmanager
def _open_folder(path: Path, force: bool) -> Iterator[Callable[[str, bytes], None]]:
    """A temporary folder beside ``path``, renamed over it at the end; the old one goes only after that."""
    _refuse_folder(path, force)
    try:
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=make_folder(path.absolute().parent)) as name:
            fresh, old = make_folder(Path(name) / "fresh"), Path(name) / "old"

            def put(name: str, data: bytes) -> None:
                file = fresh / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)

            yield put
            try:
                if path.exists():
                    path.rename(old)
                fresh.rename(path)
            except BaseException:  # between the two an interrupt would take both sets away with the temporary folder
                if old.exists() and not path.exists():
                    old.rename(path)
                raise
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise HgsError(f"cannot write {path}: {error.strerror}; choose another name") from error


def _refuse_folder(path: Path, force: bool) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    refuse_overwrite(path, force=force)
    if path.exists() and not (path / LABEL_FILE).is_file():
        raise DataError(f"{path} holds something else than a dataset and is left alone; choose another name")


def refuse_nested(path: Path, out: Path) -> None:
    """Raise a DataError if the set ``out`` would lie in ``path`` or around it.

    A folder written into another would become part of it, and one written around it takes it away.
    """
    inner, outer = path.resolve(), out.resolve()
    if inner in outer.parents and out.suffix.lower() != ".zip":
        raise DataError(f"{out} lies in {path}, whose images it would join; choose another name")
    if outer in inner.parents:
        raise DataError(f"{path} lies in {out}, which would be replaced; choose another name")


def refuse_within(path: Path, out: Path) -> None:
    """As :func:`refuse_nested`, and where ``out`` is ``path`` itself: the originals would be gone."""
    if path.resolve() == out.resolve():
        raise DataError(f"{out} is what the set is made of, and would be replaced; choose another name")
    refuse_nested(path, out)
