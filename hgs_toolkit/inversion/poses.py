"""Where a photograph was taken from, when nobody says: a grid of poses, then short searches from the best ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
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
from hgs_toolkit.model.generator import Generator

YAWS, PITCHES = 9, 5
"""Size of the grid, which spans two standard deviations of the model's law of poses on either side."""

FINALISTS = 4
SHORT_SEARCH = 40
"""Poses that are searched from, and the steps each gets."""

IDENTITIES = 8
"""Random scenes, beside the average one, that stand for the unknown subject in the grid."""


def estimate_camera(model: Generator, target: Target, objective: Objective, settings: LatentSettings) -> Cameras:
    """The camera (1,) of a target of one photograph, whose own camera plays no part."""
    grid = pose_grid(model)
    order = sorted(range(len(grid)), key=_grid_distances(model, target, objective, settings.seed, grid).__getitem__)
    short = replace(settings, steps=SHORT_SEARCH, refine_camera=True, camera_rate=0.01, space="w", candidates=16)
    fits = [
        fit_latent(model, target.seen_from(grid[index : index + 1]), objective, short) for index in order[:FINALISTS]
    ]
    return min(fits, key=lambda fit: fit.losses[-1]).cameras


def pose_grid(model: Generator) -> Cameras:
    """Cameras (YAWS · PITCHES,) spread over the model's law of poses."""
    poses = model.config.poses
    yaw = poses.yaw_mean + 2 * poses.yaw_spread * torch.linspace(-1, 1, YAWS)
    pitch = poses.pitch_mean + 2 * poses.pitch_spread * torch.linspace(-1, 1, PITCHES)
    focal = model.config.focal
    grid = from_yaw_pitch(yaw.repeat(PITCHES), pitch.repeat_interleave(YAWS), poses.radius, focal)
    return grid.to(device_of(model))


@torch.no_grad()
def _grid_distances(
    model: Generator, target: Target, objective: Objective, seed: int, grid: Cameras
) -> list[float]:  # fmt: skip
    """For each pose, how close the closest of a few scenes comes to the photograph."""
    statistics = StyleStatistics.of(model, seed)
    color = neutral(target)
    photograph = target.over(color)
    best = [float("inf")] * len(grid)
    for w in torch.cat([statistics.mean[None], statistics.samples[:IDENTITIES]]):
        scene = model.synthesize(w[None])
        pictures = draw(scene, grid, target.resolution, color)
        distances = [float(objective(picture[None], photograph)) for picture in pictures]
        best = [min(pair) for pair in zip(best, distances, strict=True)]
    return best
