"""What packed formats share: quaternions without their largest component, Morton order, codebooks, palettes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.exporters.splats.packing.codebooks import codebook, codes
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.packing.palettes import palette
from hgs_toolkit.exporters.splats.packing.quaternions import BOUND, KEPT, drop_largest, equal_rotations, restore_largest
from hgs_toolkit.exporters.splats.stored import Floats, logits_of_bytes, opacity_bytes


def unit_quats(count: int) -> Floats:
    quats = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    unit: Floats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    return unit


def test_three_components_are_bounded_and_give_the_rotation_back() -> None:
    quats = unit_quats(2000)
    largest, three = drop_largest(quats)
    assert np.abs(three).max() <= BOUND + 1e-7
    assert sorted(set(largest.tolist())) == [0, 1, 2, 3]
    np.testing.assert_allclose(np.abs((restore_largest(largest, three) * quats).sum(1)), 1, atol=1e-6)


def test_equal_rotations_are_four_and_give_one_ellipsoid() -> None:
    equal = torch.from_numpy(equal_rotations(unit_quats(50)))  # (4, 50, 4)
    axes = quats_to_rotmats(equal) * torch.tensor([0.1, 0.2, 0.4])
    shapes = axes @ axes.mT
    torch.testing.assert_close(shapes, shapes[:1].expand(4, -1, -1, -1))
    turns = (equal[:, None] * equal[None]).sum(-1)  # half a turn apart: at right angles
    torch.testing.assert_close(turns, torch.eye(4)[..., None].expand(-1, -1, 50), atol=1e-6, rtol=0)


def test_the_dropped_component_comes_back_positive() -> None:
    largest, three = drop_largest(np.array([[0, 0, -1, 0], [0.5, 0.5, 0.5, 0.5]], np.float32))
    assert largest.tolist() == [2, 0]
    expected = np.array([[0, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]])
    np.testing.assert_allclose(restore_largest(largest, three), expected)
    assert all(index not in KEPT[index] for index in range(4))


def test_components_too_large_to_be_a_rotation_still_give_a_unit_quaternion() -> None:
    quats = restore_largest(np.array([1]), np.full((1, 3), BOUND))
    np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, rtol=1e-6)


def test_morton_order_visits_the_corners_of_a_cube_like_a_binary_counter() -> None:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    ordered = corners[morton_order(corners)]
    np.testing.assert_array_equal(ordered @ [1, 2, 4], np.arange(8))


def test_morton_order_keeps_equal_points_and_single_ones() -> None:
    assert morton_order(np.ones((5, 3), np.float32)).tolist() == [0, 1, 2, 3, 4]
    assert morton_order(np.zeros((0, 3), np.float32)).tolist() == []


def test_neighbours_on_the_curve_are_near() -> None:
    points = np.random.default_rng(0).random((4096, 3)).astype(np.float32)
    step = np.linalg.norm(np.diff(points[morton_order(points)], axis=0), axis=1).mean()
    assert step < 0.15 < np.linalg.norm(np.diff(points, axis=0), axis=1).mean()


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=256))
def test_few_values_are_kept_exactly(values: list[float]) -> None:
    array = np.array(values, np.float32)
    book = codebook(array)
    assert book.shape == (256,)
    np.testing.assert_array_equal(book[codes(array, book)], array)


def test_the_greatest_error_is_at_most_twice_that_of_equal_cells_and_the_mean_is_less() -> None:
    values = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    book = codebook(values)
    assert np.all(np.diff(book) > 0)
    error = np.abs(book[codes(values, book)] - values)
    assert error.max() <= np.ptp(values) / 256
    assert np.sqrt(np.square(error).mean()) < 0.8 * np.ptp(values) / 256 / np.sqrt(12)


def test_an_outlier_has_an_entry_of_its_own_and_costs_nothing_else() -> None:
    values = np.append(np.random.default_rng(0).standard_normal(20_000), 1000).astype(np.float32)
    book = codebook(values)
    assert book[-1] == 1000
    assert np.abs(book[codes(values, book)] - values).max() <= np.ptp(values[:-1]) / 254


def test_many_equal_values_among_others_still_fill_the_book() -> None:
    values = np.concatenate([np.zeros(10_000), np.linspace(1, 2, 1000)]).astype(np.float32)
    book = codebook(values)
    assert 0 in book
    assert np.abs(book[codes(values, book)] - values).max() <= 1 / 250


@pytest.mark.parametrize("outlier", [0, 1e-30, 1000, 1e30])
def test_every_code_is_that_of_the_nearest_entry(outlier: float) -> None:
    """However unevenly a book fills the cells of the table; values beyond it have the code of an end."""
    random = np.random.default_rng(0)
    book = np.sort(np.append(random.standard_normal(255), outlier)).astype(np.float32)
    middles = (book[1:].astype(np.float64) + book[:-1]) / 2
    values = np.concatenate([3 * random.standard_normal(20_000), book, middles]).astype(np.float32)
    np.testing.assert_array_equal(codes(values, book), np.searchsorted(middles, values))


def test_a_palette_that_is_large_enough_is_exact() -> None:
    vectors = np.random.default_rng(0).standard_normal((500, 9)).astype(np.float32)
    centres, labels = palette(np.concatenate([vectors, vectors]), 500)
    assert len(centres) == 500
    np.testing.assert_array_equal(centres[labels], np.concatenate([vectors, vectors]))


@pytest.mark.parametrize("size", [1, 64, 700])
def test_a_smaller_palette_is_near_and_no_larger_than_asked(size: int) -> None:
    random = np.random.default_rng(0)
    groups = random.standard_normal((50, 9)) * 5
    vectors = (groups[random.integers(0, 50, 4000)] + 0.1 * random.standard_normal((4000, 9))).astype(np.float32)
    centres, labels = palette(vectors, size)
    assert len(centres) <= size
    error = np.square(vectors - centres[labels]).mean()
    assert error <= {1: 1.001, 64: 0.25, 700: 0.01}[size] * vectors.var(axis=0).mean()


def test_opacities_come_back_to_half_a_step() -> None:
    logits = np.linspace(-20, 20, 1001).astype(np.float32)
    back = logits_of_bytes(opacity_bytes(logits))
    assert np.isfinite(back).all()
    assert np.abs(1 / (1 + np.exp(-back)) - 1 / (1 + np.exp(-logits))).max() <= 0.5 / 255 + 1e-6


def test_zeros_of_either_sign_are_one_entry_of_a_palette() -> None:
    vectors = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, -0.0], [2.0, 0.0]], np.float32)
    centres, labels = palette(vectors, 2)
    assert len(centres) == 2
    np.testing.assert_array_equal(centres[labels], vectors)
