# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians back into a 3D-GS .ply, with the columns and comments that the toolkit writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..splats import ActivatedSplats, Array, SplatError, offset_of, stored_values
from .read_ply import OFFSET_COMMENT

MAX_EXACT = 2**24
"""Whole numbers up to this are exact in a float column."""


def write_ply(path: Path, splats: ActivatedSplats) -> None:
    """Write ``splats`` to ``path`` in their own frame, level and parent as columns where they have them.

    Raises:
        SplatError: if there are too many Gaussians for parents to be exact.
    """
    if splats.parent is not None and len(splats) > MAX_EXACT:
        raise SplatError(f"{len(splats)} Gaussians; a .ply file keeps parents of at most {MAX_EXACT}")
    columns = _columns(splats)
    table = np.concatenate([np.reshape(part, (len(splats), -1)) for part in columns.values()], 1, dtype="<f4")
    names = [name for names in columns for name in names.split()]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(splats)}"]
    lines += ["comment generator hgs_toolkit Blender extension", f"comment frame {splats.frame}"]
    if (offset := offset_of(splats.facts)).any():
        lines.append(f"comment {OFFSET_COMMENT}{' '.join(map(repr, offset.tolist()))}")
    if splats.level is not None:
        counts = np.bincount(splats.level[splats.level >= 0])
        lines.append(" ".join(["comment hgs_levels", *map(str, counts)]))
    lines += [*(f"property float {name}" for name in names), "end_header\n"]
    with open(path, "wb") as file:
        file.write("\n".join(lines).encode())
        table.tofile(file)


def _columns(splats: ActivatedSplats) -> dict[str, Array]:
    """Values by the names of their columns, in INRIA's order; stored, not activated."""
    stored = stored_values(splats)
    rest = stored.sh[:, 1:].transpose(0, 2, 1)  # all of red, then green, then blue
    columns = {
        "x y z": stored.means,
        "nx ny nz": np.zeros_like(stored.means),
        "f_dc_0 f_dc_1 f_dc_2": stored.sh[:, 0],
        " ".join(f"f_rest_{i}" for i in range(rest.shape[1] * rest.shape[2])): rest,
        "opacity": stored.logits,
        "scale_0 scale_1 scale_2": stored.log_scales,
        "rot_0 rot_1 rot_2 rot_3": stored.quats,
    }
    if splats.level is not None and splats.parent is not None:
        columns |= {"level": splats.level, "parent": splats.parent}
    return {names: values for names, values in columns.items() if names}
