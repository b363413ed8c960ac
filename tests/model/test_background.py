from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.model.background import BackgroundGenerator, ModulatedHeads, ModulatedLinear, initial_points

CONFIG = GeneratorConfig(w_dim=6, background_points=10, background_channels=8, background_radius=3.0)


@pytest.fixture
def background() -> BackgroundGenerator:
    torch.manual_seed(0)
    return BackgroundGenerator(CONFIG)


def test_all_gaussians_lie_on_the_sphere(background: BackgroundGenerator) -> None:
    coarse, fine = background(torch.randn(2, 6))
    assert (coarse.means.shape, fine.means.shape) == ((2, 10, 3), (2, 40, 3))
    for part in (coarse, fine):
        torch.testing.assert_close(part.means.norm(dim=-1), torch.full(part.means.shape[:2], 3.0))


def test_coarse_points_stay_and_fine_ones_move_with_the_style(background: BackgroundGenerator) -> None:
    coarse, fine = background(torch.randn(2, 6))
    assert torch.equal(coarse.means[0], coarse.means[1])
    assert not torch.allclose(fine.means[0], fine.means[1])


def test_the_radius_is_a_setting() -> None:
    torch.manual_seed(0)
    coarse, _ = BackgroundGenerator(replace(CONFIG, background_radius=7.0))(torch.randn(1, 6))
    torch.testing.assert_close(coarse.means.norm(dim=-1), torch.full((1, 10), 7.0))


def test_points_start_behind_the_subject() -> None:
    torch.manual_seed(0)
    points = initial_points(1000)
    assert (points[:, 2] <= 0).all()
    torch.testing.assert_close(points.square().mean(1), torch.ones(1000))


def test_a_modulated_layer_is_its_equations() -> None:
    torch.manual_seed(0)
    layer = ModulatedLinear(8, 5, 6)
    layer.bias.data.normal_()
    x, w = torch.randn(3, 4, 8), torch.randn(3, 6)
    expected = []
    for scene, style in zip(x, layer.affine(w), strict=True):
        weight: Tensor = layer.weight * style
        weight = weight / (weight.square().sum(1, keepdim=True) + 1e-8).sqrt()
        expected.append(functional.leaky_relu(functional.linear(scene, weight, layer.bias), 0.2) * 2**0.5)
    torch.testing.assert_close(layer(x, w), torch.stack(expected))


def test_demodulation_forgets_the_strength_of_a_style() -> None:
    torch.manual_seed(0)
    layer = ModulatedLinear(8, 5, 6)
    assert layer.affine.bias is not None
    x, w = torch.randn(3, 4, 8), torch.randn(3, 6)
    before = layer(x, w)
    layer.affine.weight.data *= 5.0
    layer.affine.bias.data *= 5.0
    torch.testing.assert_close(layer(x, w), before, atol=1e-5, rtol=1e-5)


def test_each_kind_of_parameter_has_its_own_style_in_the_fused_head() -> None:
    torch.manual_seed(0)
    heads = ModulatedHeads(8, 6)
    heads.bias.data.normal_()
    x, w = torch.randn(3, 4, 8), torch.randn(3, 6)
    styles = heads.affine(w).view(3, 5, 8)
    parts, row = [], 0
    for kind, size in enumerate((3, 3, 4, 3, 1)):
        modulated = heads.weight[row : row + size] * styles[:, None, kind] / 8**0.5
        parts.append(x @ modulated.mT + heads.bias[row : row + size])
        row += size
    torch.testing.assert_close(heads(x, w), torch.cat(parts, -1))
