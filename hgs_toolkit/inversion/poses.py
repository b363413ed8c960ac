"""Where a photograph was taken from, when nobody says: a grid of poses, then short searches from the best ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.devices import device_of
from hgs_toolkit.inversion.latent import (
    LatentSettings,
    StyleStatistics,
    draw,
    fit_latent,
    neutral,
)
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.pose_prior import PosePrior

YAWS, PITCHES = 9, 5
"""Size of the grid, which spans the model's prior of poses; there are more yaws where they would lie far apart."""

YAW_STEP = math.radians(20)
"""Largest distance of two yaws in the grid."""

FINALISTS = 4
SHORT_SEARCH = 40
"""Poses that are searched from, and the steps each gets."""

NEARLY = 0.05
"""Share by which a pose may be farther from the photograph than the best one and still count as nearly as good."""

SURE_DEGREES = 8.0
"""Degrees by which poses that are nearly as good may scatter for the camera to count as known."""

IDENTITIES = 8
"""Random scenes, beside the average one, that stand for the unknown subject in the grid."""


@dataclass(frozen=True, eq=False)
class CameraEstimate:
    """A camera that was found, and how sure it is.

    Attributes:
        camera: (1,).
        yaw, pitch: its angles, degrees.
        yaw_std, pitch_std: standard deviations of the angles that show the photograph nearly as well, degrees.
    """

    camera: Cameras
    yaw: float
    pitch: float
    yaw_std: float
    pitch_std: float

    @property
    def is_sure(self) -> bool:
        """Whether other poses show the photograph clearly worse."""
        return self.yaw_std <= SURE_DEGREES and self.pitch_std <= SURE_DEGREES


def estimate_camera(model: Generator, target: Target, objective: Objective, settings: LatentSettings) -> CameraEstimate:
    """The camera of a target of one photograph, whose own camera plays no part."""
    grid = pose_grid(model.config.poses, model.config.focal).to(device_of(model))
    distances = _grid_distances(model, target, objective, settings, grid)
    order = sorted(range(len(grid)), key=distances.__getitem__)
    short = replace(settings, steps=SHORT_SEARCH, refine_camera=True, camera_rate=0.01, space="w", candidates=16)
    fits = [
        fit_latent(model, target.seen_from(grid[index : index + 1]), objective, short) for index in order[:FINALISTS]
    ]
    cameras = Cameras(
        *(
            torch.cat(parts)
            for parts in zip(*((fit.cameras.cam_to_world, fit.cameras.intrinsics) for fit in fits), strict=True)
        )
    )
    losses = [fit.losses[-1] for fit in fits]
    best = min(range(len(fits)), key=losses.__getitem__)
    spreads = [angle_spread(grid, distances), angle_spread(cameras, losses)]
    yaw, pitch = (float(angle.rad2deg()) for angle in yaw_pitch_radius(cameras[best].cam_to_world)[:2])
    return CameraEstimate(fits[best].cameras, yaw, pitch, *(max(pair) for pair in zip(*spreads, strict=True)))


def angle_spread(cameras: Cameras, distances: list[float]) -> tuple[float, float]:
    """Standard deviations of yaw and pitch, degrees, of cameras (N,) weighted by how near their images come.

    A camera whose distance is larger than the smallest one by the share NEARLY has the weight 1/e.
    """
    values = torch.tensor(distances, dtype=torch.float64, device=cameras.cam_to_world.device)
    weights = (-(values / values.min().clamp_min(1e-12) - 1) / NEARLY).exp()
    weights = weights / weights.sum()
    yaw, pitch, _ = (angle.double() for angle in yaw_pitch_radius(cameras.cam_to_world))
    # The mean of directions, not of numbers: 179 and -179 degrees are neighbours.
    middle = torch.atan2((weights * yaw.sin()).sum(), (weights * yaw.cos()).sum())
    offsets = (yaw - middle + math.pi) % (2 * math.pi) - math.pi, pitch - (weights * pitch).sum()
    yaw_std, pitch_std = (float((weights * offset.square()).sum().sqrt().rad2deg()) for offset in offsets)
    return yaw_std, pitch_std


def pose_grid(poses: PosePrior, focal: float) -> Cameras:
    """Cameras (yaws · PITCHES,) spread over a model's prior of poses: all around where that goes round."""
    reach = math.pi if poses.goes_round else poses.yaw_reach
    yaws = max(YAWS, math.ceil(2 * reach / YAW_STEP - 1e-6))
    steps = torch.arange(yaws) / yaws if poses.goes_round else torch.linspace(0, 1, yaws)
    yaw = poses.yaw_mean + (2 * steps - 1) * reach
    pitch = poses.pitch_mean + poses.pitch_reach * torch.linspace(-1, 1, PITCHES)
    return from_yaw_pitch(yaw.repeat(PITCHES), pitch.repeat_interleave(yaws), poses.radius, focal)


@torch.no_grad()
def _grid_distances(
    model: Generator, target: Target, objective: Objective, settings: LatentSettings, grid: Cameras
) -> list[float]:  # fmt: skip
    """For each pose, how close the closest of a few scenes comes to the photograph."""
    statistics = StyleStatistics.of(model, settings.seed, settings.class_name or "")
    color = neutral(target)
    photograph = target.over(color)
    best = [float("inf")] * len(grid)
    drawing = for_inference(model)
    for w in torch.cat([statistics.mean[None], statistics.samples[:IDENTITIES]]):
        scene = drawing.synthesize(w[None])
        images = draw(scene, grid, target.resolution, color)
        distances = torch.stack([objective(image[None], photograph) for image in images]).tolist()
        best = [min(pair) for pair in zip(best, distances, strict=True)]
    return best
