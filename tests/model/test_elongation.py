"""A bound on how long a Gaussian may be for its width."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.densify import Parameters
from hgs_toolkit.model.generator import Generator

FREE = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=16, points=16, channels=(32, 16), level_blocks=("adain",), transformer_blocks=1,
    heads=2, pose_conditioned=False, view_dependent_color=False, background_points=5, background_channels=8,
    head_init=(1.0, 3.0, 0.1, 1.0, 1.0),
)  # fmt: skip
RATIO = 1.5


def _scene(config: GeneratorConfig) -> GaussianHierarchy:
    torch.manual_seed(0)
    scene = Generator(config).eval()(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))
    assert isinstance(scene, GaussianHierarchy)
    return scene


def _sorted(scene: GaussianHierarchy) -> torch.Tensor:
    return scene.log_scales.exp()[:, ~scene.is_background].sort(-1).values  # (B, N, 3), smallest first


def test_the_largest_scale_is_at_most_so_many_times_the_middle_one_and_nothing_else_changes() -> None:
    free, bounded = _scene(FREE), _scene(replace(FREE, max_elongation=RATIO))
    before, after = _sorted(free), _sorted(bounded)
    needles = before[..., 2] > RATIO * before[..., 1]
    assert 0 < needles.sum() < needles.numel()
    expected = torch.minimum(before[..., 2], RATIO * before[..., 1])
    torch.testing.assert_close(after[..., 2], expected, atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(after[..., :2], before[..., :2], atol=0, rtol=0)
    for name in ("means", "quats", "sh", "opacity_logits"):
        torch.testing.assert_close(getattr(bounded, name), getattr(free, name), atol=0, rtol=0)
    background = free.is_background
    torch.testing.assert_close(bounded.log_scales[:, background], free.log_scales[:, background], atol=0, rtol=0)


def test_each_axis_may_be_the_long_one() -> None:
    free = _scene(FREE)
    tree = ~free.is_background
    before, after = free.log_scales[:, tree], _scene(replace(FREE, max_elongation=RATIO)).log_scales[:, tree]
    assert set((after < before).nonzero()[:, 2].tolist()) == {0, 1, 2}


def test_no_bound_by_default() -> None:
    assert FREE.max_elongation is None
    scales = _sorted(_scene(FREE))
    assert (scales[..., 2] / scales[..., 1]).max() > 2 * RATIO


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]])
def test_a_bounded_scale_moves_the_one_that_bounds_it(order: list[int]) -> None:
    scales = torch.tensor([0.0, 1.0, 3.0])[order].requires_grad_()
    parameters = Parameters(torch.zeros(1, 3), scales[None], torch.zeros(1, 8))
    bounded = parameters.without_needles(RATIO).log_scales[0]
    longest, middle = order.index(2), order.index(1)
    torch.testing.assert_close(bounded[longest], torch.tensor(1.0) + math.log(RATIO))
    bounded[longest].backward()
    assert scales.grad is not None
    assert scales.grad.nonzero().flatten().tolist() == [middle]


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"generator\.max_elongation is 0\.5; expected 1 or more"):
        replace(FREE, max_elongation=0.5)
