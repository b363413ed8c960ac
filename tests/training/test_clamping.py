"""The clamp with a way back."""

import torch

from hgs_toolkit.training.clamping import floor_with_way_back


def test_values_are_those_of_an_ordinary_clamp() -> None:
    values = torch.linspace(-2, 2, 9)
    assert torch.equal(floor_with_way_back(values, -1.0), values.clamp_min(-1.0))


def test_below_the_floor_descent_can_raise_a_value_but_not_lower_it() -> None:
    values = torch.tensor([-2.0, -2.0, 0.5, 0.5], requires_grad=True)
    floor_with_way_back(values, -1.0).backward(torch.tensor([-3.0, 3.0, -3.0, 3.0]))
    assert values.grad is not None
    assert values.grad.tolist() == [-3.0, 0.0, -3.0, 3.0]


def test_descent_finds_a_bright_target_from_far_below_the_floor() -> None:
    value = torch.tensor([-5.0], requires_grad=True)
    optimizer = torch.optim.SGD([value], lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        (floor_with_way_back(value, 0.0) - 1.0).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(value.detach(), torch.tensor([1.0]), atol=1e-3, rtol=0)
