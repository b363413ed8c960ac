# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of splat file that is read, by one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..splats import ActivatedSplats, SplatError
from .read_glb import NoSplatsError, read_glb
from .read_hgs import read_hgs
from .read_ply import read_ply
from .read_splat import read_splat
from .read_spz import read_spz

READERS: dict[str, Callable[[Path], ActivatedSplats]] = {
    ".hgs": read_hgs,
    ".ply": read_ply,
    ".spz": read_spz,
    ".splat": read_splat,
    ".glb": read_glb,
}
"""Readers by the file's suffix."""


class ImportRefused(ValueError):  # noqa: N818
    """A file that was not imported; the message is for the user."""


def read_splats(path: Path) -> ActivatedSplats:
    """Read a file of any kind in READERS.

    Raises:
        ImportRefused: if the kind is unknown, or the file is missing or broken.
        NoSplatsError: if it is a glTF file of ordinary meshes.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ImportRefused(f"{path.name} is not a splat file; expected {', '.join(READERS)}")
    try:
        return reader(path)
    except NoSplatsError:
        raise
    except SplatError as error:
        raise ImportRefused(f"{path.name}: {error}") from error
    except OSError as error:
        raise ImportRefused(f"cannot read {path}: {error.strerror}") from error
