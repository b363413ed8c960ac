# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all, and replace others only when they may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileExists(ValueError):  # noqa: N818
    """A file that is in the way; the message is for the user."""


@contextmanager
def whole_file(path: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which becomes ``path`` at the end; on failure it is removed.

    Raises:
        FileExists: if ``path`` exists and ``replace`` is off.
        OSError: if it cannot be written.
    """
    if path.exists() and not replace:
        raise FileExists(f"{path.name} exists already; switch 'Overwrite' on or choose another name")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
