"""The pose prior of a dataset, measured from its camera labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.datasets.critters.raycast import Array
from hgs_toolkit.datasets.eg3d import Labels
from hgs_toolkit.pose_prior import PosePrior

DIGITS = 4
"""Number of decimals of a measured value: a configuration is read by people."""

UNIFORM_KURTOSIS = 2.4
"""Kurtosis below which angles count as uniform; a uniform distribution has 1.8, a normal one 3."""

ALL_AROUND = 0.8
"""Share of a circle's 36 sectors with a camera, from which yaws count as going all around."""

GAP_SECTORS = 3
"""Neighbouring sectors of 15 degrees without a camera, from which yaws do not go all around."""

GAP_LABELS = 100
"""Labels from which such a gap counts: so many yaws drawn evenly leave one in fewer than one of 10,000 sets."""

TAIL = 0.002
"""Share of the angles on either side that may be outliers."""

NARROW = 1e-3
"""Relative spread of focal lengths and radii below which they count as one."""


@dataclass(frozen=True)
class _Angles:
    """A fitted distribution of angles, radians; ``spread`` as in :class:`PosePrior`."""

    mean: float
    spread: float
    law: Literal["normal", "uniform"]
    limit: float


def measure_poses(labels: Labels) -> PosePrior:
    """The prior of EG3D labels (N, 25), N >= 1; yaw and pitch are normal or uniform, whichever fits better.

    Focal length (horizontal, image widths) and radius (distance from the origin) are medians, with the half width of a
    uniform distribution around them where the labels differ.
    """
    cameras = Cameras.from_labels(torch.from_numpy(labels).double())
    yaw, pitch, radius = (values.numpy() for values in yaw_pitch_radius(cameras.cam_to_world))
    focal = cameras.intrinsics[:, 0, 0].numpy()
    fitted_yaw, fitted_pitch = _fit_yaw(yaw), _fit(pitch)
    values = {
        "yaw_mean": fitted_yaw.mean, "yaw_spread": fitted_yaw.spread, "yaw_limit": fitted_yaw.limit,
        "pitch_mean": fitted_pitch.mean, "pitch_spread": fitted_pitch.spread, "pitch_limit": fitted_pitch.limit,
        "radius": float(np.median(radius)), "radius_spread": _half_width(radius),
        "focal": float(np.median(focal)), "focal_spread": _half_width(focal),
    }  # fmt: skip
    rounded = {name: round(value, DIGITS) + 0.0 for name, value in values.items()}  # + 0 turns -0 into 0
    return PosePrior(**rounded, yaw_law=fitted_yaw.law, pitch_law=fitted_pitch.law)


def large_differences(given: PosePrior, measured: PosePrior) -> list[str]:
    """Values of ``given`` that differ so much from the labels that images come out wrong, one sentence each."""
    found = []
    for name in ("focal", "radius"):
        value, label = getattr(given, name), getattr(measured, name)
        if abs(value - label) > 0.03 * label + getattr(measured, f"{name}_spread"):
            found.append(f"{name} is {value:.4g}, the labels have {label:.4g}")
    for name in ("yaw", "pitch"):
        value, label = _spread(given, name), _spread(measured, name)
        middle, expected = getattr(given, f"{name}_mean"), getattr(measured, f"{name}_mean")
        moved = abs(math.remainder(middle - expected, 2 * math.pi)) > 0.1 and label < 1.5
        if moved or abs(value - label) > 0.05 + 0.25 * label:
            found.append(
                f"{name} is {math.degrees(middle):.0f}° with a deviation of {math.degrees(value):.0f}°, "
                f"the labels have {math.degrees(expected):.0f}° with {math.degrees(label):.0f}°"
            )
    return found


def _spread(poses: PosePrior, name: str) -> float:
    """Standard deviation of an angle before clipping, radians."""
    spread: float = getattr(poses, f"{name}_spread")
    return spread if getattr(poses, f"{name}_law") == "normal" else spread / math.sqrt(3)


def _fit_yaw(yaw: Array) -> _Angles:
    """The distribution of yaws, which may go all around or lie around the back, where -180 degrees is +180."""
    sectors = np.unique(np.floor(np.degrees(yaw) / 10).astype(int) % 36)
    mean = math.atan2(float(np.sin(yaw).mean()), float(np.cos(yaw).mean()))
    turned = np.remainder(yaw - mean + math.pi, 2 * math.pi) - math.pi
    if len(sectors) >= ALL_AROUND * 36 and not _has_gap(yaw) and _kurtosis(turned) < UNIFORM_KURTOSIS:
        return _Angles(0.0, math.pi, "uniform", math.pi)
    fitted = _fit(turned)
    return _Angles(math.remainder(fitted.mean + mean, 2 * math.pi), fitted.spread, fitted.law, fitted.limit)


def _has_gap(yaw: Array) -> bool:
    """Whether enough yaws leave GAP_SECTORS neighbouring sectors of a circle's 24 empty."""
    if len(yaw) < GAP_LABELS:
        return False
    filled = np.unique(np.floor(np.degrees(yaw) / 15).astype(int) % 24)
    steps = np.diff(filled, append=filled[0] + 24)
    return bool(steps.max() > GAP_SECTORS)


def _fit(values: Array) -> _Angles:
    if _kurtosis(values) < UNIFORM_KURTOSIS:
        low, high = np.quantile(values, [TAIL, 1 - TAIL])
        half = float(high - low) / 2 / (1 - 2 * TAIL)
        return _Angles(float(low + high) / 2, half, "uniform", half)
    mean = float(values.mean())
    return _Angles(mean, float(values.std()), "normal", float(np.abs(values - mean).max()))


def _kurtosis(values: Array) -> float:
    """Fourth standardised moment; 0 for equal values."""
    centred = values - values.mean()
    variance = float(np.square(centred).mean())
    return float((centred**4).mean()) / variance**2 if variance > 1e-12 else 0.0


def _half_width(values: Array) -> float:
    """Half width of the uniform distribution with the values' deviation; 0 where they hardly differ."""
    deviation = float(values.std())
    return deviation * math.sqrt(3) if deviation > NARROW * float(np.median(values)) else 0.0
