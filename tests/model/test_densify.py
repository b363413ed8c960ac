from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from hgs_toolkit.config import GeneratorConfig, Hierarchy
from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.model.densify import Densify, Parameters, ScaleBounds, from_parent_frames

BOUNDS = ScaleBounds.of_tree(GeneratorConfig())


def make_raw(*shape: int, spread: float = 1.0, seed: int = 0) -> Tensor:
    return torch.randn(*shape, 14, generator=torch.Generator().manual_seed(seed)) * spread


def family(hierarchy: Hierarchy, raw: Tensor | None = None) -> tuple[Parameters, Parameters]:
    """Anchors of the coarsest level (B, P, ·) and their children (B, P, r, S, ·)."""
    densify = Densify(BOUNDS, -2.0, hierarchy)
    anchors, _ = densify.roots(make_raw(2, 6, 2))
    return anchors, densify.offspring(make_raw(2, 6, 4, 2, seed=1) if raw is None else raw, anchors)


def test_scales_run_from_the_spacing_of_the_points_to_a_pixel() -> None:
    assert math.exp(BOUNDS.start) == pytest.approx(1 / 16)
    assert math.exp(BOUNDS.large) == pytest.approx(1 / 256)
    assert math.exp(BOUNDS.step) == pytest.approx(2.0)


@pytest.mark.parametrize("hierarchy", ["full", "position"])
def test_children_lie_in_their_parents_box(hierarchy: Hierarchy) -> None:
    anchors, children = family(hierarchy, make_raw(2, 6, 4, 2, spread=50.0))
    rotation = quats_to_rotmats(anchors.rest[..., :4])[:, :, None, None]
    offset = (rotation.mT @ (children.means - anchors.means[:, :, None, None]).unsqueeze(-1)).squeeze(-1)
    half_width = anchors.log_scales.exp()[:, :, None, None]
    assert (offset.abs() <= half_width * (1 + 1e-4) + 1e-6).all()
    assert (offset.abs() > 0.99 * half_width).any()


@pytest.mark.parametrize("hierarchy", ["full", "scale"])
def test_children_of_large_parents_are_smaller_by_a_step_at_least(hierarchy: Hierarchy) -> None:
    anchors, children = family(hierarchy, make_raw(2, 6, 4, 2, spread=50.0))
    assert (anchors.log_scales.amax(-1) > BOUNDS.large).all()
    bound = anchors.log_scales[:, :, None, None] - BOUNDS.step
    assert (children.log_scales <= bound.clamp_min(BOUNDS.floor) + 1e-5).all()


def test_children_of_small_parents_only_stay_below_them() -> None:
    parent = Parameters(torch.zeros(1, 1, 3), torch.tensor([[[-7.0, -6.5, -6.0]]]), torch.tensor([[[1.0] + [0.0] * 7]]))
    children = Densify(BOUNDS, -2.0).offspring(torch.full((1, 1, 4, 1, 14), 100.0), parent)
    torch.testing.assert_close(children.log_scales[0, 0, 0, 0], parent.log_scales[0, 0])


@pytest.mark.parametrize("hierarchy", ["position", "none"])
def test_without_the_chain_scales_forget_the_parent(hierarchy: Hierarchy) -> None:
    raw = make_raw(2, 6, 4, 2)
    _, children = family(hierarchy, raw)
    expected = BOUNDS.start - torch.nn.functional.softplus(-raw[..., 3:6])
    torch.testing.assert_close(children.log_scales, expected)


@pytest.mark.parametrize("hierarchy", ["scale", "none"])
def test_without_locality_positions_fill_the_box_whatever_the_parent(hierarchy: Hierarchy) -> None:
    raw = make_raw(2, 6, 4, 2)
    torch.testing.assert_close(family(hierarchy, raw)[1].means, raw[..., :3].tanh())


def test_rotation_colour_and_opacity_add_up_along_the_tree() -> None:
    raw = make_raw(2, 6, 4, 2)
    anchors, children = family("full", raw)
    torch.testing.assert_close(children.rest, anchors.rest[:, :, None, None] + raw[..., 6:])


def test_the_baseline_inherits_nothing() -> None:
    raw = make_raw(2, 6, 4, 2)
    expected = raw[..., 6:] + torch.tensor([1.0, 0, 0, 0, 0, 0, 0, -2.0])
    torch.testing.assert_close(family("none", raw)[1].rest, expected)


@pytest.mark.parametrize("hierarchy", get_args(Hierarchy))
def test_raw_zeros_at_the_root_give_the_initial_values(hierarchy: Hierarchy) -> None:
    for parameters in Densify(BOUNDS, -2.0, hierarchy).roots(torch.zeros(1, 3, 2, 14)):
        assert torch.equal(parameters.means, torch.zeros(1, 3, 3))
        assert torch.equal(parameters.rest, torch.tensor([1.0, 0, 0, 0, 0, 0, 0, -2.0]).expand(1, 3, 8))
        torch.testing.assert_close(parameters.log_scales, torch.full((1, 3, 3), BOUNDS.start - math.log(2.0)))


def test_directly_predicted_scales_never_pass_the_ceiling() -> None:
    log_scales = BOUNDS.ceiling(torch.linspace(-50, 50, 101))
    assert (log_scales <= BOUNDS.start).all()
    assert (log_scales.diff() >= 0).all()


def test_placing_is_rotate_scale_and_move() -> None:
    half = math.sqrt(0.5)
    parent = Parameters(
        torch.tensor([[[1.0, 2.0, 3.0]]]),
        torch.tensor([2.0, 3.0, 5.0]).log().expand(1, 1, 3),
        torch.tensor([[[half, 0.0, 0.0, half] + [0.0] * 4]]),  # a quarter turn about z: x -> y, y -> -x
    )
    placed = from_parent_frames(torch.eye(3).view(1, 1, 3, 3), parent)
    expected = torch.tensor([[1.0, 4.0, 3.0], [-2.0, 2.0, 3.0], [1.0, 2.0, 8.0]])
    torch.testing.assert_close(placed[0, 0], expected)
