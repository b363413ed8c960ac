"""The Fréchet distance between two sets of features, each taken for a Gaussian.

Called FID in the literature where the features are Inception's, and only there; ours carry their extractor's name.
It is biased upwards when a set is not much larger than the feature vector: prefer KID for small sets.

Source: Heusel et al. 2017 (arXiv 1706.08500), after Dowson & Landau 1982.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.metrics.kid import Array, check_features


def fid(real: npt.NDArray[Any], fake: npt.NDArray[Any]) -> float:
    """Fréchet distance between features ``real`` (N, d) and ``fake`` (M, d), in float64.

    Raises:
        ShapeError: if the widths differ, a side has fewer than two rows, or a feature is not finite.
    """
    real, fake = check_features(real, fake)
    return frechet_distance(*moments(real), *moments(fake))


def moments(features: Array) -> tuple[Array, Array]:
    """Mean (d,) and unbiased covariance (d, d) of ``features`` (N, d)."""
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """|m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½) of two Gaussians; never negative.

    C_a C_b has the eigenvalues of the symmetric C_a^½ C_b C_a^½, whose square roots are summed: unlike the root of
    the product itself, this stays real and exact for singular covariances (fewer images than features).
    """
    root_a = _symmetric_root(cov_a)
    eigenvalues = np.linalg.eigvalsh(root_a @ cov_b @ root_a)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return max(float(distance), 0.0)


def _symmetric_root(matrix: Array) -> Array:
    """The positive semidefinite square root of a covariance (d, d)."""
    values, vectors = np.linalg.eigh(matrix)
    root: Array = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
