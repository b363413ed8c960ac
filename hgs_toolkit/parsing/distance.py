# SPDX-License-Identifier: Apache-2.0
"""How far from the origin a scene lies, and what to subtract before its coordinates become single precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .stored import Floats

RESOLUTION = 0.01
"""Step of single precision, as a share of the median size of the Gaussians, above which coordinates are recentred."""

FAR = 8.0
"""Least ratio of the distance from the origin to the extent of a scene that is recentred."""

SAMPLES = 2**16
"""Number of Gaussians of which the centre, the extent and the median size of a scene are computed."""

LEAST_LOG_SCALE = float(np.log(np.finfo(np.float32).tiny))
"""Log scale that stands for a size of 0: that of the smallest normal number."""


def far_offset(means: NDArray[np.floating], log_scales: Floats) -> NDArray[np.float64]:
    """The point (3,) to subtract from ``means`` (N, 3) before they are cast to float32; zeros unless they lie far away.

    They do if single precision resolves their coordinates to no better than RESOLUTION of the Gaussians' median size,
    and if the scene is FAR from the origin, so that a shift helps. The point is a round number near the median.
    """
    step = max(1, len(means) // SAMPLES)
    with np.errstate(invalid="ignore"):  # the cast of a signalling NaN
        sample = means[::step].astype(np.float64)
    finite = np.isfinite(sample).all(axis=1)
    sizes = log_scales[::step].max(axis=1, initial=-np.inf)[finite]
    sample, sizes = sample[finite], sizes[np.isfinite(sizes)]
    if not len(sample) or not len(sizes):
        return np.zeros(3)
    centre = np.median(sample, axis=0)
    reach = float(np.quantile(np.abs(sample - centre).max(axis=1), 0.98))
    size = float(np.exp(np.median(sizes).clip(LEAST_LOG_SCALE, 80)))
    farthest = float(np.abs(centre).max())
    with np.errstate(over="ignore"):
        resolved = float(np.spacing(np.float32(farthest)))
    if not farthest > FAR * reach or not resolved > RESOLUTION * size:
        return np.zeros(3)
    unit = 10.0 ** np.ceil(np.log10(max(reach, size)))
    return np.asarray(np.round(centre / unit) * unit)
