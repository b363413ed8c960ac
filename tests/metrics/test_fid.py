"""The Fréchet distance against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.metrics.fid import fid, frechet_distance, moments


def covariance(rng: np.random.Generator, size: int) -> np.ndarray:
    factor = rng.standard_normal((size, size + 2))
    return factor @ factor.T / size


def test_gaussians_with_commuting_covariances_have_the_distance_of_their_closed_form() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    a, b = rng.uniform(0.1, 3, 6), rng.uniform(0.1, 3, 6)
    mean_a, mean_b = rng.standard_normal((2, 6))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    actual = frechet_distance(mean_a, (basis * a) @ basis.T, mean_b, (basis * b) @ basis.T)
    assert actual == pytest.approx(expected, rel=1e-12)


def test_any_covariances_agree_with_the_matrix_square_root_of_scipy() -> None:
    rng = np.random.default_rng(1)
    a, b = covariance(rng, 7), covariance(rng, 7)
    root = linalg.sqrtm(a @ b)
    expected = np.trace(a) + np.trace(b) - 2 * np.trace(root).real
    assert frechet_distance(np.zeros(7), a, np.zeros(7), b) == pytest.approx(expected, rel=1e-10)


def test_singular_covariances_are_handled_exactly() -> None:
    a, b = np.diag([1.0, 0, 0, 4]), np.diag([0.0, 9, 0, 1])
    assert frechet_distance(np.zeros(4), a, np.zeros(4), b) == pytest.approx(1 + 9 + 1, rel=1e-12)
    rng = np.random.default_rng(2)
    few = rng.standard_normal((5, 40))
    assert fid(few, few) == pytest.approx(0, abs=1e-5 * np.trace(moments(few)[1]))


def test_the_distance_is_symmetric_and_grows_with_the_shift() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((80, 6)), rng.standard_normal((90, 6)) * 1.5
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-10)
    near, far = fid(a, a + 0.1), fid(a, a + 0.3)
    assert near == pytest.approx(6 * 0.1**2, rel=1e-6)
    assert far == pytest.approx(6 * 0.3**2, rel=1e-6)


def test_samples_approach_the_distance_of_their_laws() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((20_000, 3)), rng.standard_normal((20_000, 3)) * 2 + 1
    assert fid(a, b) == pytest.approx(3 * 1 + 3 * (2 - 1) ** 2, rel=0.05)


def test_features_of_one_number_are_a_matrix_too() -> None:
    a, b = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])
    assert fid(a, b) == pytest.approx(1.0, rel=1e-12)


def test_widths_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected"):
        fid(np.zeros((4, 2)), np.zeros((4, 3)))
