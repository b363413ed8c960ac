"""The discriminator on frozen features: what learns, where gradients flow, what its state holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import LABEL_SIZE
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.model.discriminator import make_discriminator
from hgs_toolkit.model.projected_discriminator import ProjectedDiscriminator
from hgs_toolkit.pose_prior import PosePrior
from tests.frozen_features import TwoScales


def make(**settings: Any) -> ProjectedDiscriminator:
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "kind": "projected", "resolution": 16, "channels": (8, 16, 16), "pose": "projection", "pose_dim": 8,
        "feature_size": 32, "feature_channels": 8, "head_channels": 8, "mbstd_group": 0,
    }  # fmt: skip
    made = make_discriminator(DiscriminatorConfig(**(values | settings)), TwoScales)
    assert isinstance(made, ProjectedDiscriminator)
    return made


def images(size: int, channels: int = 3) -> Tensor:
    return torch.rand(size, channels, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def labels(size: int) -> Tensor:
    return PosePrior().sample(size, torch.Generator().manual_seed(2)).labels


def test_every_scale_judges_and_each_judgement_looks_at_the_camera() -> None:
    discriminator = make().eval()
    here, there = discriminator(images(3), labels(3)).logits, discriminator(images(3), labels(3).flip(0)).logits
    assert here.shape == (3, 3)  # the pixels' judgement and one for each of two scales
    assert ((here - there)[0].abs() > 1e-6).all()


def test_the_pretrained_network_is_neither_trained_nor_saved() -> None:
    discriminator = make()
    names = [*dict(discriminator.named_parameters()), *discriminator.state_dict()]
    assert not [name for name in names if name.startswith("network.")]
    assert discriminator.network.get_buffer("fine.weight").shape == (4, 3, 4, 4)


def test_gradients_reach_images_through_the_frozen_network_in_the_generators_step_only() -> None:
    discriminator = make().eval()
    for learns in (True, False):
        discriminator.requires_grad_(learns)
        seen = images(2).requires_grad_()
        logits = discriminator(seen, labels(2)).logits
        (of_pixels,) = torch.autograd.grad(logits[:, 0].sum(), seen, retain_graph=True)
        (of_all,) = torch.autograd.grad(logits.sum(), seen)
        assert torch.equal(of_pixels, of_all) == learns


def test_alpha_is_judged_by_the_pixels_alone_and_views_one_by_one() -> None:
    discriminator = make(alpha=True, views=2).eval()
    seen, cameras = images(2, 8), labels(4).reshape(2, 2 * LABEL_SIZE)
    logits = discriminator(seen, cameras).logits
    clear = seen.clone()
    clear[:, [3, 7]] = -1
    other = discriminator(clear, cameras).logits
    assert torch.equal(logits[:, 1:], other[:, 1:])
    assert not torch.equal(logits[:, 0], other[:, 0])
    swapped = discriminator(seen.roll(4, 1), cameras.roll(LABEL_SIZE, 1)).logits
    torch.testing.assert_close(swapped[:, 1:], logits[:, 1:])
    assert not torch.allclose(swapped[:, 0], logits[:, 0])


def test_every_judgement_looks_at_the_class() -> None:
    discriminator = make(classes=2).eval()
    chairs, tables = torch.eye(2)[[0, 0]], torch.eye(2)[[1, 1]]
    difference = discriminator(images(2), labels(2), chairs).logits - discriminator(images(2), labels(2), tables).logits
    assert (difference.abs() > 1e-6).all()


def test_without_a_pretrained_network_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="pretrained network"):
        make_discriminator(DiscriminatorConfig(kind="projected", resolution=16, channels=(8, 16, 16)))
