"""Squashed colours and feature precision of the generator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hgs_toolkit.config import GeneratorConfig, LevelBlock
from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.model.generator import Generator

SMALL = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=16, points=16, channels=(32, 16), level_blocks=("adain",), transformer_blocks=1,
    heads=2, pose_conditioned=False, view_dependent_color=False, background="none", head_init=(1.0, 0.1, 0.1, 5.0, 1.0),
)  # fmt: skip


def _generator(config: GeneratorConfig) -> Generator:
    torch.manual_seed(0)
    return Generator(config).eval()


def _z(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1))


def test_bounded_colours_stay_between_black_and_white_and_on_their_side_of_grey() -> None:
    free = _generator(SMALL)(_z()).sh
    bounded = _generator(replace(SMALL, bounded_color=True))(_z()).sh
    rgb = 0.5 + SH_C0 * bounded
    assert free.abs().max() > 2.0  # the unbounded ones leave 0..1: |c| = 1.77 is black or white
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert bool(((free > 0) == (bounded > 0)).all())


def test_near_grey_a_bounded_colour_is_the_unbounded_one() -> None:
    quiet = replace(SMALL, head_init=(1.0, 0.1, 0.1, 1e-3, 1.0))
    free, bounded = _generator(quiet)(_z()).sh, _generator(replace(quiet, bounded_color=True))(_z()).sh
    torch.testing.assert_close(bounded, free, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("blocks", ["adain", "local", "adaptive"])
def test_bfloat16_features_leave_float32_gaussians_close_to_the_exact_ones(blocks: LevelBlock) -> None:
    config = replace(SMALL, level_blocks=(blocks,), neighbors=4)
    exact = _generator(config)(_z())
    rough = _generator(replace(config, precision="bfloat16"))(_z())
    assert rough.means.dtype == torch.float32
    assert not torch.equal(rough.means, exact.means)
    assert (rough.means - exact.means).abs().max() < 0.05
    rough.means.square().sum().backward()
