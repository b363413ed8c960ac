# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as NeRF's transforms.json, which hgs synth and hgs dataset convert know. Nothing here knows Blender.

Each frame has a camera-to-world matrix with OpenGL's camera axes (x right, y up, looking along -z), which are Blender's
too; the world has y up, as the toolkit's scenes. Intrinsics are in pixels, for all frames or for each.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .splats import Array

MAX_BYTES = 256 << 20
MAX_FRAMES = 1_000_000


class CameraFileError(ValueError):
    """A file that cannot be read as cameras; the message is for the user."""


class View(NamedTuple):
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


def write_cameras(path: Path, views: list[View]) -> None:
    """Write ``views`` to a transforms.json, atomically; pictures are named as Blender numbers them from 1."""
    first = views[0]
    scene: dict[str, Any] = {"camera_model": "OPENCV", "w": first.width, "h": first.height, **_intrinsics(first)}
    scene |= {"k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0, "camera_angle_x": _angle(first)}
    scene["frames"] = [
        {"file_path": f"{number:04d}.png", "transform_matrix": view.matrix.tolist(), **_intrinsics(view)}
        for number, view in enumerate(views, 1)
    ]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(scene, indent=1), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_cameras(path: Path) -> list[View]:
    """Read the frames of a transforms.json, of the toolkit or of NeRF programs.

    Raises:
        CameraFileError: if the file is no such file, or a number in it is missing, NaN or infinite.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise CameraFileError(f"{path.name} has more than {MAX_BYTES >> 20} MB; it is no file of cameras")
    try:
        scene = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CameraFileError(f"{path.name} is no JSON file: {error}") from error
    frames = scene.get("frames") if isinstance(scene, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise CameraFileError(f"{path.name} has no 'frames'; expected a transforms.json with at least one")
    if len(frames) > MAX_FRAMES:
        raise CameraFileError(f"{path.name} has {len(frames)} frames; at most {MAX_FRAMES} are read")
    return [_view(f"frame {number} of {path.name}", scene | frame) for number, frame in enumerate(frames, 1)]


def _view(name: str, values: dict[str, Any]) -> View:
    try:
        matrix = np.array(values["transform_matrix"], np.float64)
        if matrix.shape == (3, 4):
            matrix = np.concatenate([matrix, [[0, 0, 0, 1]]])
        width, height = int(values.get("w", 1024)), int(values.get("h", values.get("w", 1024)))
        if "fl_x" in values:
            focal = float(values["fl_x"])
        else:
            focal = 0.5 * width / math.tan(0.5 * float(values["camera_angle_x"]))
        focals = (focal, float(values.get("fl_y", focal)))
        center = (float(values.get("cx", width / 2)), float(values.get("cy", height / 2)))
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise CameraFileError(
            f"{name} is no camera ({error}); expected transform_matrix and fl_x or camera_angle_x"
        ) from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.isfinite([*focals, *center]).all():
        raise CameraFileError(f"{name} has a matrix of shape {matrix.shape}, or NaN; expected 4 x 4 finite numbers")
    turn = matrix[:3, :3]
    if not (np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3 and np.linalg.det(turn) > 0):
        raise CameraFileError(f"the matrix of {name} is no rotation and place")
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16 and min(focals) > 0):
        raise CameraFileError(f"{name} has a picture of {width} x {height} and focal lengths {focals}")
    return View(matrix, width, height, focals, center)


def _intrinsics(view: View) -> dict[str, float]:
    return {"fl_x": view.focal[0], "fl_y": view.focal[1], "cx": view.center[0], "cy": view.center[1]}


def _angle(view: View) -> float:
    return 2 * math.atan(0.5 * view.width / view.focal[0])
