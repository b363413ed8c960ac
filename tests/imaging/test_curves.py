"""Closed curves at an even pace."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgs_toolkit.imaging.curves import closed_curve, repaced


def points(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.integers(2, 7), st.integers(0, 1000))
def test_steps_are_even_and_the_last_leads_back_to_the_first(count: int, seed: int) -> None:
    stops = points(count, 6, seed)
    curve = closed_curve(stops, 200)
    torch.testing.assert_close(curve[0], stops[0])
    steps = (curve.roll(-1, 0) - curve).norm(dim=-1)
    assert steps.max() < 1.1 * steps.median()


@settings(deadline=None)
@given(st.integers(2, 7), st.integers(0, 1000))
def test_the_curve_passes_every_point_within_a_step(count: int, seed: int) -> None:
    stops = points(count, 6, seed)
    curve = closed_curve(stops, 400)
    step = (curve[1] - curve[0]).norm()
    assert torch.cdist(stops, curve).min(dim=1).values.max() < 0.51 * step


def test_points_on_a_circle_give_nearly_the_circle() -> None:
    angle = torch.arange(8) * (torch.pi / 4)
    curve = closed_curve(torch.stack([angle.cos(), angle.sin()], -1), 100)
    torch.testing.assert_close(curve.norm(dim=-1), torch.ones(100), atol=3e-3, rtol=0)
    turn = torch.arange(100) * (2 * torch.pi / 100)
    torch.testing.assert_close(curve, torch.stack([turn.cos(), turn.sin()], -1), atol=5e-3, rtol=0)


def test_the_direction_does_not_jump_where_the_curve_closes() -> None:
    curve = closed_curve(points(4, 3), 2000)
    direction = torch.nn.functional.normalize(curve.roll(-1, 0) - curve, dim=-1)
    turning = (direction * direction.roll(1, 0)).sum(-1).clamp(-1, 1).acos()
    assert turning.max() < 0.1  # a corner of straight lines would be about 2


@pytest.mark.parametrize("count", [1, 3])
def test_points_that_coincide_are_a_standstill(count: int) -> None:
    stops = points(1, 4).expand(count, -1)
    assert torch.equal(closed_curve(stops, 5), stops[:1].expand(5, -1))
    partly = torch.cat([points(1, 4), points(1, 4), points(1, 4, 1)])
    assert closed_curve(partly, 50).isfinite().all()


def test_repacing_spends_the_same_effort_between_points() -> None:
    angle = torch.arange(400) * (2 * torch.pi / 400)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    slow_on_the_left = 2 - angle.cos()
    walked = repaced(circle, slow_on_the_left, 40)
    torch.testing.assert_close(walked[0], circle[0])
    steps = (walked.roll(-1, 0) - walked).norm(dim=-1)
    middle = 0.5 * (walked.roll(-1, 0) + walked)[:, 0]
    torch.testing.assert_close(steps * (2 - middle), (steps * (2 - middle)).mean().expand(40), rtol=0.02, atol=0)


def test_repacing_by_length_changes_nothing() -> None:
    curve = closed_curve(points(4, 3), 100)
    torch.testing.assert_close(repaced(curve, torch.ones(100), 100), curve)
    torch.testing.assert_close(repaced(curve, torch.ones(100), 50), curve[::2])
