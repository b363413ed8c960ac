"""Composition, blur, mirroring, colour and cutout, and the control of their strength."""

import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.config import AugmentConfig
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.training.inputs.augment import Augmentation, blur, blur_matrix, compose, mirror


def test_composition_shows_the_background_exactly_where_alpha_is_zero() -> None:
    images = torch.randint(0, 256, (2, 4, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[..., 3] = torch.tensor([0, 255, 0, 255], dtype=torch.uint8)
    background = torch.tensor([[0.2, 0.4, 0.6], [0.0, 1.0, 0.5]])
    composed = compose(images, background)
    torch.testing.assert_close(composed[..., 0], (background * 2 - 1)[:, :, None].expand(2, 3, 4))
    opaque = images[:, :, 1, :3].movedim(-1, 1) / 255.0 * 2 - 1
    torch.testing.assert_close(composed[..., 1], opaque)


def test_images_without_alpha_ignore_the_background() -> None:
    images = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    assert (compose(images, torch.zeros(1, 3)) == 1).all()


def test_mirroring_twice_gives_back_image_and_camera() -> None:
    labels = PosePrior().sample(4, torch.Generator().manual_seed(1)).labels
    images = torch.rand(4, 8, 8, 3)
    flags = torch.tensor([True, False, True, True])
    once = mirror(images, labels, flags)
    twice = mirror(*once, flags)
    torch.testing.assert_close(twice[0], images)
    torch.testing.assert_close(twice[1], labels)
    assert not torch.equal(once[0][0], images[0])
    assert torch.equal(once[0][1], images[1])


def test_the_mirrored_camera_stands_on_the_other_side_at_the_same_height() -> None:
    camera = from_yaw_pitch(torch.tensor([0.4]), torch.tensor([0.2]))
    _, labels = mirror(torch.empty(1, 1, 1, 0), camera.labels, torch.tensor([True]))
    yaw, pitch, radius = yaw_pitch_radius(labels[..., :16].unflatten(-1, (4, 4)))
    torch.testing.assert_close(torch.cat([yaw, pitch, radius]), torch.tensor([-0.4, 0.2, 2.7]))


@pytest.mark.parametrize("sigma", [0.7, 1.0, 4.0])
def test_blur_keeps_constant_images_and_the_mean_of_what_is_inside(sigma: float) -> None:
    constant = torch.full((1, 3, 32, 32), 0.7)
    torch.testing.assert_close(blur(constant, sigma), constant)
    spot = torch.zeros(1, 3, 65, 65)
    spot[..., 32, 32] = 1.0
    blurred = blur(spot, sigma)
    torch.testing.assert_close(blurred.sum(), spot.sum())
    offsets = torch.arange(65) - 32.0
    variance = (blurred[0, 0].sum(0) * offsets**2).sum()
    # A Gaussian sampled at whole pixels and cut at 3 sigma has a slightly smaller variance.
    assert variance.item() == pytest.approx(sigma**2, rel=0.05, abs=0.08)


def test_blur_treats_rows_and_columns_alike_and_handles_images_that_are_not_square() -> None:
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(blur(image, 1.5).mT, blur(image.mT.contiguous(), 1.5))
    assert blur_matrix(5, 2.0).sum(1).allclose(torch.ones(5))


def test_no_blur_returns_the_image_itself() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert blur(image, 0.0) is image


def test_augmentation_that_is_switched_off_returns_the_image_itself() -> None:
    augmentation = Augmentation(AugmentConfig())
    image = torch.rand(2, 3, 8, 8)
    assert augmentation.apply(image, augmentation.draw(2, torch.Generator())) is image


def test_color_and_cutout_change_the_chosen_images_only() -> None:
    augmentation = Augmentation(AugmentConfig(color=0.5, cutout=0.5))
    images = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    numbers = augmentation.draw(64, torch.Generator().manual_seed(4))
    changed = augmentation.apply(images, numbers)
    untouched = (numbers[:, 0] >= 0.5) & (numbers[:, 4] >= 0.5)
    assert 5 < untouched.sum() < 30
    assert torch.equal(changed[untouched], images[untouched])
    assert (changed[~untouched] != images[~untouched]).flatten(1).any(1).all()


def test_cutout_blanks_at_most_a_quarter_of_the_image() -> None:
    augmentation = Augmentation(AugmentConfig(cutout=1.0))
    blank = augmentation.apply(torch.ones(32, 3, 16, 16), augmentation.draw(32, torch.Generator().manual_seed(5))) == 0
    share = blank[:, 0].float().mean(dim=(1, 2))
    assert share.max() <= 0.25
    assert share.min() >= 0.25 / 4


def test_adaptive_strength_rises_while_d_is_too_sure_of_real_images_and_falls_otherwise() -> None:
    augmentation = Augmentation(AugmentConfig(color=1.0, adaptive_target=0.6, adaptive_kimg=1.0))
    assert not augmentation.active
    augmentation.adapt(0.9, 100)
    assert augmentation.strength == pytest.approx(0.1)
    augmentation.adapt(0.1, 40)
    assert augmentation.strength == pytest.approx(0.06)
    for _ in range(50):
        augmentation.adapt(0.9, 100)
    assert augmentation.strength == 1.0


def test_augmentation_passes_gradients_of_second_order() -> None:
    augmentation = Augmentation(AugmentConfig(color=1.0, cutout=1.0))
    images = (torch.rand(2, 3, 8, 8, dtype=torch.float64) * 2 - 1).requires_grad_()
    numbers = augmentation.draw(2, torch.Generator().manual_seed(6))
    assert torch.autograd.gradgradcheck(lambda x: augmentation.apply(blur(x, 0.7), numbers).square().sum(), images)
