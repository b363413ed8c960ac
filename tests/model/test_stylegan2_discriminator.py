"""The reference's discriminator: the pose branch, its names, its widths (parity with its numbers: tests/parity)."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model.stylegan2_discriminator import StyleGAN2Discriminator, bounded_lrelu, reference_names
from hgs_toolkit.pose_prior import PosePrior

SMALL = DiscriminatorConfig(resolution=32, channel_base=256, channel_max=16, pose_dim=8)


@pytest.fixture
def discriminator() -> StyleGAN2Discriminator:
    torch.manual_seed(0)
    return StyleGAN2Discriminator(SMALL)


def test_the_reference_names_cover_every_parameter_once(discriminator: StyleGAN2Discriminator) -> None:
    ours = list(reference_names(32).values())
    assert len(ours) == len(set(ours))
    assert set(ours) == set(discriminator.state_dict())


def test_the_label_reaches_the_camera_features_and_never_the_logit(discriminator: StyleGAN2Discriminator) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 32, 32, generator=generator)
    first, second = (discriminator(images, PosePrior().sample(4, generator).labels) for _ in range(2))
    assert torch.equal(first.logits, second.logits)
    assert first.pose_features is not None
    assert second.pose_features is not None
    assert torch.equal(first.pose_features, second.pose_features)
    assert first.camera_features is not None
    assert second.camera_features is not None
    assert first.pose_features.shape == first.camera_features.shape == (4, 8)
    assert not torch.equal(first.camera_features, second.camera_features)


def test_the_pose_branch_is_absent_where_the_configuration_has_none() -> None:
    discriminator = StyleGAN2Discriminator(DiscriminatorConfig(resolution=8, channel_max=4, pose="none"))
    assert not any(name.startswith(("pose", "camera")) for name in discriminator.state_dict())
    output = discriminator(torch.zeros(2, 3, 8, 8), torch.zeros(2, 25))
    assert output.pose_features is None
    assert output.camera_features is None


def test_widths_follow_the_base_over_the_resolution_up_to_the_maximum() -> None:
    discriminator = StyleGAN2Discriminator(DiscriminatorConfig(resolution=32, channel_base=128, channel_max=12))
    state = discriminator.state_dict()
    widths = {r: state[f"blocks.{r}.conv0.weight"].shape[0] for r in (32, 16, 8)}
    assert widths == {32: 4, 16: 8, 8: 12}
    assert state["head.fc.weight"].shape == (12, 12 * 16)


def test_activations_stay_within_their_bound() -> None:
    x = torch.tensor([-1e6, -10.0, 0.5, 1e6])
    torch.testing.assert_close(bounded_lrelu(x), torch.tensor([-256.0, -2.0, 0.5, 256.0]))
