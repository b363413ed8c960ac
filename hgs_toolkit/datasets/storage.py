"""Read-only access to the files of a folder or a zip archive by their relative names."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hgs_toolkit.errors import DataError
from hgs_toolkit.files import BOUNDED_PACKINGS
from hgs_toolkit.stand_ins import stand_in

CLUTTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""Names, in lower case, of files that computers add to folders by themselves; macOS also adds ``._NAME`` files."""

UTF8_NAME = 0x800
"""Flag of a zip entry whose name is UTF-8."""


class FileStore(Protocol):
    """Files under one root, named by their path relative to it with forward slashes."""

    path: Path
    names: list[str]
    """Sorted relative names of all files."""

    def read(self, name: str, limit: int) -> bytes:
        """The content of ``name``; DataError if it is missing, broken or larger than ``limit`` bytes."""
        ...

    def size(self, name: str) -> int:
        """Bytes of ``name`` when it is read; DataError if it is missing."""
        ...

    def close(self) -> None:
        """Release open handles; the store opens them again when it is next read."""
        ...


def open_store(path: str | Path) -> FileStore:
    """The store of a folder or of a zip archive, told apart by content.

    Raises:
        DataError: if ``path`` does not exist, cannot be read or is neither.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a folder or a zip archive")
    if path.is_dir():
        return FolderStore(path)
    try:
        is_zip = path.is_file() and zipfile.is_zipfile(path)  # a pipe would be waited for
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not is_zip:
        raise DataError(f"{path} {stand_in(path) or 'is neither a folder nor a zip archive'}")
    return ZipStore(path)


class InnerStore:
    """The files of another store whose names begin with ``prefix``, named without it."""

    def __init__(self, store: FileStore, prefix: str) -> None:
        self.path, self._store, self._prefix = store.path, store, prefix
        self.names = [name.removeprefix(prefix) for name in store.names if name.startswith(prefix)]

    def read(self, name: str, limit: int) -> bytes:
        """See :meth:`FileStore.read`."""
        return self._store.read(self._prefix + name, limit)

    def size(self, name: str) -> int:
        """See :meth:`FileStore.size`."""
        return self._store.size(self._prefix + name)

    def close(self) -> None:
        """See :meth:`FileStore.close`."""
        self._store.close()


class FolderStore:
    """Files of a folder and its subfolders, linked ones too; a link that leads back to a folder above is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = (file.relative_to(path).as_posix() for file in _files(path, frozenset()))
        self.names = sorted(name for name in names if not is_clutter(name))
        self._known = frozenset(self.names)

    def read(self, name: str, limit: int) -> bytes:
        """See :meth:`FileStore.read`; only listed names can be read, so none leads out of the folder."""
        if name not in self._known:
            raise DataError(f"{self.path.name} has no file {name}")
        try:
            with open(self.path / name, "rb") as file:
                _check_size(os.fstat(file.fileno()).st_size, limit, f"{self.path / name}")
                return file.read()
        except OSError as error:
            raise DataError(f"cannot read {self.path / name}: {error.strerror}") from error

    def size(self, name: str) -> int:
        """See :meth:`FileStore.size`."""
        try:
            return (self.path / name).stat().st_size
        except OSError as error:
            raise DataError(f"cannot read {self.path / name}: {error.strerror}") from error

    def close(self) -> None:
        """Nothing stays open."""


class ZipStore:
    """Files of a zip archive; names with backslashes, as some programs on Windows write them, are read as paths.

    A zip handle has one file position, so threads, forked and spawned processes must not share it: every
    (process, thread) opens its own on its first read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        entries = [(_path_of(info), info.filename) for info in self._archive().infolist()]
        self._entries = dict(entries)
        files = [name for name, _ in entries if not name.endswith("/")]
        if "" in files:
            raise DataError(f"{path} has an entry without a name; the zip archive is damaged, make it again")
        name, times = Counter(files).most_common(1)[0] if files else ("", 0)
        if times > 1:
            raise DataError(f"{path} holds the file {name} {times} times; expected every name once")
        for name in files:
            if name.startswith("/") or ".." in name.split("/"):
                raise DataError(
                    f"{path} holds the unsafe file name {name!r}; expected relative names inside the archive"
                )
        self.names = sorted(name for name in files if not is_clutter(name))

    def read(self, name: str, limit: int) -> bytes:
        """See :meth:`FileStore.read`; the size the archive declares is checked before anything is unpacked."""
        archive = self._archive()
        try:
            info = archive.getinfo(self._entries[name])
        except KeyError as error:
            raise DataError(f"{self.path.name} has no file {name}") from error
        _check_size(info.file_size, limit, f"{self.path}/{name}")
        if info.compress_type not in BOUNDED_PACKINGS:
            raise DataError(f"{name} in {self.path} is compressed in a way that is not read; expected deflate or none")
        try:
            with archive.open(info) as file:
                data = file.read(info.file_size + 1)  # one byte more: the end is where the checksum is compared
        # ValueError: a name in UTF-8 that is damaged where the file begins.
        except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"cannot read {name} in {self.path}: {error}") from error
        if len(data) != info.file_size:
            raise DataError(f"cannot read {name} in {self.path}: it has other than its {info.file_size:,} bytes")
        return data

    def size(self, name: str) -> int:
        """See :meth:`FileStore.size`."""
        try:
            return self._archive().getinfo(self._entries[name]).file_size
        except KeyError as error:
            raise DataError(f"{self.path.name} has no file {name}") from error

    def close(self) -> None:
        """Close this thread's handle."""
        archive = getattr(self._local, "archive", None)
        if archive is not None:
            archive.close()
            self._local.archive = None

    def _archive(self) -> zipfile.ZipFile:
        if getattr(self._local, "archive", None) is None or self._local.process != os.getpid():
            try:
                self._local.archive = zipfile.ZipFile(self.path)
            except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
                raise DataError(f"cannot read the zip archive {self.path}: {error}") from error
            self._local.process = os.getpid()
        archive: zipfile.ZipFile = self._local.archive
        return archive

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "names": self.names, "_entries": self._entries}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())


def is_clutter(name: str) -> bool:
    """Whether a file was added by a computer rather than by its user."""
    *folders, last = name.split("/")
    return "__MACOSX" in folders or last.startswith("._") or last.lower() in CLUTTER


def _path_of(info: zipfile.ZipInfo) -> str:
    """The path of an archive's entry, with forward slashes.

    Names that are not marked as UTF-8 are so all the same from many programs on macOS and Linux; those of others are in
    the code page of DOS, as Python reads them.
    """
    name = info.filename
    if not info.flag_bits & UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All files below ``folder``; ``above`` are the real paths of the folders that led to it."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in os.scandir(folder):
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link to nowhere
            continue
        if is_folder:
            yield from _files(folder / entry.name, above | {real})
        elif entry.is_file():
            yield folder / entry.name


def _check_size(size: int, limit: int, name: str) -> None:
    if size > limit:
        raise DataError(f"{name} has {size:,} bytes; expected at most {limit:,}")
