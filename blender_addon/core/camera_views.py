# SPDX-License-Identifier: GPL-3.0-or-later
"""One camera as every file of cameras has it, EG3D's labels, the toolkit's turntable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .splats import Array

LABEL_SIZE = 25
"""Numbers of an EG3D label: 16 of camera-to-world with OpenCV's axes, 9 of intrinsics divided by the image's size."""

OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenCV's camera axes (y down, z forward) in OpenGL's (y up, z backward), and back."""

ROTATION_TOLERANCE = 1e-3


class CameraFileError(ValueError):
    """A file that cannot be read as cameras; the message is for the user."""


class CameraView(NamedTuple):
    """One camera.

    Attributes:
        matrix: (4, 4) camera to world, y up, OpenGL's axes.
        width, height: pixels.
        focal: pixels, in x and y.
        center: principal point, pixels from the upper left corner.
    """

    matrix: Array
    width: int
    height: int
    focal: tuple[float, float]
    center: tuple[float, float]


def checked(name: str, view: CameraView) -> CameraView:
    """``view``, if it is a camera that can be; ``name`` says in errors which one it is.

    Raises:
        CameraFileError: if a number is NaN or infinite, or there can be no such camera.
    """
    matrix, width, height, focal, center = view
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.isfinite([*focal, *center]).all():
        raise CameraFileError(f"{name} has a matrix of shape {matrix.shape}, or NaN; expected 4 x 4 finite numbers")
    turn = matrix[:3, :3]
    if not (np.abs(turn @ turn.T - np.eye(3)).max() < ROTATION_TOLERANCE and np.linalg.det(turn) > 0):
        raise CameraFileError(f"the matrix of {name} is no rotation and place")
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16 and min(focal) > 0):
        raise CameraFileError(f"{name} has a picture of {width} x {height} and focal lengths {focal}")
    return view


def view_of_label(name: str, label: object, width: int, height: int) -> CameraView:
    """The camera of an EG3D label, for images of ``width`` x ``height`` pixels.

    Raises:
        CameraFileError: if it is no list of 25 numbers, or as :func:`checked`.
    """
    try:
        numbers = np.array(label, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if numbers.shape != (LABEL_SIZE,):
        raise CameraFileError(f"{name} has no camera label; expected {LABEL_SIZE} numbers")
    lens = numbers[16:].reshape(3, 3)
    focal = float(lens[0, 0] * width), float(lens[1, 1] * height)
    center = float(lens[0, 2] * width), float(lens[1, 2] * height)
    return checked(name, CameraView(numbers[:16].reshape(4, 4) @ OPENCV, width, height, focal, center))


def label_of(view: CameraView) -> list[float]:
    """The EG3D label of a camera."""
    lens = np.eye(3)
    lens[0, 0], lens[1, 1] = view.focal[0] / view.width, view.focal[1] / view.height
    lens[0, 2], lens[1, 2] = view.center[0] / view.width, view.center[1] / view.height
    label: list[float] = [*(view.matrix @ OPENCV).ravel().tolist(), *lens.ravel().tolist()]
    return label


def turntable(frames: int, size: Sequence[int], focal: float, radius: float, pitch: float) -> list[CameraView]:
    """Cameras once around the origin, the toolkit's ``orbit``: from the front at +z towards +x.

    Args:
        frames: how many; one more would be the first again.
        size: width and height of the images, pixels.
        focal: focal length, image widths.
        radius: distance, world units.
        pitch: radians above the horizon.
    """
    views = []
    for yaw in 2 * np.pi * np.arange(frames) / frames:
        sine, cosine, up, flat = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
        matrix = np.eye(4)
        matrix[:3, 0] = cosine, 0, -sine
        matrix[:3, 2] = sine * flat, up, cosine * flat  # backward: away from the origin
        matrix[:3, 1] = np.cross(matrix[:3, 2], matrix[:3, 0])
        matrix[:3, 3] = radius * matrix[:3, 2]
        views.append(CameraView(matrix, size[0], size[1], (focal * size[0],) * 2, (size[0] / 2, size[1] / 2)))
    return views
