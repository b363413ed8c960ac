from __future__ import annotations

import math

import pytest
import torch

from hgs_toolkit.model.heads import Heads

INIT = (1.0, 0.1, 0.2, 0.5, 3.0)


def make_heads(*, anchors: bool = True, view_dependent: bool = False, soft_clamp: float | None = None) -> Heads:
    torch.manual_seed(0)
    heads = Heads(16, anchors=anchors, init=INIT, view_dependent=view_dependent, soft_clamp=soft_clamp)
    heads.bias.data.normal_()
    return heads


def test_the_fused_head_is_one_equalised_layer_for_each_parameter() -> None:
    heads, x, view = make_heads(view_dependent=True), torch.randn(2, 7, 16), torch.randn(2, 32)
    raw = heads(x, view)
    weight, bias = heads.weight.view(2, 14, 16), heads.bias.view(2, 14)
    for columns in (slice(0, 3), slice(3, 6), slice(6, 10), slice(10, 13), slice(13, 14)):
        expected = x @ weight[0, columns].mT / 4 + bias[0, columns]
        torch.testing.assert_close(raw[:, :, 0, columns], expected)
    assert heads.view_weight is not None
    beside = torch.cat([x, view[:, None].expand(2, 7, 32)], dim=-1)
    color = beside @ torch.cat([weight[1, 10:13], heads.view_weight], dim=1).mT / math.sqrt(48) + bias[1, 10:13]
    torch.testing.assert_close(raw[:, :, 1, 10:13], color)


def test_the_viewing_direction_touches_the_gaussians_colour_only() -> None:
    heads, x = make_heads(view_dependent=True), torch.randn(2, 7, 16)
    changed = (heads(x, torch.randn(2, 32)) - heads(x, torch.zeros(2, 32))).abs().amax((0, 1)) > 0
    expected = torch.zeros(2, 14, dtype=torch.bool)
    expected[1, 10:13] = True
    assert torch.equal(changed, expected)


def test_initial_factors_scale_the_rows() -> None:
    torch.manual_seed(0)
    heads = Heads(4096, anchors=False, init=INIT, view_dependent=False, soft_clamp=None)
    spread = heads.weight.std(1)
    expected = torch.tensor([1.0] * 3 + [0.1] * 3 + [0.2] * 4 + [0.5] * 3 + [3.0])
    torch.testing.assert_close(spread, expected, rtol=0.05, atol=0)


def test_a_soft_clamp_bends_raw_outputs_and_leaves_small_ones() -> None:
    plain, clamped = make_heads(), make_heads(soft_clamp=10.0)
    x = torch.randn(1, 50, 16) * torch.logspace(-3, 2, 50)[:, None]
    raw = plain(x, None)
    torch.testing.assert_close(clamped(x, None), 10.0 * torch.tanh(raw / 10.0))


@pytest.mark.parametrize(("anchors", "sets"), [(True, 2), (False, 1)])
def test_a_level_without_anchors_has_one_set(anchors: bool, sets: int) -> None:
    assert make_heads(anchors=anchors)(torch.zeros(3, 5, 16), None).shape == (3, 5, sets, 14)


def test_raw_outputs_stay_float32_under_autocast() -> None:
    heads, x = make_heads(), torch.randn(1, 5, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(heads(x, None), heads(x, None).float())
        torch.testing.assert_close(heads(x, None), make_heads()(x, None), rtol=0, atol=0)
