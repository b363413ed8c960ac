"""Distances and spread of features: nothing for the same set, more for more harm."""

from __future__ import annotations

import numpy as np
import pytest

from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.metrics.randconv import make_randconv

DIM = 6


def modes(count: int, seed: int, kept: int = 4) -> Array:
    """Features around four centres, of which only the first ``kept`` occur."""
    rng = np.random.default_rng(seed)
    centers = 4 * np.eye(4, DIM)
    return np.asarray(centers[rng.integers(0, kept, count)] + rng.normal(0, 0.5, (count, DIM)))


@pytest.fixture
def space() -> FeatureSpace:
    return FeatureSpace.of(make_randconv(), modes(200, 0))


def test_a_set_has_no_distance_to_itself_and_its_own_spread(space: FeatureSpace) -> None:
    same = modes(200, 0)
    assert space.fid(same) == pytest.approx(0, abs=1e-8)
    assert space.kid(same, 0).value <= 0
    assert space.kid(modes(200, 1), 0).std > 0
    assert space.spread(same) == pytest.approx(1)
    assert space.coverage(same) == 1


def test_lost_modes_are_seen_by_every_measure(space: FeatureSpace) -> None:
    sets = [modes(200, 1, kept) for kept in (4, 3, 2, 1)]
    for measure in (space.fid, lambda x: space.kid(x, 0).value):
        values = [measure(features) for features in sets]
        assert values == sorted(values)
        assert values[1] > 3 * abs(values[0])
    for measure in (space.spread, space.coverage):
        values = [measure(features) for features in sets]
        assert values == sorted(values, reverse=True)


def test_features_are_standardised_by_the_real_ones_only_where_the_extractor_says_so(space: FeatureSpace) -> None:
    scaled = FeatureSpace.of(make_randconv(), modes(200, 0) * 7 + 3)
    other = modes(200, 1, 3)
    assert scaled.fid(other * 7 + 3) == pytest.approx(space.fid(other), rel=1e-6)
