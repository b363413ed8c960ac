# SPDX-License-Identifier: Apache-2.0
"""The rows of a .splat: 32 bytes for each Gaussian, no header, no harmonics.

A row holds the position (3 float32), the standard deviations (3 float32, linear), RGBA (4 bytes) and the quaternion
wxyz (4 bytes, each 128 times the component plus 128).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stored import SH_C0, ParsedSplats, ParseError, logits_of_bytes

ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])

STEPS = 128
"""Steps of a byte from 0 to 1 of a quaternion's component."""


def count_rows(size: int) -> int:
    """Number of Gaussians in a file of ``size`` bytes.

    Raises:
        ParseError: if the size is no multiple of a row.
    """
    if size % ROW.itemsize:
        raise ParseError(f"it has {size} bytes; expected a multiple of {ROW.itemsize}, it is truncated or no .splat")
    return size // ROW.itemsize


def parse_rows(rows: NDArray[Any]) -> ParsedSplats:
    """The stored values of ``rows`` (N,) of type ROW; NaN and infinite numbers stay what they are.

    Raises:
        ParseError: if a standard deviation is negative.
    """
    if bool((rows["scales"] < 0).any()):
        raise ParseError("it has a negative standard deviation; it is broken or no .splat file")
    # Some programs write flat Gaussians with a size of 0; the smallest normal number has a finite logarithm.
    with np.errstate(invalid="ignore"):  # NaN is counted by the callers
        log_scales = np.log(np.maximum(rows["scales"], np.finfo(np.float32).tiny))
    rgba: Any = rows["rgba"]
    rotations: Any = rows["quats"]
    return ParsedSplats(
        means=rows["means"].copy(),
        log_scales=log_scales,
        quats=rotations / np.float32(STEPS) - 1,
        sh=(rgba[:, None, :3] / np.float32(255) - np.float32(0.5)) / np.float32(SH_C0),
        logits=logits_of_bytes(rgba[:, 3]),
    )
