# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of cameras: NeRF's transforms.json, and EG3D's labels as the toolkit has them.

A transforms.json, which hgs synth and hgs dataset convert know, has for each frame a camera-to-world matrix with
OpenGL's camera axes (x right, y up, looking along -z), which are Blender's too; the world has y up, as the toolkit's
scenes. Intrinsics are in pixels, for all frames or for each. Labels stand in a data set's dataset.json, in the JSON of
a view that hgs synth makes, and in what hgs invert takes as --camera.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..camera_views import CameraFileError, CameraView, checked, label_of, view_of_label
from ..saving import whole_file

MAX_BYTES = 256 << 20
MAX_FRAMES = 1_000_000

LABELED_PIXELS = 512
"""Side of the square images of cameras whose file does not say."""

TRANSFORMS, LABELS = "TRANSFORMS", "LABELS"
"""Kinds of files that are written."""


def write_cameras(
    path: Path, views: Sequence[CameraView], numbers: Sequence[int], kind: str = TRANSFORMS, *, replace: bool = False
) -> None:
    """Write ``views``, whose images are named by the frames' ``numbers`` as Blender names them, atomically.

    Raises:
        FileExists: if there is such a file and ``replace`` is off.
        OSError: if it cannot be written.
    """
    names = [f"{number:04d}.png" for number in numbers]
    if kind == LABELS:
        content: dict[str, Any] = {
            "labels": [[name, label_of(view)] for name, view in zip(names, views, strict=True)],
        }
    else:
        first = views[0]
        content = {"camera_model": "OPENCV", "w": first.width, "h": first.height, **_intrinsics(first)}
        content |= {"k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0, "camera_angle_x": _angle(first)}
        content["frames"] = [
            {"file_path": name, "transform_matrix": view.matrix.tolist(), **_intrinsics(view)}
            for name, view in zip(names, views, strict=True)
        ]
    with whole_file(path, replace=replace) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_cameras(path: Path) -> list[CameraView]:
    """Read the cameras of a transforms.json (of the toolkit or of NeRF programs), or of a file with EG3D labels.

    Raises:
        CameraFileError: if the file is no such file, or a number in it is missing, NaN or infinite.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise CameraFileError(f"{path.name} has more than {MAX_BYTES >> 20} MB; it is not a file of cameras")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CameraFileError(f"{path.name} is no JSON file: {error}") from error
    if isinstance(content, dict):
        if "frames" in content:
            return _of_transforms(path, content)
        if "labels" in content:
            return _of_labels(path, content["labels"])
        if "label" in content:  # hgs invert
            return [view_of_label(path.name, content["label"], LABELED_PIXELS, LABELED_PIXELS)]
        if isinstance(content.get("camera"), dict):  # one view of hgs synth
            camera = content["camera"]
            sides = (camera.get(name) for name in ("width", "height"))
            width, height = (side if isinstance(side, int) else LABELED_PIXELS for side in sides)
            return [view_of_label(path.name, camera.get("eg3d_label"), width, height)]
    raise CameraFileError(f"{path.name} has no cameras; expected a transforms.json with 'frames', or EG3D 'labels'")


def _of_transforms(path: Path, scene: dict[str, Any]) -> list[CameraView]:
    frames = scene["frames"]
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise CameraFileError(f"{path.name} has no 'frames'; expected a transforms.json with at least one")
    _check_count(path, frames)
    return [_view(f"frame {number} of {path.name}", scene | frame) for number, frame in enumerate(frames, 1)]


def _of_labels(path: Path, pairs: Any) -> list[CameraView]:
    if not isinstance(pairs, list) or not pairs or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise CameraFileError(f"{path.name} has no 'labels'; expected at least one pair of a name and 25 numbers")
    _check_count(path, pairs)
    side = LABELED_PIXELS
    return [view_of_label(f"label {number} of {path.name}", label, side, side) for number, (_, label)
            in enumerate(pairs, 1)]  # fmt: skip


def _check_count(path: Path, entries: list[Any]) -> None:
    if len(entries) > MAX_FRAMES:
        raise CameraFileError(f"{path.name} has {len(entries)} cameras; at most {MAX_FRAMES} are read")


def _view(name: str, values: dict[str, Any]) -> CameraView:
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
            f"{name} is not a camera ({error}); expected transform_matrix and fl_x or camera_angle_x"
        ) from error
    return checked(name, CameraView(matrix, width, height, focals, center))


def _intrinsics(view: CameraView) -> dict[str, float]:
    return {"fl_x": view.focal[0], "fl_y": view.focal[1], "cx": view.center[0], "cy": view.center[1]}


def _angle(view: CameraView) -> float:
    return 2 * math.atan(0.5 * view.width / view.focal[0])
