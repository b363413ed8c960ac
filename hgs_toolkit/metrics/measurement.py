"""A distance between images together with everything it depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.metrics.extractors import Extractor, Features, ImageArray
from hgs_toolkit.metrics.fid import fid
from hgs_toolkit.metrics.kid import Array, check_features, kid

SCALE_FLOOR = 0.1
"""Smallest deviation that a feature is divided by, in mean deviations: one that hardly varies must not dominate."""


@dataclass(frozen=True)
class Measurement:
    """One number and its conditions; two are comparable only if all but ``value`` and ``std`` agree.

    Attributes:
        name: distance and extractor, for example ``kid_squeeze``.
        value: KID is times a thousand.
        std: standard deviation over KID's subsets; None for a Fréchet distance.
        extractor: name of the feature extractor; ``sha256`` is the digest of its weights.
        resize: how images were brought to its size.
        real_count, fake_count: images on either side.
        seed: of the choice of KID's subsets; None for a Fréchet distance.
    """

    name: str
    value: float
    std: float | None
    extractor: str
    sha256: str
    resize: str
    real_count: int
    fake_count: int
    seed: int | None


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of the real images, computed once, to measure any number of generated sets against.

    Features are standardised: each is shifted and divided by the real images' mean and deviation, so that distances
    of different extractors have one scale and no single feature rules them. KID is unbiased for given features; that
    these depend on the real images adds a bias of about a fifth of its own noise (measured at 40 to 160 images).

    Attributes:
        extractor: what the features come from.
        features: (N, d) float64, standardised.
        mean, scale: (d,) what was subtracted, then divided by.
    """

    extractor: Extractor
    features: Array
    mean: Array
    scale: Array

    @classmethod
    def of(cls, extractor: Extractor, chunks: Iterable[ImageArray]) -> Reference:
        """The reference of real images that arrive in chunks (n, H, W, 3).

        Raises:
            ShapeError: if there are fewer than two, or they are not images.
        """
        return cls.of_features(extractor, extract_features(extractor, chunks))

    @classmethod
    def of_features(cls, extractor: Extractor, features: Features) -> Reference:
        """The reference of real images whose ``features`` (N, d) were extracted before.

        Raises:
            ShapeError: if there are fewer than two, or they are all the same.
        """
        raw, _ = check_features(features, features)
        mean, scale = standardisation(raw)
        return cls(extractor, (raw - mean) / scale, mean, scale)

    def measure(self, chunks: Iterable[ImageArray], *, frechet: bool = False, seed: int = 0) -> list[Measurement]:
        """KID (and the Fréchet distance, if wanted) of generated images that arrive in chunks (n, H, W, 3).

        Raises:
            ShapeError: if there are fewer than two, or they are not images.
        """
        fake = (extract_features(self.extractor, chunks).astype(np.float64) - self.mean) / self.scale
        estimate = kid(self.features, fake, seed=seed)
        measurements = [self._record("kid", len(fake), estimate.value, estimate.std, seed)]
        if frechet:
            measurements.append(self._record("fid", len(fake), fid(self.features, fake), None, None))
        return measurements

    def _record(self, distance: str, count: int, value: float, std: float | None, seed: int | None) -> Measurement:
        e = self.extractor
        name = f"{distance}_{e.name}"
        return Measurement(name, value, std, e.name, e.sha256, e.resize, len(self.features), count, seed)


def standardisation(real: Array) -> tuple[Array, Array]:
    """Mean and scale (d,) that features are shifted and divided by, from those of real images (N, d).

    Raises:
        ShapeError: if all images have the same features.
    """
    deviation = real.std(axis=0)
    if not deviation.any():
        raise ShapeError(f"all {len(real)} real images have the same features; expected different images")
    return real.mean(axis=0), np.maximum(deviation, SCALE_FLOOR * deviation.mean())


def extract_features(extractor: Extractor, chunks: Iterable[ImageArray]) -> Features:
    """Features (N, d) float32 of images that arrive in chunks (n, H, W, 3)."""
    parts = [extractor.features(chunk) for chunk in chunks]
    return np.concatenate([np.zeros((0, extractor.dim), np.float32), *parts])
