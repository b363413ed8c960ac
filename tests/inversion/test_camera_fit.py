"""Corrections of cameras."""

from __future__ import annotations

import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.inversion.camera_fit import AdjustableCameras


def test_without_a_correction_cameras_stay() -> None:
    start = from_yaw_pitch(torch.tensor([0.3, -1.0]), torch.tensor([0.2, -0.4]))
    torch.testing.assert_close(AdjustableCameras(start, refined=True)().labels, start.labels)


def test_a_correction_adds_yaw_and_pitch_and_scales_the_distance() -> None:
    start = from_yaw_pitch(torch.tensor([0.3, -1.0]), torch.tensor([0.2, -0.4]))
    cameras = AdjustableCameras(start, refined=True)
    cameras.correction.data = torch.tensor([[0.1, 0.05, 0.2], [-0.3, 0.1, -0.1]])
    for index in range(2):
        yaw, pitch, log_distance = cameras.correction.data[index]
        wanted = from_yaw_pitch(
            torch.tensor([0.3, -1.0])[index] + yaw, torch.tensor([0.2, -0.4])[index] + pitch,
            2.7 * log_distance.exp(),
        )  # fmt: skip
        torch.testing.assert_close(cameras().cam_to_world[index], wanted.cam_to_world, atol=1e-5, rtol=1e-5)


def test_only_refined_cameras_learn() -> None:
    start = from_yaw_pitch(torch.tensor([0.3]), torch.tensor([0.2]))
    assert AdjustableCameras(start, refined=True)().cam_to_world.requires_grad
    assert not AdjustableCameras(start, refined=False)().cam_to_world.requires_grad
