"""Kernel Inception Distance's estimator, for the features of any extractor.

The squared maximum mean discrepancy with the kernel k(x, y) = (x·y / d + 1)³, unbiased: its expectation is zero for two
samples of one distribution, at any number of images, and single values may be negative.

Source: Bińkowski et al. 2018, "Demystifying MMD GANs" (arXiv 1801.01401), section 4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hgs_toolkit.errors import ShapeError

Array = npt.NDArray[np.float64]

REPORTED = 1000.0
"""KID is customarily reported times a thousand."""


class KID(NamedTuple):
    """An estimate, times a thousand.

    Attributes:
        value: mean over the subsets.
        std: standard deviation over the subsets.
    """

    value: float
    std: float


def kid(
    real: npt.NDArray[Any], fake: npt.NDArray[Any], *, subsets: int = 50, subset_size: int = 500, seed: int = 0
) -> KID:
    """KID between features ``real`` (N, d) and ``fake`` (M, d), in float64.

    Args:
        subsets: number of random subsets the estimate is averaged over.
        subset_size: images of each side in a subset, at most; bounds the memory.
        seed: of the choice of subsets, the same for both sides, so that exchanging them changes nothing.

    Raises:
        ShapeError: if the widths differ, a side has fewer than two rows, or a feature is not finite.
    """
    real, fake = check_features(real, fake)
    size = min(subset_size, len(real), len(fake))
    values = [
        polynomial_mmd(_choose(real, size, [seed, subset]), _choose(fake, size, [seed, subset]))
        for subset in range(subsets)
    ]
    return KID(REPORTED * float(np.mean(values)), REPORTED * float(np.std(values)))


def polynomial_mmd(x: Array, y: Array) -> float:
    """Unbiased squared MMD of samples (n, d) and (m, d) under k(x, y) = (x·y / d + 1)³.

    Of samples of one size, rows with one index are not compared with each other: they may belong together, as real and
    generated images under one camera do, which are more alike than by chance. (The U-statistic of Gretton et al. 2012,
    "A Kernel Two-Sample Test", equation 4; for independent rows it is unbiased as well.)
    """
    n, m = len(x), len(y)
    within_x, within_y, across = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    mean_x = (within_x.sum() - np.trace(within_x)) / (n * (n - 1))
    mean_y = (within_y.sum() - np.trace(within_y)) / (m * (m - 1))
    mean_across = (across.sum() - np.trace(across)) / (n * (n - 1)) if n == m else across.mean()
    return float(mean_x + mean_y - 2 * mean_across)


def check_features(real: npt.NDArray[Any], fake: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Both as float64.

    Raises:
        ShapeError: as for :func:`kid`.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < 2:
        raise ShapeError(
            f"features of shapes {real.shape} and {fake.shape}; expected (N, d) and (M, d) with at least two rows each"
        )
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ShapeError("features that are not finite; look for NaN or infinite pixels in the images")
    return real.astype(np.float64), fake.astype(np.float64)


def _choose(features: Array, size: int, seed: list[int]) -> Array:
    return features[np.random.default_rng(seed).choice(len(features), size, replace=False)]


def _kernel(x: Array, y: Array) -> Array:
    kernel: Array = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel
