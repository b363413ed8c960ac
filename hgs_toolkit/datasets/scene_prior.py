"""What the sets made here have in common: one random generator an image, its camera, and the light."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

Values = npt.NDArray[np.float32]

LIGHT = (np.array([-0.45, 0.75, 0.62]) / np.linalg.norm([-0.45, 0.75, 0.62])).astype(np.float32)
"""Direction to the sun: high, in front, from the viewer's left."""

SKY, GROUND = np.array([[0.66, 0.68, 0.71], [0.50, 0.47, 0.46]], dtype=np.float32)
SUN = np.array([0.44, 0.42, 0.38], dtype=np.float32)

WRAP = 0.25
"""How far beyond the terminator the sun still reaches, as a cosine: shadows stay soft."""

LABEL_DECIMALS = 7

VIEW_KEY = 1 << 61
"""Offset of the random keys of a subject's further views; the keys below it belong to images and subjects."""


def camera_prior(
    yaw: float = math.pi, pitch_min: float = 0.0, pitch_max: float = 0.7, *,
    yaw_prior: Literal["uniform", "normal"] = "uniform",
) -> PosePrior:  # fmt: skip
    """Cameras within +-``yaw`` of the front, from ``pitch_min`` to ``pitch_max``, radians; by default all around.

    Yaws are spread evenly (``uniform``) or gathered around the front (``normal``), pitches are spread evenly.
    """
    pitch = even_pitch(pitch_min, pitch_max)
    return PosePrior(yaw_law=yaw_prior, yaw_spread=yaw_spread(yaw_prior, yaw), yaw_limit=yaw, **pitch)


def yaw_spread(law: Literal["uniform", "normal"], limit: float) -> float:
    """The spread of yaws within +-``limit``, radians: of a normal law the usual one, or half the limit if that is less.

    Beyond two standard deviations lie one in twenty of the yaws, which are moved to the limit.
    """
    return limit if law == "uniform" else min(PosePrior().yaw_spread, limit / 2)


def even_pitch(lowest: float, highest: float) -> dict[str, Any]:
    """The pitch settings of a :class:`PosePrior` that spreads pitches evenly between two angles, radians.

    Raises:
        DataError: if the lowest is above the highest.
    """
    if lowest > highest:
        low, high = math.degrees(lowest), math.degrees(highest)
        raise DataError(f"--pitch-min {low:g} is above --pitch-max {high:g}; exchange them")
    middle, half = (lowest + highest) / 2, (highest - lowest) / 2
    return {"pitch_law": "uniform", "pitch_mean": middle, "pitch_spread": half, "pitch_limit": half}


def generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of image ``index`` of the set ``seed``: one Philox key (both 0 ... 2^64 - 1)."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))


def draw_camera(poses: PosePrior, rng: np.random.Generator) -> Values:
    """An EG3D label (25,) drawn from ``poses`` with a seed from ``rng``."""
    torch_rng = torch.Generator().manual_seed(int(rng.integers(2**63)))
    label = poses.sample(1, torch_rng).labels[0].double().numpy()
    return label.round(LABEL_DECIMALS).astype(np.float32)


def brightness(normals: Values, light_direction: Values = LIGHT) -> Values:
    """Light (n, 3) on surfaces with unit ``normals`` (n, 3): wrapped Lambert, and a hemisphere of sky and ground.

    ``light_direction`` (3,) is the unit vector to the sun.
    """
    lambert = np.maximum((normals @ light_direction + WRAP) / (1 + WRAP), 0)
    up = 0.5 * normals[:, 1] + 0.5
    light: Values = GROUND + (SKY - GROUND) * up[:, None] + SUN * lambert[:, None]
    return light
