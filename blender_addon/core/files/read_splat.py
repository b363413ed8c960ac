# SPDX-License-Identifier: GPL-3.0-or-later
"""The .splat of web viewers: 32 bytes a Gaussian, no header, no harmonics, y down."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..harmonics import C0
from ..splats import ActivatedSplats, SplatError, bytes_to_logits, splats_from_stored

ROW = np.dtype([("position", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])


def read_splat(path: Path) -> ActivatedSplats:
    """Read a .splat.

    Raises:
        SplatError: if the size is no multiple of a row, or a value is NaN, infinite or a negative scale.
    """
    size = path.stat().st_size
    if size % ROW.itemsize:
        raise SplatError(f"{size} bytes are no multiple of {ROW.itemsize}: it is truncated, or no .splat file")
    rows = np.fromfile(path, ROW)
    if (rows["scale"] < 0).any():
        raise SplatError("it has a negative scale; it is broken, or no .splat file")
    with np.errstate(invalid="ignore"):
        log_scales = np.log(np.maximum(rows["scale"], np.finfo(np.float32).tiny))
    colors = (rows["rgba"][:, None, :3] / np.float32(255) - np.float32(0.5)) / np.float32(C0)
    rotation = rows["rotation"] / np.float32(128) - 1
    return splats_from_stored(
        rows["position"].copy(), log_scales, rotation, colors, bytes_to_logits(rows["rgba"][:, 3])
    )
