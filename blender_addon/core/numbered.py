# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered files as the frames of a sequence: which file belongs to which frame."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

DIGITS = re.compile(r"(\d+)")

SUFFIXES = (".hgs", ".ply", ".spz", ".splat", ".glb")

HOLD, LOOP, BOUNCE = "HOLD", "LOOP", "BOUNCE"
"""Outside the sequence: its first or last frame stays; it starts again; it runs back and forth."""


def list_frames(folder: Path) -> list[Path]:
    """Splat files of ``folder`` in the order of the numbers in their names (frame-9 before frame-10).

    Where a folder holds several kinds, the first of SUFFIXES is taken: a batch often has each scene twice.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    for suffix in SUFFIXES:
        if chosen := [path for path in files if path.suffix.lower() == suffix]:
            return natural_order(chosen)
    return []


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """``paths`` sorted with numbers compared as numbers."""

    def key(path: Path) -> list[str | int]:
        # Texts and numbers take turns, so that only like is compared with like.
        return [int(part) if odd % 2 else part for odd, part in enumerate(DIGITS.split(path.name))]

    return sorted(paths, key=lambda path: (key(path), path.name))


def frame_index(frame: int, count: int, *, start: int = 1, hold: int = 1, mode: str = HOLD) -> int:
    """Which of ``count`` files is shown at ``frame``.

    Args:
        start: frame at which the first file is shown.
        hold: frames for which each file stays.
        mode: HOLD, LOOP or BOUNCE.
    """
    step = (frame - start) // hold
    if mode == LOOP:
        return step % count
    if mode == BOUNCE and count > 1:
        step %= 2 * count - 2
        return min(step, 2 * count - 2 - step)
    return min(max(step, 0), count - 1)
