"""Distances between pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.inversion.networks import feature_networks
from hgs_toolkit.inversion.objective import (
    Objective,
    discriminator_features,
    extractor_features,
    feature_distances,
    gradient_distance,
)
from hgs_toolkit.inversion.quality import compare
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.model.discriminator import make_discriminator

DISCRIMINATORS = {
    "residual": DiscriminatorConfig(
        kind="residual", resolution=16, channels=(4, 8, 8), pose="projection", mbstd_group=0
    ),
    "stylegan2": DiscriminatorConfig(resolution=16, channel_base=128, channel_max=8, pose_dim=4),
}


def _pictures(seed: int, size: int = 16) -> torch.Tensor:
    return torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed))


def test_equal_pictures_are_at_distance_zero_and_others_are_not() -> None:
    objective = Objective()
    assert objective(_pictures(0), _pictures(0)) == 0
    assert objective(_pictures(0), _pictures(1)) > 0.1
    assert objective(_pictures(0), _pictures(1)) == objective(_pictures(1), _pictures(0))


def test_gradients_ignore_a_change_of_brightness() -> None:
    picture = _pictures(0).movedim(-1, 1)
    assert gradient_distance(picture, picture + 0.3) < 1e-6
    assert gradient_distance(picture, picture.flip(-1)) > 0.1


def test_one_pixel_pictures_have_no_gradient() -> None:
    assert Objective()(_pictures(0, 1), _pictures(1, 1)).isfinite()


@pytest.mark.parametrize("kind", sorted(DISCRIMINATORS))
def test_a_discriminators_features_tell_pictures_apart_and_are_differentiable(kind: str) -> None:
    torch.manual_seed(0)
    discriminator = make_discriminator(DISCRIMINATORS[kind]).requires_grad_(False)
    features = discriminator_features(discriminator, frontal().labels)
    a, b = _pictures(0).movedim(-1, 1).requires_grad_(True), _pictures(1).movedim(-1, 1)
    assert len(features(b)) >= 2
    assert feature_distances(features, b, b) == 0
    distance = feature_distances(features, a, b)
    assert 0 < distance < 4  # squared distance of unit vectors
    distance.backward()
    assert a.grad is not None
    assert a.grad.abs().max() > 0
    assert not any(module._forward_hooks for module in discriminator.modules())


def test_every_view_is_compared_under_its_own_camera() -> None:
    torch.manual_seed(0)
    discriminator = make_discriminator(DISCRIMINATORS["residual"]).requires_grad_(False)
    features = discriminator_features(discriminator, frontal().labels.repeat(2, 1))
    a = torch.cat([_pictures(0), _pictures(1)])
    b = torch.cat([_pictures(0), _pictures(2)])
    rows = compare(a, b, {"discriminator": features})
    assert rows[0]["features_discriminator"] == 0
    assert rows[1]["features_discriminator"] > 0


def test_an_extractors_layers_are_features_too() -> None:
    features = extractor_features(make_extractor("squeeze"))
    a, b = _pictures(0).movedim(-1, 1), _pictures(1).movedim(-1, 1)
    assert len({layer.shape[1:] for layer in features(a)}) >= 3
    assert feature_distances(features, a, a) == 0
    assert feature_distances(features, a, b) > feature_distances(features, a, a * 0.98) > 0


def test_a_discriminator_with_alpha_sees_the_photographs_coverage_beside_both() -> None:
    torch.manual_seed(0)
    config = replace(DISCRIMINATORS["residual"], alpha=True)
    discriminator = make_discriminator(config).requires_grad_(False)
    a, b = _pictures(0).movedim(-1, 1), _pictures(1).movedim(-1, 1)
    coverage = torch.zeros(1, 16, 16, 1)
    coverage[:, 4:12] = 1
    whole, part = (discriminator_features(discriminator, frontal().labels, alpha) for alpha in (None, coverage))
    assert feature_distances(part, b, b) == 0
    assert feature_distances(part, a, b) > 0
    assert not torch.equal(whole(a)[0], part(a)[0])


def test_a_discriminator_of_several_views_is_passed_over_and_refused_by_name() -> None:
    pairs = make_discriminator(replace(DISCRIMINATORS["residual"], views=2))
    assert "discriminator" not in feature_networks("auto", lambda: pairs, frontal())
    with pytest.raises(ConfigError, match="judges several views together; expected the folder of a run"):
        feature_networks("discriminator", lambda: pairs, frontal())
