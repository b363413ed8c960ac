"""Writing files so that an interrupt, a full disk or a crash never leaves a broken one; opening safetensors files."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgs_toolkit.errors import FormatError, HgsError
from hgs_toolkit.stand_ins import stand_in

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SPACE = 2**16
"""Free space of a disk, bytes, below which an error while writing is put down to a full disk."""

BOUNDED_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of compression in a zip archive that are read: zipfile unpacks others in pieces of any size."""

KEPT_END = 32
"""Characters of a name's end that its temporary name keeps: enough for any suffix, and in UTF-8 at most half of the
255 bytes that a name may have."""


@contextmanager
def atomic_path(path: str | Path, *, force: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed over ``path``, on failure removed.

    The temporary name ends as that of ``path`` does, since some writers choose a format by its suffixes.

    Raises:
        HgsError: if the folder cannot be made or written, the disk is full, or ``path`` exists and not ``force``.
    """
    path = Path(path)
    refuse_overwrite(path, force=force)
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix="-" + path.name[-KEPT_END:], dir=path.parent)
    except OSError as error:
        raise HgsError(f"cannot write in {path.parent}: {error.strerror}; choose another folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise HgsError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error
    except Exception as error:
        # Libraries report a full disk as errors of their own.
        if isinstance(error, HgsError) or not _tells_of_full_disk(error, path.parent):
            raise
        raise HgsError(f"cannot write {path}: {os.strerror(errno.ENOSPC)}; nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)


def _tells_of_full_disk(error: Exception, folder: Path) -> bool:
    """Whether an error of another library came from a full disk: by its words, or by what is left of the disk."""
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < LEAST_SPACE


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents; an :class:`HgsError` names the folder if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HgsError(f"cannot create the folder {path}: {error.strerror}; choose another one") from error
    return path


def refuse_overwrite(path: Path, *, force: bool) -> None:
    """Raise :class:`HgsError` if ``path`` exists and ``force`` is off."""
    if path.exists() and not force:
        raise HgsError(f"{path} exists already; add --force to replace it or choose another name")


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """As :func:`refuse_overwrite`, in the words of the functions that people call from Python."""
    if path.exists() and not overwrite:
        raise HgsError(f"{path} exists already; overwrite=True replaces it, or choose another name")


def write_bytes(path: str | Path, data: bytes, *, force: bool = True) -> None:
    """Write ``data`` atomically."""
    with atomic_path(path, force=force) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, value: Any, *, force: bool = True) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinities are refused, since JSON has none."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode(), force=force)


def without_nan(values: Any) -> Any:
    """``values`` with None in place of NaN and infinities, in lists and mappings too: what JSON can say of them."""
    if isinstance(values, Mapping):
        return {key: without_nan(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [without_nan(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def cache_folder() -> Path:
    """The folder for what can be computed again: ``HGS_CACHE``, or ``hgs_toolkit`` in the user's cache folder.

    It need not exist. The user's cache folder is ``LOCALAPPDATA`` on Windows, else ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if chosen := os.environ.get("HGS_CACHE"):
        return Path(chosen)
    variable = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or Path.home() / ".cache") / "hgs_toolkit"


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Flush a file's (or folder's) content to the disk; folders cannot be opened so on Windows, where it is skipped."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    The header's sizes are compared with the file's before anything is read, and nothing is executed.

    Raises:
        FormatError: if the file is missing, truncated or no safetensors file.
    """
    with open_safetensors(path, "pt") as file:
        # Copies: the originals are a map of the file, which must stay replaceable.
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def open_safetensors(path: Path, framework: str = "numpy") -> Any:
    """A safetensors file, opened as a context; raises as :func:`read_safetensors`.

    Args:
        framework: what its tensors become, ``numpy`` or ``pt`` (torch).
    """
    from safetensors import SafetensorError, safe_open  # here: the extension is packed and tested without it

    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a file")
    try:
        return safe_open(path, framework=framework)
    except SafetensorError as error:
        reason = stand_in(path) or f"is truncated or no safetensors file ({error}); write or download it anew"
        raise FormatError(f"{path} {reason}") from error
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
