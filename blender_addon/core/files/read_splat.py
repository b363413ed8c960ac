# SPDX-License-Identifier: GPL-3.0-or-later
"""The .splat of web viewers: 32 bytes a Gaussian, no header, no harmonics, y down."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..parsing.splat import ROW, count_rows, parse_rows
from ..splats import ActivatedSplats, parse_errors_as_splat_errors, splats_from_stored


def read_splat(path: Path) -> ActivatedSplats:
    """Read a .splat.

    Raises:
        SplatError: if the size is no multiple of a row, or a value is NaN, infinite or a negative scale.
    """
    with parse_errors_as_splat_errors():
        rows = np.fromfile(path, ROW, count_rows(path.stat().st_size))
        parsed = parse_rows(rows)
    return splats_from_stored(*parsed)
