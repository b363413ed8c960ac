"""Files that stand in for the one that was meant: what failed downloads and unfinished clones leave under its name."""

from __future__ import annotations

from pathlib import Path

LOOKED_AT = 512
"""Bytes at the beginning of a file that are looked at."""

LFS, ANNEX = b"version https://git-lfs", b"/annex/objects/"
"""First bytes of the pointers that Git LFS and git-annex leave in place of a file."""

WEB_PAGE = (b"<!doctype html", b"<html")
"""First bytes of a web page, in lower case."""


def stand_in(path: Path) -> str | None:
    """What ``path`` is in place of the file that its name promises, and what to do; None for anything else."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            return stand_in_of(file.read(LOOKED_AT))
    except OSError:
        return None


def stand_in_of(data: bytes) -> str | None:
    """:func:`stand_in` for a file that begins with ``data``."""
    start = data[:LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(LFS):
        return "is a pointer of Git LFS, not the file itself; fetch it by: git lfs pull"
    if start.startswith(ANNEX):
        return "is a pointer of git-annex, not the file itself; fetch it by: git annex get"
    if start.lower().startswith(WEB_PAGE):
        return "is a web page, which a download that failed may leave; download the file again"
    return None
