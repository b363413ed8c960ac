from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.model import layers
from hgs_toolkit.model.layers import MLP, AdaIN, EqualLinear, in_pieces


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_equal_linear_is_its_formula() -> None:
    layer = EqualLinear(6, 4, activation="lrelu", lr_multiplier=0.01, bias_init=0.3, input_gain=2.0)
    x = torch.randn(5, 6)
    assert layer.bias is not None
    linear = functional.linear(2.0 * x, layer.weight * (0.01 / math.sqrt(6)), layer.bias * 0.01)
    torch.testing.assert_close(layer(x), functional.leaky_relu(linear, 0.2) * math.sqrt(2))


def test_scaling_the_input_or_the_weight_is_the_same() -> None:
    layer = EqualLinear(8, 8)
    x = torch.randn(100, 8)  # more numbers than the weight has; single rows have fewer
    torch.testing.assert_close(layer(x), torch.cat([layer(row) for row in x.split(1)]))


def test_a_learning_rate_multiplier_changes_the_speed_and_not_the_start() -> None:
    torch.manual_seed(1)
    slow = EqualLinear(16, 3, lr_multiplier=0.01, bias_init=1.0)
    torch.manual_seed(1)
    usual = EqualLinear(16, 3, bias_init=1.0)
    x = torch.randn(7, 16)
    torch.testing.assert_close(slow(x), usual(x))
    (slow(x).sum() + usual(x).sum()).backward()
    assert slow.weight.grad is not None
    assert usual.weight.grad is not None
    torch.testing.assert_close(slow.weight.grad, usual.weight.grad * 0.01)


def test_variance_is_kept_from_layer_to_layer() -> None:
    x = EqualLinear(512, 512, activation="lrelu")(torch.randn(2000, 512))
    assert x.square().mean().item() == pytest.approx(1.0, abs=0.05)


def test_adain_gives_every_channel_the_mean_and_spread_of_its_style() -> None:
    norm = AdaIN(3, 4)
    x, w = torch.randn(2, 50, 3) * torch.tensor([1.0, 10.0, 0.01]) + 5.0, torch.randn(2, 4)
    y, _ = norm(x, w)
    gamma, beta, _ = norm.style(w).chunk(3, dim=-1)
    torch.testing.assert_close(y.mean(1), beta, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(y.std(1, correction=0), gamma.abs(), atol=1e-4, rtol=1e-4)


def test_adain_starts_with_a_layer_scale_of_zero_and_gamma_around_one() -> None:
    norm = AdaIN(200, 64)
    _, scale = norm(torch.randn(3, 10, 200), torch.zeros(3, 64))
    assert torch.equal(scale, torch.zeros(3, 1, 200))
    assert torch.equal(norm.style(torch.zeros(1, 64))[:, :200], torch.ones(1, 200))


def test_the_written_out_backward_pass_of_adain_is_its_gradient() -> None:
    x, gamma, beta = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in
                      ((2, 7, 3), (2, 1, 3), (2, 1, 3)))  # fmt: skip
    assert torch.autograd.gradcheck(layers._instance_norm, (x, gamma, beta))


def test_a_channel_without_spread_gives_finite_gradients() -> None:
    x = torch.ones(1, 5, 2, requires_grad=True)
    y = layers._instance_norm(x, torch.ones(1, 1, 2), torch.zeros(1, 1, 2))
    (y * torch.randn(1, 5, 2)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PIECE", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def mlp_and_gradients(mlp: MLP, x: Tensor) -> list[Tensor]:
    mlp.zero_grad()
    y: Tensor = mlp(x)
    y.square().sum().backward()
    return [y.detach(), *(p.grad.clone() for p in mlp.parameters() if p.grad is not None)]


def test_an_mlp_in_pieces_gives_the_values_and_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, x = MLP(5), torch.randn(3, 31, 5)
    whole = mlp_and_gradients(mlp, x)
    monkeypatch.setattr(layers, "PIECE", 100)
    pieces = mlp_and_gradients(mlp, x)
    assert len(whole) == 5
    for a, b in zip(whole, pieces, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("width", "multiple", "longest"), [(10, 1, 10), (10, 4, 8), (1000, 1, 1), (1000, 4, 4)])
def test_pieces_are_as_long_as_allowed_in_whole_groups(width: int, multiple: int, longest: int) -> None:
    lengths: list[int] = []

    def note(a: Tensor, b: Tensor) -> Tensor:
        lengths.append(len(a))
        return a + b

    x = torch.arange(40.0)
    assert torch.equal(in_pieces(note, x, x, width=width, multiple=multiple), 2 * x)
    assert set(lengths) == {longest}
