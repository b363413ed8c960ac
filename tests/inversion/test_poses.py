"""Where a camera is looked for."""

from __future__ import annotations

import math

import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.inversion.poses import PITCHES, YAW_STEP, YAWS, angle_spread, pose_grid
from hgs_toolkit.pose_prior import PosePrior

FRONT = PosePrior()
AROUND = PosePrior(
    yaw_law="uniform", yaw_spread=3.1416, yaw_limit=3.1416, pitch_law="uniform", pitch_mean=0.26, pitch_spread=0.52,
    pitch_limit=0.52,
)  # fmt: skip


def angles(poses: PosePrior) -> tuple[list[float], list[float]]:
    yaw, pitch, _ = yaw_pitch_radius(pose_grid(poses, 2.0).cam_to_world)
    return sorted({round(value, 4) for value in yaw.tolist()}), sorted({round(value, 4) for value in pitch.tolist()})


def test_two_standard_deviations_of_a_normal_law_are_searched() -> None:
    yaw, pitch = angles(FRONT)
    assert yaw == pytest.approx(torch.linspace(-0.7, 0.7, YAWS).tolist(), abs=1e-3)
    assert pitch == pytest.approx((0.05 + 0.36 * torch.linspace(-1, 1, PITCHES)).tolist(), abs=1e-3)


def test_the_whole_circle_is_searched_evenly_and_no_direction_twice() -> None:
    yaw, pitch = angles(AROUND)
    gaps = [after - before for before, after in zip(yaw, [*yaw[1:], yaw[0] + 2 * math.pi], strict=True)]
    assert gaps == pytest.approx([2 * math.pi / len(yaw)] * len(yaw), abs=1e-3)
    assert len(yaw) == 18
    assert max(gaps) <= YAW_STEP + 1e-3
    assert (pitch[0], pitch[-1]) == pytest.approx((-0.26, 0.78), abs=1e-3), "no further than the model has seen"


@pytest.mark.parametrize(
    ("poses", "reach", "goes_round"),
    [
        (FRONT, 0.7, False),
        (AROUND, 3.1416, True),
        (PosePrior(yaw_law="normal", yaw_spread=1.54, yaw_limit=3.1454), 3.08, True),
        (PosePrior(yaw_law="normal", yaw_spread=1.54, yaw_limit=1.0), 1.0, False),
        (PosePrior(yaw_law="uniform", yaw_spread=1.0, yaw_limit=3.0), 1.0, False),
    ],
)
def test_a_prior_knows_how_far_its_cameras_go(poses: PosePrior, reach: float, goes_round: bool) -> None:
    assert poses.yaw_reach == pytest.approx(reach)
    assert poses.goes_round == goes_round


def test_directions_on_both_sides_of_the_back_are_near_each_other() -> None:
    cameras = from_yaw_pitch(torch.tensor([3.1, -3.1, 3.0]), torch.zeros(3))
    turned = from_yaw_pitch(torch.tensor([3.1, -3.1, 3.0]) - math.pi, torch.zeros(3))
    found, expected = angle_spread(cameras, [1.0, 1.0, 1.0]), angle_spread(turned, [1.0, 1.0, 1.0])
    assert found == pytest.approx(expected, abs=1e-3)
    assert found[0] < 5
