"""Pose accuracy: whether an image shows the pose it was drawn with, as judged by an estimator learned on real ones.

The estimator is a ridge regression from an image's features to yaw and pitch. How far it is off on real images that
it has not seen is the floor: a generator is not asked for more than that.
"""

from __future__ import annotations

import numpy as np

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.metrics.measurement import standardisation

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the penalty that are tried, in numbers of features; a fifth of the real images decides."""


def pose_error(real: Array, real_cameras: Cameras, features: Array, cameras: Cameras) -> float:
    """Mean absolute error of yaw and pitch, degrees, of images with ``features`` (M, d) and ``cameras`` (M,).

    Args:
        real, real_cameras: (N, d) and (N,) to learn from.
    """
    mean, scale = standardisation(real)
    x, test, y = (real - mean) / scale, (features - mean) / scale, angles(real_cameras)
    fitted = len(x) * 4 // 5
    errors = [_error(x[:fitted], y[:fitted], x[fitted:], y[fitted:], ridge) for ridge in RIDGES]
    return _error(x, y, test, angles(cameras), RIDGES[int(np.argmin(errors))])


def angles(cameras: Cameras) -> Array:
    """Yaw and pitch (N, 2) in degrees."""
    yaw, pitch, _ = yaw_pitch_radius(cameras.cam_to_world)
    values: Array = np.degrees(np.stack([yaw.numpy(), pitch.numpy()], axis=1).astype(np.float64))
    return values


def _error(x: Array, y: Array, test_x: Array, test_y: Array, ridge: float) -> float:
    center = y.mean(axis=0)
    gram = x @ x.T + ridge * x.shape[1] * np.eye(len(x))  # (N, N): the dual form, N is no larger than needed
    weights = x.T @ np.linalg.solve(gram, y - center)  # (d, 2)
    difference = test_x @ weights + center - test_y
    difference[:, 0] = (difference[:, 0] + 180) % 360 - 180  # yaw is an angle
    return float(np.abs(difference).mean())
