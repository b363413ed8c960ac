# SPDX-License-Identifier: Apache-2.0
"""What every parser returns, and the error that it raises."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SH_C0 = 0.28209479177387814
"""Value of the degree-0 real spherical harmonic, 1 / (2 * sqrt(pi)): rgb = 0.5 + SH_C0 * f_dc."""


class ParseError(ValueError):
    """Bytes that are no such file, or a broken one; the message starts with "it" and names no file."""


class ParsedSplats(NamedTuple):
    """N Gaussians as files store them (not activated), float32, in the frame of the file.

    Attributes:
        means: (N, 3) centres.
        log_scales: (N, 3) natural logarithms of the standard deviations.
        quats: (N, 4) quaternions wxyz, of any length.
        sh: (N, K, 3) coefficients, K = 1, 4, 9 or 16.
        logits: (N,) logits of the opacities; infinite where a byte says 0 or 1.
    """

    means: Floats
    log_scales: Floats
    quats: Floats
    sh: Floats
    logits: Floats


def logits_of_bytes(opacities: NDArray[Any]) -> Floats:
    """Logits (N,) of opacities that are bytes (N,), infinite for 0 and 255."""
    table = np.arange(256) / 255
    with np.errstate(divide="ignore"):
        logits: Floats = (np.log(table) - np.log1p(-table)).astype(np.float32)[opacities]
    return logits


def opacity_bytes(logits: Floats) -> NDArray[np.uint8]:
    """Opacities (N,) as bytes 0..255, rounded, from their logits (N,)."""
    return np.round(255 / (1 + np.exp(-logits))).astype(np.uint8)
