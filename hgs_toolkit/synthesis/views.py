"""From a scene's seed and a view's number to its camera, background and exposure: the prior behind every dataset.

Everything is drawn from one Philox key (seed, view), in one order, whether an option uses it or not. So a view is the
same in whatever dataset it appears, and switching one kind of randomness on changes nothing of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from hgs_toolkit.datasets.scene_prior import LABEL_DECIMALS, generator
from hgs_toolkit.imaging.camera_paths import camera_path
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.synthesis.background_images import Crop
from hgs_toolkit.synthesis.settings import RANDOM, CameraSettings, SynthSettings

Label = npt.NDArray[np.float32]

FOCAL_X, CENTER_X, FOCAL_Y, CENTER_Y = 16, 18, 20, 21
"""Positions of the intrinsics in a label."""

POLE = 1.4e-3
"""Sine of the angle to the vertical below which a camera is straight above or below its subject."""


@dataclass(frozen=True, eq=False)
class PlannedView:
    """One image to make.

    Attributes:
        index: its number in the dataset.
        seed: its scene.
        number: which of the scene's views.
        label: (25,) EG3D camera label.
        exposure: stops; 0 leaves the model's brightness.
        color: background colour, RGB in 0..1, where colours are drawn at random.
        crop: part of a background image, where those are used.
    """

    index: int
    seed: int
    number: int
    label: Label
    exposure: float
    color: tuple[float, float, float]
    crop: Crop


def views_of_scene(settings: SynthSettings, scene: int) -> list[PlannedView]:
    """The views of scene number ``scene`` of a dataset."""
    seed = settings.seed + scene
    return [_draw_view(settings, scene * settings.views + number, seed, number) for number in range(settings.views)]


def _draw_view(settings: SynthSettings, index: int, seed: int, number: int) -> PlannedView:
    rng = generator(seed, number)
    focal = 1 + settings.cameras.focal_jitter * rng.uniform(-1, 1)
    exposure = settings.exposure * rng.uniform(-1, 1)
    red, green, blue = map(float, rng.random(3))
    crop = Crop(*map(float, rng.random(3)))
    label = _camera(settings.cameras, settings.views, number, focal, rng)
    return PlannedView(index, seed, number, label, exposure, (red, green, blue), crop)


def _camera(cameras: CameraSettings, views: int, number: int, scale: float, rng: np.random.Generator) -> Label:
    """A view's label; ``scale`` multiplies the focal length."""
    if cameras.path == RANDOM:
        label = _draw_label(cameras.poses, scale, rng)
    else:
        label = _path_labels(cameras, views)[number].copy()
        label[[FOCAL_X, FOCAL_Y]] = np.float32(round(cameras.poses.focal * scale, LABEL_DECIMALS))
    label[[CENTER_X, CENTER_Y]] = cameras.center
    return label


def _draw_label(poses: PosePrior, scale: float, rng: np.random.Generator) -> Label:
    """A label drawn from ``poses``, computed number by number: a tensor operation costs more than the whole of it."""
    drawn = poses.draw(1, torch.Generator().manual_seed(int(rng.integers(2**63))))
    yaw, pitch, radius, focal = (float(value) for value in drawn)
    x, y, z = math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)  # towards the camera
    level = math.hypot(x, z)
    # Straight above or below, the yaw turns the image, as in from_yaw_pitch.
    right = (z / level, 0.0, -x / level) if level > POLE else (math.cos(yaw), 0.0, -math.sin(yaw))
    down = (z * right[1] - y * right[2], x * right[2] - z * right[0], y * right[0] - x * right[1])
    columns = zip(right, down, (-x, -y, -z), (radius * x, radius * y, radius * z), strict=True)
    numbers = [number for row in columns for number in row] + [0.0, 0.0, 0.0, 1.0]
    numbers += [focal * scale, 0.0, 0.5, 0.0, focal * scale, 0.5, 0.0, 0.0, 1.0]
    return np.round(np.array(numbers), LABEL_DECIMALS).astype(np.float32)


@lru_cache(maxsize=4)
def _path_labels(cameras: CameraSettings, views: int) -> Label:
    """Labels (views, 25) of a fixed path."""
    labels = camera_path(cameras.path, views, cameras.poses.focal, cameras.poses.radius).labels
    values: Label = labels.double().numpy().round(LABEL_DECIMALS).astype(np.float32)
    return values
