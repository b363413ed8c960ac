"""The transfer curve of sRGB (IEC 61966-2-1) between display values and linear light, for numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]


def srgb_to_linear(display: Values) -> Values:
    """Linear light (...) of display values (...) in 0..1."""
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Values) -> Values:
    """Display values (...) of linear light (...) in 0..1; inverse of :func:`srgb_to_linear`."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
