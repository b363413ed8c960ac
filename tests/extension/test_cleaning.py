"""Floaters and brushes, computed without Blender."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.core.brushing import BrushView, touched
from blender_addon.core.cleaning import FloaterLimits, connected_parts, find_floaters
from blender_addon.core.splats import ActivatedSplats


def test_parts_are_connected_by_chains_and_ordered_by_size() -> None:
    line = np.c_[np.arange(50) * 0.9, np.zeros((50, 2))]
    pair = np.array([[10.0, 7, 0], [10.5, 7.5, 0.5]])
    alone = np.array([[-20.0, 0, 0]])
    part = connected_parts(np.concatenate([alone, pair, line]).astype(np.float32), 1.0)
    assert part.tolist() == [2, 1, 1] + [0] * 50


@pytest.mark.parametrize("gap", [1e-12, 0.05, 10.0])
def test_parts_are_those_of_a_search_from_neighbour_to_neighbour(gap: float) -> None:
    places = np.random.default_rng(0).random((300, 3)).astype(np.float32)
    part = connected_parts(places, gap)
    side = max(gap, 1 / (1 << 20))
    cell = np.floor((places - places.min(0).astype(float)) / side)
    near = (np.abs(cell[:, None] - cell[None]) <= 1).all(-1)
    reach = np.linalg.matrix_power(near.astype(float), 1)
    for _ in range(9):  # paths of up to 512 steps
        reach = (reach @ reach > 0).astype(float)
    np.testing.assert_array_equal(part[:, None] == part[None], reach > 0)
    assert (np.diff(np.bincount(part)) <= 0).all()


def test_faint_gaussians_connect_nothing_and_those_that_are_gone_stay_so() -> None:
    places = np.c_[np.arange(30) * 0.9, np.zeros((30, 2))].astype(np.float32)
    base = np.full((30, 4), 0.9, np.float32)
    base[20:23, 3] = 0.01  # cuts the line in two
    splats = ActivatedSplats(
        places, np.full((30, 3), 0.1, np.float32), np.zeros((30, 4), np.float32), base, np.zeros((30, 0, 3), np.float32)
    )
    candidates = np.arange(30) != 0

    def no_distances(body: np.ndarray, others: np.ndarray) -> np.ndarray:
        raise AssertionError("distances are not asked for")

    found = find_floaters(splats, FloaterLimits(opacity=0.1, share=0.4, gap=1.0), candidates, no_distances)
    assert np.flatnonzero(found).tolist() == list(range(20, 30))


def test_a_brush_ignores_what_is_behind_the_camera_of_a_perspective_view() -> None:
    projection = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]])
    view = BrushView(np.eye(4), projection, 100, 100)
    places = np.array([[0.0, 0, -2], [0, 0, 2], [0, 0, -2.1], [1, 0, -2], [0, 0, -9]])
    assert touched(places, view, (50, 50), 5, through=False).tolist() == [0, 2]
    assert touched(places, view, (50, 50), 5, through=True).tolist() == [0, 2, 4]
