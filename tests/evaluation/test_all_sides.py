"""What is measured by the side that a subject is seen from: distances of sectors, agreement of views from behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.datasets.critters.drawing import critter
from hgs_toolkit.datasets.critters.prior import CritterPrior, pose_prior
from hgs_toolkit.evaluation.consistency import ViewLayers, measure_consistency
from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.evaluation.samples import ImageSet
from hgs_toolkit.evaluation.sectors import compare_sectors, is_behind, sector_of
from hgs_toolkit.evaluation.shapes import TRUTH_SEED, critter_shooters
from hgs_toolkit.metrics.extractors import make_extractor
from tests.evaluation.test_consistency import DISTANCE, FOCAL, ball


def cameras(*degrees: float) -> Cameras:
    yaw = torch.tensor(degrees).deg2rad()
    return from_yaw_pitch(yaw, torch.full_like(yaw, 0.2), 2.7, 2.0)


def test_sectors_are_centred_on_the_front_and_on_the_back() -> None:
    assert sector_of(cameras(0, 22, -22, 45, 90, 180, -170, -90, -45)).tolist() == [0, 0, 0, 1, 2, 4, 4, 6, 7]
    assert is_behind(cameras(0, 80, 100, -100, 180)).tolist() == [False, False, True, True, True]


def test_a_bad_back_is_told_apart_from_a_good_front() -> None:
    rng, extractor = np.random.default_rng(0), make_extractor("randconv")
    seen = cameras(*(90.0 * (i % 4) for i in range(160)))
    real, drawn = rng.normal(size=(2, 160, 6))
    drawn[sector_of(seen) == 4] += 2.0
    real_set, drawn_set = (ImageSet({extractor.name: features}, seen) for features in (real, drawn))
    space = FeatureSpace.of(extractor, real)
    figures = {figure.name: figure for figure in compare_sectors(space, real_set, drawn_set, 0, {})}
    assert list(figures) == [f"kid_randconv[{yaw}°]" for yaw in (0, 90, -180, -90)]  # no images in the other four
    back = figures.pop("kid_randconv[-180°]")
    assert back.value > 10 * max(abs(figure.value) for figure in figures.values())
    assert back.conditions["count"] == 40


def test_views_from_behind_are_compared_with_the_back() -> None:
    def swollen_behind(camera: Cameras) -> ViewLayers:
        """A ball that comes nearer as one walks past its back."""
        aside = float(camera.cam_to_world[0, 0, 3]) / DISTANCE
        return ball(camera, 0.3 * abs(aside) if camera.cam_to_world[0, 2, 3] < 0 else 0.0)

    front, behind = (measure_consistency([swollen_behind], FOCAL, DISTANCE, yaw) for yaw in (0.0, math.pi))
    assert front is not None
    assert behind is not None
    assert front.depth < 0.003
    assert behind.depth > 0.05


def test_true_critters_have_backs_where_the_models_poses_show_them() -> None:
    prior = CritterPrior(poses=pose_prior(yaw=math.pi))
    (shoot,) = critter_shooters(1, lambda _: None, prior)
    camera = cameras(180)
    expected = critter(TRUTH_SEED, 0, prior).render(camera.labels[0].numpy(), 128)
    assert shoot(camera).alpha.numpy() == pytest.approx(expected.alpha)
    plain = critter(TRUTH_SEED, 0).render(camera.labels[0].numpy(), 128)
    assert not np.array_equal(expected.alpha, plain.alpha)
