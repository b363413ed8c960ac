"""Distances between sets of features, and how widely they spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hgs_toolkit.metrics.extractors import Extractor
from hgs_toolkit.metrics.fid import fid
from hgs_toolkit.metrics.kid import KID, Array, kid
from hgs_toolkit.metrics.measurement import standardisation

SUBSET = 500
"""Images of a subset for KID, at most."""

NEIGHBORS = 5
"""Neighbour that bounds a real image's surroundings in :meth:`FeatureSpace.coverage`."""


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The features of real images, standardised by themselves unless the extractor compares them as they are.

    Attributes:
        extractor: what the features come from.
        real: (N, d).
        mean, scale: (d,) what is subtracted, then divided by.
    """

    extractor: Extractor
    real: Array
    mean: Array
    scale: Array

    @classmethod
    def of(cls, extractor: Extractor, real: Array) -> FeatureSpace:
        """The space of real features (N, d), which come as the extractor gives them."""
        mean, scale = standardisation(real)
        if not extractor.standardise:
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        return cls(extractor, (real - mean) / scale, mean, scale)

    def kid(self, features: Array, seed: int) -> KID:
        """Kernel distance, times a thousand, of features (M, d).

        Subsets are at most half of a set, since those of all its images are one and the same and have no spread.
        """
        size = max(2, min(SUBSET, len(self.real) // 2, len(features) // 2))
        return kid(self.real, self._place(features), subset_size=size, seed=seed)

    def fid(self, features: Array) -> float:
        """Fréchet distance of features (M, d)."""
        return fid(self.real, self._place(features))

    def spread(self, features: Array) -> float:
        """Root mean squared distance of features (M, d) to their mean, over that of the real ones: 1 is as varied."""
        return _deviation(self._place(features)) / _deviation(self.real)

    def coverage(self, features: Array) -> float:
        """Share of real images with a generated one nearer than their own fifth neighbour; falls with lost modes.

        Source: Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics" (arXiv 2002.09797), equation 5.
        """
        own = np.sort(squared_distances(self.real, self.real), axis=1)  # (N, N), the first column is the image
        radius = own[:, min(NEIGHBORS, len(self.real) - 1)]
        nearest = squared_distances(self.real, self._place(features)).min(axis=1)
        return float((nearest <= radius).mean())

    def _place(self, features: Array) -> Array:
        placed: Array = (features - self.mean) / self.scale
        return placed


def _deviation(features: Array) -> float:
    return float(np.sqrt(features.var(axis=0).sum()))


def squared_distances(a: Array, b: Array) -> Array:
    """(N, M) of rows (N, d) and (M, d)."""
    squares: Array = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.maximum(squares, 0)
