"""Folders of outputs: one that cannot be made is refused before any work, and a failed command leaves none empty."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hgs_toolkit.errors import HgsError


def missing_folders(out: Path) -> list[Path]:
    """The folders that have to be made for ``out``, the outermost first; ``out`` itself is one if it does not exist.

    Raises:
        HgsError: if a parent of ``out`` is a file, or new files cannot be made in the folder that exists.
    """
    missing = [out]
    while not missing[-1].exists() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    existing = missing.pop()
    if existing != out and not existing.is_dir():
        raise HgsError(f"cannot create the folder {existing}: a file has that name; choose another one")
    if existing.is_dir() and not os.access(existing, os.W_OK | os.X_OK):
        raise HgsError(f"cannot write in {existing}: it belongs to another user; choose another folder")
    return missing[::-1]


def remove_empty_folders(made: list[Path]) -> None:
    """Remove those of ``made`` that are folders and hold nothing but empty folders."""
    for folder in reversed(made):
        if folder.is_dir() and not folder.is_symlink():
            for inside, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):  # it is not empty
                    os.rmdir(inside)
