"""The losses against closed forms and against their definitions written out."""

import math

import torch

from hgs_toolkit.training import losses
from hgs_toolkit.training.distributed import World


def test_undecided_logits_cost_log_two_for_each_side() -> None:
    zeros = torch.zeros(5)
    assert math.isclose(losses.logistic_discriminator_loss(zeros, zeros).item(), 2 * math.log(2), rel_tol=1e-6)
    assert math.isclose(losses.relativistic_discriminator_loss(zeros, zeros).item(), math.log(2), rel_tol=1e-6)


def test_the_relativistic_loss_sees_only_the_difference_and_is_antisymmetric_between_the_players() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(8, generator=generator), torch.randn(8, generator=generator)
    shifted = losses.relativistic_discriminator_loss(real + 3, fake + 3)
    torch.testing.assert_close(shifted, losses.relativistic_discriminator_loss(real, fake))
    torch.testing.assert_close(
        losses.relativistic_generator_loss(real, fake), losses.relativistic_discriminator_loss(fake, real)
    )


def test_the_gradient_penalty_of_a_linear_score_is_its_squared_norm() -> None:
    weights = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    images = torch.rand(6, 3, 4, 4, requires_grad=True)
    penalty = losses.gradient_penalty((images * weights).sum(dim=(1, 2, 3)), images)
    torch.testing.assert_close(penalty, weights.square().sum())
    (gradient,) = torch.autograd.grad(penalty, weights)
    torch.testing.assert_close(gradient, 2 * weights)


def test_the_pose_loss_is_small_only_where_each_image_matches_its_own_camera() -> None:
    features = torch.eye(8)
    matched = losses.pose_loss(features, features, 0.1, World())
    shuffled = losses.pose_loss(features, features.roll(1, 0), 0.1, World())
    assert matched < 1e-3
    assert shuffled > 9.9
    torch.testing.assert_close(losses.pose_loss(3 * features, 7 * features, 0.1, World()), matched)


def test_the_neighbor_loss_of_a_regular_line_is_the_squared_spacing() -> None:
    line = torch.zeros(2, 50, 3)
    line[..., 0] = torch.arange(50) * 0.1
    interior = losses.neighbor_loss(line, 1)
    torch.testing.assert_close(interior, torch.tensor(0.01))


def test_the_neighbor_loss_agrees_with_its_definition_written_out() -> None:
    points = torch.rand(2, 12, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    squared = (points[:, :, None] - points[:, None]).square().sum(-1)
    expected = squared.sort(dim=-1).values[..., 1:6].mean()
    torch.testing.assert_close(losses.neighbor_loss(points, 5), expected)


def test_the_neighbor_loss_takes_all_others_where_there_are_fewer() -> None:
    points = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(losses.neighbor_loss(points, 64), losses.neighbor_loss(points, 3))


def test_the_center_loss_vanishes_for_a_centered_cloud_and_grows_with_the_offset() -> None:
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(4))
    points -= points.mean(1, keepdim=True)
    assert losses.center_loss(points) < 1e-12
    torch.testing.assert_close(losses.center_loss(points + torch.tensor([3.0, 0, 0])), torch.tensor(3.0))
