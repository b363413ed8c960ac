"""Camera paths around a subject, and cameras that frame it wherever it lies."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, ellipse, from_yaw_pitch, frontal, orbit
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.choices import Trajectory

SUBJECT_RADIUS = 0.6
"""Radius of the subject that the cameras of our own models are set up to frame, world units."""

SWEEP_YAW = 0.6
"""Half of the angle over which a sweep turns, radians."""

TRAJECTORIES: tuple[Trajectory, ...] = get_args(Trajectory)


def camera_path(name: str, frames: int, focal: float, radius: float) -> Cameras:
    """Cameras (frames,) of a path that looks at the origin.

    Args:
        name: ``orbit`` goes around the subject, ``ellipse`` sways in front of it, ``sweep`` goes from side to side,
            ``frontal`` stands still.
        frames: number of cameras.
        focal: normalised focal length, image widths.
        radius: distance from the origin, world units.

    Raises:
        ConfigError: if ``name`` is none of these or there are no frames.
    """
    if frames < 1:
        raise ConfigError(f"{frames} frames; expected at least 1")
    if name == "orbit":
        return orbit(frames, focal, radius)
    if name == "ellipse":
        return ellipse(frames, focal, radius)
    if name == "sweep":
        yaw = torch.linspace(-SWEEP_YAW, SWEEP_YAW, frames) if frames > 1 else torch.zeros(1)
        return from_yaw_pitch(yaw, torch.full_like(yaw, 0.05), radius, focal)
    if name == "frontal":
        return frontal(focal, radius).reshape(1).expand(frames)
    raise ConfigError(f"trajectory '{name}' is unknown; expected one of: {', '.join(TRAJECTORIES)}")


def fit_cameras(cameras: Cameras, scene: GaussianHierarchy) -> Cameras:
    """``cameras`` moved and scaled so that they frame ``scene`` as ours frame a scene around the origin.

    For foreign files, which can be anywhere and of any size; 5 % of the Gaussians may lie outside.
    """
    center, radius = subject_bounds(scene, 0.95)
    moved = cameras.cam_to_world.clone()
    moved[..., :3, 3] = moved[..., :3, 3] * (radius / SUBJECT_RADIUS) + center
    return Cameras(moved, cameras.intrinsics)


def subject_bounds(scene: GaussianHierarchy, share: float) -> tuple[Tensor, Tensor]:
    """Median centre (3,) of one scene, and the radius () around it that holds ``share`` of its Gaussians.

    The background's Gaussians do not count, unless there are no others.
    """
    foreground = scene.level != BACKGROUND_LEVEL
    means = scene.means[0][foreground] if bool(foreground.any()) else scene.means[0]
    if not len(means):
        return torch.zeros(3), torch.ones(())
    center = means.median(dim=0).values
    distances = (means - center).norm(dim=-1)
    return center, distances.kthvalue(max(1, int(share * len(means)))).values.clamp_min(1e-6)
