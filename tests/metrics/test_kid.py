"""The kernel distance: unbiased, symmetric, the kernel it says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.metrics.kid import kid, polynomial_mmd


def test_samples_of_one_law_average_to_zero_and_fall_on_both_sides_of_it() -> None:
    rng = np.random.default_rng(0)
    values = np.array([polynomial_mmd(*rng.standard_normal((2, 40, 8))) for _ in range(400)])
    assert (values < 0).any()
    assert (values > 0).any()
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))


def test_the_estimate_is_the_double_sum_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    expected = sum(k(a, b) for a, b in itertools.permutations(x, 2)) / (5 * 4)
    expected += sum(k(a, b) for a, b in itertools.permutations(y, 2)) / (4 * 3)
    expected -= 2 * sum(k(a, b) for a, b in itertools.product(x, y)) / (5 * 4)
    assert polynomial_mmd(x, y) == pytest.approx(expected, rel=1e-12)


def test_the_estimate_does_not_grow_with_fewer_samples_as_a_biased_one_would() -> None:
    rng = np.random.default_rng(2)
    shift = 0.5
    means = {}
    for count in (10, 80):
        draws = [
            polynomial_mmd(rng.standard_normal((count, 4)), rng.standard_normal((count, 4)) + shift) for _ in range(300)
        ]
        means[count] = np.mean(draws), np.std(draws) / np.sqrt(300)
    (few, few_error), (many, many_error) = means[10], means[80]
    assert abs(few - many) < 4 * np.hypot(few_error, many_error)
    assert many > 10 * many_error


def test_exchanging_the_two_sides_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((60, 5)), rng.standard_normal((60, 5)) + 0.2
    assert kid(a, b, subset_size=30) == pytest.approx(kid(b, a, subset_size=30), rel=1e-12)


def test_a_seed_gives_the_same_number_again_and_another_seed_another() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((60, 5)), rng.standard_normal((50, 5))
    assert kid(a, b, subset_size=20, seed=1) == kid(a, b, subset_size=20, seed=1)
    assert kid(a, b, subset_size=20, seed=1) != kid(a, b, subset_size=20, seed=2)


def test_subsets_as_large_as_the_sets_give_the_whole_estimate_times_a_thousand() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((30, 5)), rng.standard_normal((30, 5)) + 1
    value, std = kid(a, b, subsets=3, subset_size=1000)
    assert value == pytest.approx(1000 * polynomial_mmd(a, b), rel=1e-9)
    assert std == pytest.approx(0, abs=1e-6)


def test_float32_features_are_summed_in_float64() -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal((40, 5)).astype(np.float32) + 100 for _ in range(2))
    assert kid(a, b) == kid(a.astype(np.float64), b.astype(np.float64))


@pytest.mark.parametrize(("real", "fake"), [((5, 3), (5, 4)), ((1, 3), (5, 3)), ((5,), (5, 3))])
def test_features_that_do_not_fit_are_refused_with_their_shapes(real: tuple[int, ...], fake: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected \\(N, d\\) and \\(M, d\\)"):
        kid(np.zeros(real), np.zeros(fake))


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ShapeError, match="not finite"):
        kid(np.full((4, 2), np.nan), np.zeros((4, 2)))


def test_rows_that_belong_together_do_not_lower_the_estimate() -> None:
    """Real and generated images under the same cameras are more alike pairwise than by chance; the laws are equal."""
    rng = np.random.default_rng(7)

    def under(poses: np.ndarray) -> np.ndarray:
        return poses + rng.standard_normal(poses.shape)

    values = []
    for _ in range(400):
        poses = rng.standard_normal((20, 6))
        values.append(polynomial_mmd(under(poses), under(poses)))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
