"""The pose prior that is measured from labels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.measured_poses import large_differences, measure_poses
from hgs_toolkit.pose_prior import PosePrior, describe_poses

PRIORS = {
    "frontal": PosePrior(),
    "all around": PosePrior(
        yaw_law="uniform", yaw_spread=math.pi, yaw_limit=math.pi, pitch_law="uniform", pitch_mean=0.35,
        pitch_spread=0.35,
    ),
    "the back": PosePrior(yaw_mean=math.pi, yaw_spread=0.3, focal=1.2, radius=4.0),
    "a quarter": PosePrior(yaw_law="uniform", yaw_mean=0.5, yaw_spread=0.4, pitch_spread=0.05),
    "lenses": PosePrior(focal=1.5, focal_spread=0.2, radius=3.0, radius_spread=0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_is_found_again_from_labels_that_follow_it(name: str) -> None:
    prior = PRIORS[name]
    found = measure_poses(prior.sample(4000, torch.Generator().manual_seed(1)).labels.numpy())
    assert (found.yaw_law, found.pitch_law) == (prior.yaw_law, prior.pitch_law)
    assert abs(math.remainder(found.yaw_mean - prior.yaw_mean, 2 * math.pi)) < 0.02
    assert found.pitch_mean == pytest.approx(prior.pitch_mean, abs=0.02)
    for field in ("yaw_spread", "pitch_spread"):
        assert getattr(found, field) == pytest.approx(getattr(prior, field), rel=0.05)
    for field in ("focal", "radius"):
        assert getattr(found, field) == pytest.approx(getattr(prior, field), rel=0.02)
        assert getattr(found, f"{field}_spread") == pytest.approx(getattr(prior, f"{field}_spread"), rel=0.05)
    assert large_differences(prior, found) == []


def test_one_camera_for_all_images_has_no_spread() -> None:
    labels = from_yaw_pitch(torch.full((5,), 0.2), torch.full((5,), 0.1), 2.0, 3.0).labels.numpy()
    found = measure_poses(labels)
    assert (found.focal, found.radius, found.yaw_mean, found.pitch_mean) == (3.0, 2.0, 0.2, 0.1)
    assert (found.yaw_spread, found.pitch_spread, found.focal_spread, found.radius_spread) == (0, 0, 0, 0)
    assert np.allclose(found.sample(3).labels.numpy(), labels[:3], atol=1e-6)


def test_large_differences_are_named() -> None:
    labels = PosePrior(focal=1.8).sample(500, torch.Generator().manual_seed(0)).labels.numpy()
    measured = measure_poses(labels)
    (focal,) = large_differences(PosePrior(), measured)
    assert focal == "focal is 2, the labels have 1.8"
    wide = replace(PosePrior(focal=1.8), yaw_law="uniform", yaw_spread=math.pi)
    (yaw,) = large_differences(wide, measured)
    assert yaw.startswith("yaw is 0° with a deviation of 104°, the labels have")
    assert describe_poses(PosePrior()) == "focal 2, radius 2.7, yaw normal 0.0° ± 20.1°, pitch normal 2.9° ± 10.3°"


def test_a_prior_without_spread_of_lenses_draws_the_cameras_it_always_drew() -> None:
    drawn = PosePrior().sample(2, torch.Generator().manual_seed(3)).labels
    generator = torch.Generator().manual_seed(3)
    yaw = (torch.randn(2, generator=generator) * 0.35).clamp(-1, 1)
    pitch = 0.05 + (torch.randn(2, generator=generator) * 0.18).clamp(-0.5, 0.5)
    assert torch.equal(drawn, from_yaw_pitch(yaw, pitch, 2.7, 2.0).labels)


def gap_of(degrees: float, count: int) -> PosePrior:
    """What is measured of yaws spread evenly around but for a gap at the front."""
    half = degrees / 2
    yaw = torch.deg2rad(torch.linspace(half, 360 - half, count))
    return measure_poses(from_yaw_pitch(yaw, torch.zeros(count), 2.0, 3.0).labels.numpy())


def test_a_gap_in_a_circle_is_measured_as_one() -> None:
    with_gap = gap_of(60, 1000)
    assert not with_gap.goes_round
    assert math.degrees(with_gap.yaw_spread) == pytest.approx(150, abs=1)
    assert abs(math.degrees(with_gap.yaw_mean)) == pytest.approx(180, abs=1)
    assert gap_of(20, 1000).goes_round, "one sector is a hole of chance"
    assert gap_of(60, 60).goes_round, "so few labels say nothing of gaps"


def test_evenly_drawn_yaws_go_round_whatever_the_seed() -> None:
    prior = PRIORS["all around"]
    for seed in range(200):
        assert measure_poses(prior.sample(200, torch.Generator().manual_seed(seed)).labels.numpy()).goes_round
