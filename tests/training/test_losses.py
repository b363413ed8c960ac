"""The losses against closed forms and against their definitions written out."""

import math

import torch

from hgs_toolkit.encoding import opacities_to_logits, rgb_to_dc
from hgs_toolkit.gaussians import GaussianHierarchy
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


def family(colors: list[float], opacities: list[float]) -> GaussianHierarchy:
    """A root, one child of it, and that child's children of the given grey colours."""
    count = 2 + len(colors)
    shades = torch.tensor([0.0, 0.9, *colors])
    return GaussianHierarchy(
        means=torch.zeros(1, count, 3), log_scales=torch.zeros(1, count, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4).contiguous(),
        opacity_logits=opacities_to_logits(torch.tensor([0.5, 0.5, *opacities]))[None],
        sh=rgb_to_dc(shades)[None, :, None, None].expand(1, count, 1, 3).contiguous(),
        level=torch.tensor([0, 1, *[2] * len(colors)]), parent=torch.tensor([-1, 0, *[1] * len(colors)]),
    )  # fmt: skip


def test_the_color_loss_is_the_variance_within_a_family_weighted_by_opacity() -> None:
    scene = family([0.2, 0.6, 0.6], [0.8, 0.8, 0.4])
    mean = (0.8 * 0.2 + 0.8 * 0.6 + 0.4 * 0.6) / 2.0
    spread = 0.8 * (0.2 - mean) ** 2 + 1.2 * (0.6 - mean) ** 2
    expected = torch.tensor(spread / 2.5)  # the only child of the root is a family of its own and agrees with itself
    torch.testing.assert_close(losses.family_color_loss(scene), expected, atol=1e-6, rtol=1e-4)


def test_one_color_costs_nothing_and_roots_may_differ() -> None:
    assert losses.family_color_loss(family([0.3, 0.3], [0.9, 0.1])) < 1e-10
    only_roots = family([], []).select(torch.tensor([True, False]))
    assert losses.family_color_loss(only_roots) == 0


def test_the_color_loss_moves_colors_and_nothing_else() -> None:
    scene = family([0.1, 0.7], [0.5, 0.5])
    sh, logits = scene.sh.clone().requires_grad_(), scene.opacity_logits.clone().requires_grad_()
    losses.family_color_loss(scene.replace(sh=sh, opacity_logits=logits)).backward()
    assert logits.grad is None
    assert sh.grad is not None
    assert sh.grad[0, 2].sum() < 0 < sh.grad[0, 3].sum()
