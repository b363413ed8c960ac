"""Camera paths around a subject, and cameras that frame it wherever it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, ellipse, from_yaw_pitch, frontal, orbit
from hgs_toolkit.conventions import DEFAULT_RADIUS
from hgs_toolkit.encoding import covariances, log_scales_to_scales, logits_to_opacities
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.choices import Trajectory

SUBJECT_RADIUS = 0.6
"""Radius of the subject that the cameras of our own models are set up to frame, world units."""

SWEEP_YAW = 0.6
"""Half of the angle over which a sweep turns, radians."""

FAINT = 0.05
"""Opacity up to which a Gaussian is not visible."""

EDGE = 2.0
"""Visible half of a Gaussian, standard deviations."""

USUAL_SHARE, STRAY = 0.98, 2.0
"""Share of the Gaussians whose reach from the middle is usual, and the multiple of it beyond which one is a stray."""

LARGEST = 1e18
"""Scale up to which a Gaussian's variance is a number of 32 bits, world units."""

MARGIN = 1.05
"""Distance of a camera over that from which the subject touches the image's border."""

BORDER, FARTHEST = 1.07, 1.6
"""Distance of a camera that stepped back over that from which the subject touches the image's border; and the multiple
of its first distance up to which it steps back."""

STEP = 1 / 16
"""Unit of the multiples of its distance by which a camera steps back: the small differences between the formats in
which an asset is stored then leave it where it is, unless they lie on both sides of a border (about one in thirty)."""

LEAST_SHARE = 0.35
"""Share of the image that a subject fills at least, if it is left to the standard camera."""

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


def views(yaws: Sequence[float], pitches: Sequence[float], focal: float, radius: float) -> Cameras:
    """Cameras (pitches * yaws,) that look at the origin from every pitch and yaw, in degrees, row by row.

    Yaw 0 is the front, positive the subject's left; positive pitches look from above.
    """
    yaw = torch.tensor(yaws).deg2rad().repeat(len(pitches))
    pitch = torch.tensor(pitches).deg2rad().repeat_interleave(len(yaws))
    return from_yaw_pitch(yaw, pitch, radius, focal)


def fit_cameras(cameras: Cameras, scene: GaussianHierarchy) -> Cameras:
    """``cameras`` (...) that look at the origin, moved and scaled so that they show all of ``scene``.

    For files of other programs, which can be anywhere and of any size. Cameras at DEFAULT_RADIUS get the distance of
    :func:`frame_scene`, others a distance in proportion.
    """
    center, distance = frame_scene(scene, float(cameras.intrinsics.flatten(0, -3)[0, 0, 0]))
    moved = cameras.cam_to_world.clone()
    moved[..., :3, 3] = moved[..., :3, 3] * (distance / DEFAULT_RADIUS) + center
    return step_back(Cameras(moved, cameras.intrinsics), scene, center)


def step_back(cameras: Cameras, scene: GaussianHierarchy, center: Tensor | None = None) -> Cameras:
    """``cameras`` (...) that look at ``center`` (3,), farther away where one of them cuts off a part of ``scene``.

    All are moved by the same factor. They stay where they are if they would have to go farther than FARTHEST times as
    far: then the subject is not meant to be whole, as in portraits.

    Args:
        center: the origin by default.
    """
    means, shapes = _visible_gaussians(scene)
    center = torch.zeros(3) if center is None else center
    factor = 0.0
    for to_world, lens in zip(
        cameras.cam_to_world.flatten(0, -3).cpu(), cameras.intrinsics.flatten(0, -3), strict=True
    ):
        along = (means - center) @ to_world[:3, :3]  # (N, 3) along the camera's axes, z forward
        lateral = (along[:, :2].abs() + _half_widths(shapes, to_world[:3, :2])).amax(-1)  # (N,)
        needed = (2 * float(lens[0, 0]) * lateral - along[:, 2]).max()  # lateral is depth / (2 focal) at the border
        factor = max(factor, float(BORDER * needed / (to_world[:3, 3] - center).norm()))
    factor = math.ceil(factor / STEP) * STEP
    if not 1.0 < factor <= FARTHEST:
        return cameras
    moved, middle = cameras.cam_to_world.clone(), center.to(cameras.cam_to_world)
    moved[..., :3, 3] = middle + (moved[..., :3, 3] - middle) * factor
    return Cameras(moved, cameras.intrinsics)


def frame_scene(scene: GaussianHierarchy, focal: float) -> tuple[Tensor, float]:
    """The point (3,) to look at and the distance from which a square image shows all that is visible of ``scene``.

    A scene that the standard camera shows whole and not too small is left to it, so that an asset of ours looks alike
    in whatever format it was stored.

    Args:
        focal: normalised focal length of the camera, image widths.
    """
    low, high = visible_box(scene)
    center = (low + high) / 2
    radius = float((high - low).norm()) / 2
    if _standard_camera_fits(low, high, focal):
        return torch.zeros(3), DEFAULT_RADIUS
    return center, MARGIN * max(radius, 1e-6) / math.sin(math.atan(0.5 / focal))


def _standard_camera_fits(low: Tensor, high: Tensor, focal: float) -> bool:
    """Whether cameras around the origin at DEFAULT_RADIUS show the box from ``low`` to ``high`` (3,) at a good size."""
    farthest = torch.maximum(low.abs(), high.abs())
    half_width = 0.5 / focal * DEFAULT_RADIUS  # of the image, at the origin's distance
    share = max(float(farthest[1]), float(farthest[[0, 2]].max())) / half_width
    return LEAST_SHARE <= share <= 1.0


def visible_box(scene: GaussianHierarchy) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner (3,) of what is visible of one scene: centres and sizes of its Gaussians.

    The background does not count, unless there is nothing else, nor do a few Gaussians that lie far from all others.
    """
    means, shapes = _visible_gaussians(scene)
    edge = _half_widths(shapes, torch.eye(3))
    return (means - edge).amin(0), (means + edge).amax(0)


def _half_widths(shapes: Tensor, axes: Tensor) -> Tensor:
    """Visible half widths (N, K) of Gaussians with the covariances ``shapes`` (N, 3, 3) along unit ``axes`` (3, K)."""
    return EDGE * ((shapes @ axes) * axes).sum(-2).clamp_min(0).sqrt()


def _visible_gaussians(scene: GaussianHierarchy) -> tuple[Tensor, Tensor]:
    """Centres (N, 3) and covariances (N, 3, 3) of one scene's Gaussians, as :func:`visible_box` counts them."""
    keep = ~scene.is_background if not bool(scene.is_background.all()) else torch.ones_like(scene.is_background)
    opacity = logits_to_opacities(scene.opacity_logits[0])
    if bool((keep & (opacity > FAINT)).any()):
        keep = keep & (opacity > FAINT)
    means, scales = scene.means[0][keep].cpu(), log_scales_to_scales(scene.log_scales[0][keep]).cpu()
    if not len(means):
        return torch.zeros(1, 3), torch.eye(3)[None] / EDGE**2
    reach = (means - means.median(dim=0).values).norm(dim=-1) + EDGE * scales.amax(-1)
    usual = reach.kthvalue(max(1, round(USUAL_SHARE * len(reach)))).values
    near = reach <= STRAY * usual
    return means[near], covariances(scene.quats[0][keep].cpu()[near], scales[near].clamp_max(LARGEST))


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
