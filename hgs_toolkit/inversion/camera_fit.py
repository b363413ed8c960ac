"""Cameras that can be corrected: turned around the subject and moved closer, a few numbers a view."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import Cameras


class AdjustableCameras(nn.Module):
    """Cameras with a correction each: yaw and pitch around the world's origin, and the logarithm of the distance.

    Attributes:
        start: (V,) the cameras before the correction.
        correction: (V, 3) yaw and pitch in radians, log distance; learned if ``refined``.
    """

    def __init__(self, start: Cameras, *, refined: bool) -> None:
        super().__init__()
        self.start = start
        self.correction = nn.Parameter(start.cam_to_world.new_zeros(len(start), 3), requires_grad=refined)

    def forward(self) -> Cameras:
        """The corrected cameras (V,)."""
        yaw, pitch, log_distance = self.correction.unbind(-1)
        matrix = self.start.cam_to_world
        turn = rotation_y(yaw) @ matrix[:, :3, :3] @ rotation_x(-pitch) @ matrix[:, :3, :3].mT
        moved = turn @ matrix[:, :3, :]
        position = moved[..., 3:] * log_distance.exp()[:, None, None]
        upper = torch.cat([moved[..., :3], position], dim=-1)
        return Cameras(torch.cat([upper, matrix[:, 3:]], dim=1), self.start.intrinsics)


def rotation_y(angle: Tensor) -> Tensor:
    """Rotations (V, 3, 3) by ``angle`` (V,) around the world's vertical."""
    one, zero, cos, sin = torch.ones_like(angle), torch.zeros_like(angle), angle.cos(), angle.sin()
    matrix: Tensor = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=-1).unflatten(-1, (3, 3))
    return matrix


def rotation_x(angle: Tensor) -> Tensor:
    """Rotations (V, 3, 3) by ``angle`` (V,) around x, which is a camera's horizontal axis."""
    one, zero, cos, sin = torch.ones_like(angle), torch.zeros_like(angle), angle.cos(), angle.sin()
    matrix: Tensor = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).unflatten(-1, (3, 3))
    return matrix
