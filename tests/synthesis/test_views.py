"""The law of views: everything follows from seed and number, and nothing from what else is asked for."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.datasets.scene_prior import draw_camera, generator
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.synthesis.settings import CameraSettings, SynthSettings
from hgs_toolkit.synthesis.views import PlannedView, views_of_scene

BASE = SynthSettings(count=20, views=3)


def values(view: PlannedView) -> dict[str, object]:
    """All that is drawn of a view; not its place in the dataset."""
    drawn = dataclasses.asdict(view) | {"label": view.label.tolist()}
    del drawn["index"]
    return drawn


def test_a_view_is_the_same_in_every_dataset_that_has_it() -> None:
    later = dataclasses.replace(BASE, seed=5, count=2)
    for ours, theirs in zip(views_of_scene(BASE, 6), views_of_scene(later, 1), strict=True):
        assert values(ours) == values(theirs)
        assert ours.index - theirs.index == 5 * 3


def test_one_kind_of_randomness_changes_nothing_of_the_others() -> None:
    wild = dataclasses.replace(BASE, exposure=2.0, cameras=CameraSettings(focal_jitter=0.2), background="random")
    for calm, view in zip(views_of_scene(BASE, 4), views_of_scene(wild, 4), strict=True):
        assert calm.exposure == 0 != view.exposure
        assert np.array_equal(calm.label[:16], view.label[:16])
        assert not np.array_equal(calm.label[16:], view.label[16:])
        assert (calm.color, calm.crop) == (view.color, view.crop)


def test_no_two_views_are_alike() -> None:
    views = [view for scene in range(20) for view in views_of_scene(BASE, scene)]
    assert len({view.label.tobytes() for view in views}) == len({view.color for view in views}) == 60
    assert [view.index for view in views] == list(range(60))


def test_variations_stay_within_their_bounds_and_use_them() -> None:
    settings = SynthSettings(count=300, exposure=1.5, cameras=CameraSettings(focal_jitter=0.1))
    views = [view for scene in range(300) for view in views_of_scene(settings, scene)]
    focal = np.array([view.label[16] for view in views]) / 2.0
    exposure = np.array([view.exposure for view in views])
    assert 0.9 <= focal.min() < 0.92 < 1.08 < focal.max() <= 1.1
    assert -1.5 <= exposure.min() < -1.3 < 1.3 < exposure.max() <= 1.5


@pytest.mark.parametrize("pitch", [0.1, -0.4, math.pi / 2, -math.pi / 2])
def test_drawn_cameras_are_those_of_the_prior(pitch: float) -> None:
    poses = PosePrior(pitch_mean=pitch, pitch_spread=0.0, radius_spread=0.3, focal_spread=0.2)
    settings = SynthSettings(cameras=CameraSettings(poses=poses))
    for seed in range(20):
        rng = generator(seed, 0)
        rng.random(8)  # what a view draws before its camera
        expected = draw_camera(poses, rng)
        (view,) = views_of_scene(dataclasses.replace(settings, seed=seed), 0)
        np.testing.assert_allclose(view.label, expected, atol=1e-6)


def test_drawn_cameras_follow_the_law() -> None:
    law = PosePrior(yaw_law="uniform", yaw_spread=3.0, yaw_limit=3.0, pitch_spread=0.0, pitch_mean=0.3, radius=4.0)
    settings = SynthSettings(count=400, cameras=CameraSettings(poses=law))
    labels = np.stack([view.label for scene in range(400) for view in views_of_scene(settings, scene)])
    yaw, pitch, radius = yaw_pitch_radius(Cameras.from_labels(torch.from_numpy(labels)).cam_to_world)
    assert abs(float(yaw.std()) - 3 / 3**0.5) < 0.1
    torch.testing.assert_close(pitch, torch.full_like(pitch, 0.3), atol=1e-5, rtol=0)
    torch.testing.assert_close(radius, torch.full_like(radius, 4.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("path", ["orbit", "sweep"])
def test_a_path_is_every_scene_s_and_the_lens_is_ours(path: str) -> None:
    cameras = CameraSettings(path=path, poses=PosePrior(focal=1.25), center=(0.4, 0.6))  # type: ignore[arg-type]
    settings = SynthSettings(views=8, cameras=cameras)
    first, second = views_of_scene(settings, 0), views_of_scene(settings, 1)
    assert [view.label.tolist() for view in first] == [view.label.tolist() for view in second]
    intrinsics = first[3].label[16:].reshape(3, 3)
    np.testing.assert_allclose(intrinsics, np.array([[1.25, 0, 0.4], [0, 1.25, 0.6], [0, 0, 1]]), atol=1e-7)
