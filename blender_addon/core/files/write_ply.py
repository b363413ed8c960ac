# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians back into a 3D-GS .ply, with the columns and comments that the toolkit writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..saving import whole_file
from ..splats import ActivatedSplats, Array

MAX_LOGIT = 16.0
"""Opacities of 0 and 1 become logits of this size: 1e-7 away from them."""

MAX_EXACT = 2**24
"""Whole numbers up to this are exact in a float column."""


def write_ply(path: Path, splats: ActivatedSplats, *, replace: bool = False) -> None:
    """Write ``splats`` in their own frame, level and parent as columns where they have them; atomically.

    Raises:
        FileExists: if there is such a file and ``replace`` is off.
        OSError: if the file cannot be written; nothing is left of it then.
        ValueError: if there are too many Gaussians for parents to be exact.
    """
    if splats.parent is not None and len(splats) > MAX_EXACT:
        raise ValueError(f"{len(splats)} Gaussians; a .ply file keeps parents of at most {MAX_EXACT}")
    columns = _columns(splats)
    table = np.concatenate([np.reshape(part, (len(splats), -1)) for part in columns.values()], 1, dtype="<f4")
    names = [name for names in columns for name in names.split()]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(splats)}"]
    lines += ["comment generator hgs_toolkit Blender extension", f"comment frame {splats.frame}"]
    if splats.level is not None:
        counts = np.bincount(splats.level[splats.level >= 0])
        lines.append(" ".join(["comment hgs_levels", *map(str, counts)]))
    lines += [*(f"property float {name}" for name in names), "end_header\n"]
    with whole_file(path, replace=replace) as temporary, open(temporary, "wb") as file:
        file.write("\n".join(lines).encode())
        table.tofile(file)


def _columns(splats: ActivatedSplats) -> dict[str, Array]:
    """Values by the names of their columns, in INRIA's order; stored, not activated."""
    with np.errstate(divide="ignore"):
        opacity = splats.base[:, 3].astype(np.float64)
        logits = np.clip(np.log(opacity) - np.log1p(-opacity), -MAX_LOGIT, MAX_LOGIT)
        scales = np.maximum(np.log(splats.scale.astype(np.float64)), np.log(np.finfo(np.float32).tiny))
    rest = splats.harmonics.transpose(0, 2, 1)  # all of red, then green, then blue
    columns = {
        "x y z": splats.position,
        "nx ny nz": np.zeros_like(splats.position),
        "f_dc_0 f_dc_1 f_dc_2": splats.base[:, :3],
        " ".join(f"f_rest_{i}" for i in range(rest.shape[1] * rest.shape[2])): rest,
        "opacity": logits,
        "scale_0 scale_1 scale_2": scales,
        "rot_0 rot_1 rot_2 rot_3": splats.rotation,
    }
    if splats.level is not None and splats.parent is not None:
        columns |= {"level": splats.level, "parent": splats.parent}
    return {names: values for names, values in columns.items() if names}
