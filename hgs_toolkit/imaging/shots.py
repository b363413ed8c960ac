"""Pictures of one scene along a camera path, in colour or as one of its other sides: depth, alpha, normals, levels,
ellipsoids, anchors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, ellipse, from_yaw_pitch, frontal, orbit
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.looks import anchor_balls, level_colors
from hgs_toolkit.rendering import NOTHING_DRAWN, render, render_ellipsoids, render_level_map, render_normals

SUBJECT_RADIUS = 0.6
"""Radius of what our own cameras are set up to frame, world units."""

SWEEP_YAW = 0.6
"""Half the angle, radians, over which a row of views turns."""


@dataclass(frozen=True)
class Shot:
    """How a scene is pictured.

    Attributes:
        size: height and width, pixels.
        background: colour behind the scene, RGB in 0..1; None leaves it transparent (RGBA pictures, straight alpha).
        splat_scale: factor on every Gaussian's size; normals and levels are drawn without it.
    """

    size: int = 256
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    splat_scale: float = 1.0


Picture = Callable[[GaussianHierarchy, Cameras, Shot], Tensor]
"""Draws one view (H, W, 3 or 4) in 0..1 of a batch of one."""


def shoot(scene: GaussianHierarchy, cameras: Cameras, shot: Shot, mode: str = "rgb") -> Iterator[Tensor]:
    """Pictures (H, W, 3 or 4) in 0..1 of one scene (a batch of one), camera (C,) by camera, drawn as they are taken.

    Raises:
        ConfigError: at once, if ``mode`` is none of MODES.
    """
    if mode not in MODES:
        raise ConfigError(f"mode '{mode}' is unknown; expected one of: {', '.join(MODES)}")
    return _shots(scene, cameras, shot, MODES[mode])


def _shots(scene: GaussianHierarchy, cameras: Cameras, shot: Shot, picture: Picture) -> Iterator[Tensor]:
    with torch.no_grad():
        for camera in cameras:
            yield picture(scene, camera.reshape(1), shot)


def camera_path(name: str, frames: int, focal: float, radius: float) -> Cameras:
    """Cameras (frames,) of a trajectory.

    Args:
        name: ``orbit`` around, ``ellipse`` swaying in front, ``sweep`` from side to side, ``frontal``, which stays.
        frames: how many.
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


TRAJECTORIES = ("orbit", "ellipse", "sweep", "frontal")


def fit_cameras(cameras: Cameras, scene: GaussianHierarchy) -> Cameras:
    """``cameras`` moved and scaled so that they frame ``scene`` as ours frame a scene around the origin.

    For foreign files, which can be anywhere and of any size; 5 % of the Gaussians may lie outside.
    """
    center, radius = subject(scene, 0.95)
    moved = cameras.cam_to_world.clone()
    moved[..., :3, 3] = moved[..., :3, 3] * (radius / SUBJECT_RADIUS) + center
    return Cameras(moved, cameras.intrinsics)


def subject(scene: GaussianHierarchy, share: float) -> tuple[Tensor, Tensor]:
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


def natural_background(scene: GaussianHierarchy) -> tuple[float, float, float]:
    """Black behind a scene with a background of its own, as it was trained; white behind others."""
    return (0.0,) * 3 if bool((scene.level == BACKGROUND_LEVEL).any()) else (1.0,) * 3


def _color(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    images, alphas = render(
        scene, camera, shot.size, shot.size, shot.background or (0.0, 0.0, 0.0), splat_scale=shot.splat_scale
    )
    if shot.background is not None:
        return images[0, 0].clamp(0, 1)
    straight = images[0, 0] / alphas[0, 0].clamp_min(1e-6)
    return torch.cat([straight, alphas[0, 0]], dim=-1).clamp(0, 1)


def _alpha(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    return render(scene, camera, shot.size, shot.size, splat_scale=shot.splat_scale)[1][0, 0].expand(-1, -1, 3)


def _depth(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    """Near is bright, far is dark, nothing is black; the range is the scene's, so that frames compare."""
    depth, alpha = render(scene, camera, shot.size, shot.size, render_mode="ED", splat_scale=shot.splat_scale)
    center, extent = subject(scene, 0.99)
    middle = (center - camera.positions[0].to(center)).norm()
    nearness = (middle + extent - depth[0, 0]) / (2 * extent)
    return torch.where(alpha[0, 0] > 0, nearness.clamp(0.05, 1), 0.0).expand(-1, -1, 3)


def _normal(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    """World normals n as (n + 1) / 2, over mid-grey."""
    normals, alphas = render_normals(scene, camera, shot.size, shot.size)
    unit = torch.nn.functional.normalize(normals[0, 0], dim=-1)
    return torch.lerp(torch.full_like(unit, 0.5), (unit + 1) / 2, alphas[0, 0].clamp(0, 1))


def _level(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    """The level that contributes most to a pixel, by its colour; nothing is the picture's background."""
    levels = render_level_map(scene, camera, shot.size, shot.size)[0, 0]  # (H, W)
    empty = torch.tensor(shot.background or (0.0, 0.0, 0.0), device=levels.device)
    return torch.where((levels == NOTHING_DRAWN)[..., None], empty, level_colors(levels))


def _ellipsoid(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    """Hard, shaded ellipsoids over the picture's background."""
    colors, coverage = render_ellipsoids(scene, camera, shot.size, shot.size, splat_scale=shot.splat_scale)
    if shot.background is not None:
        return colors + (1 - coverage) * colors.new_tensor(shot.background)
    return torch.cat([colors / coverage.clamp_min(1e-6), coverage], dim=-1)


def _anchors(scene: GaussianHierarchy, camera: Cameras, shot: Shot) -> Tensor:
    """The anchors as balls in their levels' colours."""
    return _ellipsoid(anchor_balls(scene, float(subject(scene, 0.95)[1])), camera, shot)


MODES: dict[str, Picture] = {
    "rgb": _color,
    "depth": _depth,
    "alpha": _alpha,
    "normal": _normal,
    "level": _level,
    "ellipsoid": _ellipsoid,
    "anchors": _anchors,
}
"""What a picture shows, by name: from a scene, one camera (1,) and a shot to (H, W, 3 or 4)."""
