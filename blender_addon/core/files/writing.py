# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of splat file that is written, by one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..saving import whole_file
from ..splats import ActivatedSplats, SplatError
from .write_glb import write_glb
from .write_hgs import write_hgs
from .write_ply import write_ply
from .write_spz import write_spz

WRITERS: dict[str, Callable[[Path, ActivatedSplats], None]] = {
    ".ply": write_ply,
    ".hgs": write_hgs,
    ".spz": write_spz,
    ".glb": write_glb,
}
"""Writers by the file's suffix; all but that of .ply take Gaussians with y up."""


def frame_for(path: Path, frame: str) -> str:
    """Axes of the file ``path``: ``frame`` for a .ply, y up for every other kind.

    Raises:
        SplatError: if no such kind of file is written.
    """
    if path.suffix.lower() not in WRITERS:
        raise SplatError(f"{path.name} has no suffix of a splat file; expected {', '.join(WRITERS)}")
    return frame if path.suffix.lower() == ".ply" else "y_up"


def write_splats(path: Path, splats: ActivatedSplats, *, replace: bool = False) -> None:
    """Write ``splats``, which are in the axes of :func:`frame_for`; the file appears whole or not at all.

    Raises:
        FileExists: if there is such a file and ``replace`` is off.
        OSError: if the file cannot be written.
        SplatError: if the kind is unknown, or cannot hold the Gaussians.
    """
    expected = frame_for(path, splats.frame)
    assert splats.frame == expected
    with whole_file(path, replace=replace) as temporary:
        WRITERS[path.suffix.lower()](temporary, splats)
