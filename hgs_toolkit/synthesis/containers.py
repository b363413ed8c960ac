"""Where a shard's files go: a tar file, a zip archive or a folder, written front to back and renamed at the end.

Equal files give equal bytes: no times, owners or orders of a folder get in. What computers leave in folders
(``.DS_Store`` and the like) is no part of a shard.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath

from hgs_toolkit.datasets.eg3d_writer import open_zip
from hgs_toolkit.datasets.storage import is_clutter
from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.files import atomic_path, make_folder, sha256

Put = Callable[[str, bytes], None]
"""Appends a file: its relative name with forward slashes, its content."""

Files = Iterator[tuple[str, bytes]]

MAX_FILE_BYTES = 1 << 30
"""Size of the largest file that is read back from a shard, bytes."""

TEMPORARY = ".tmp-"
"""Prefix of the names of unfinished files and folders."""


@contextmanager
def _create_zip(path: Path) -> Iterator[Put]:
    with open_zip(path, True) as put:
        yield put


@contextmanager
def _create_tar(path: Path) -> Iterator[Put]:
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:

        def put(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)  # its defaults: time 0, owner 0, mode 644
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))

        yield put


@contextmanager
def _create_folder(path: Path) -> Iterator[Put]:
    """A temporary folder beside ``path``; what is at ``path`` was left by a run that was stopped, and goes."""
    make_folder(path.parent)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, suffix="-" + path.name, dir=path.parent))
        made = {temporary}

        def put(name: str, data: bytes) -> None:
            file = temporary / name
            if file.parent not in made:
                file.parent.mkdir(parents=True, exist_ok=True)
                made.add(file.parent)
            file.write_bytes(data)

        try:
            yield put
            temporary.chmod(path.parent.stat().st_mode)
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise HgsError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error


def _read_zip(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_size(path, info.filename, info.file_size)
            yield info.filename, archive.read(info)


def _read_tar(path: Path) -> Files:
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            _check_size(path, entry.name, entry.size)
            file = archive.extractfile(entry)
            if file is None:
                raise DataError(f"{path} holds {entry.name}, which is not a file")
            yield entry.name, file.read()


def _read_folder(path: Path) -> Files:
    for name in names_in(path):
        _check_size(path, name, (path / name).stat().st_size)
        yield name, (path / name).read_bytes()


def names_in(path: Path) -> list[str]:
    """Files of a folder and the folders in it, sorted, with forward slashes; not those that a computer added."""
    found = [Path(root, name) for root, _, files in os.walk(path) for name in files]
    names = sorted(file.relative_to(path).as_posix() for file in found)
    return [name for name in names if not is_clutter(name)]


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(f"{path} holds {name} of {size:,} bytes; expected at most {MAX_FILE_BYTES:,}")


_CREATE: dict[str, Callable[[Path], AbstractContextManager[Put]]] = {
    ".tar": _create_tar,
    ".zip": _create_zip,
    "": _create_folder,
}
_READ: dict[str, Callable[[Path], Files]] = {".tar": _read_tar, ".zip": _read_zip, "": _read_folder}


def create(path: Path) -> AbstractContextManager[Put]:
    """A new tar, zip or folder (by suffix) that appears complete when the block ends without an error.

    Raises:
        HgsError: if it cannot be written; nothing remains of it then.
    """
    return _CREATE[path.suffix](path)


def read(path: Path) -> Files:
    """Names and contents of everything in a container, in its order.

    Raises:
        DataError: if it cannot be read, or a file in it is too large to be one of ours.
    """
    try:
        yield from _READ[path.suffix](path)
    except (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {path}: {error}") from error


def measure(path: Path, own: Container[str] | None = None) -> tuple[int, str]:
    """Bytes and SHA-256 of a container; a folder's is that of the list of its files' names, sizes and hashes.

    Args:
        own: names of the files of a folder that count; None counts all.
    """
    if not path.is_dir():
        return path.stat().st_size, sha256(path)
    total, size = hashlib.sha256(), 0
    for name in names_in(path):
        if own is not None and name not in own:
            continue
        bytes_ = (path / name).stat().st_size
        total.update(f"{name}\0{bytes_}\0{sha256(path / name)}\n".encode())
        size += bytes_
    return size, total.hexdigest()


def size_of(path: Path, own: Iterable[str] | None = None) -> int:
    """Bytes of a container's files, without reading them; -1 if it is not there, or a file of it.

    Args:
        own: names of the files of a folder that count; None counts all.
    """
    if path.is_dir():
        try:
            return sum((path / name).stat().st_size for name in (names_in(path) if own is None else own))
        except OSError:
            return -1
    return path.stat().st_size if path.is_file() else -1


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what a killed writer of ``name`` (of anything) left in ``folder``."""
    for path in folder.glob(f"{TEMPORARY}*{'-' + PurePosixPath(name).name if name else ''}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
