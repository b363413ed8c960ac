"""NeRF's transforms.json in its variants: NeRF synthetic, instant-ngp, nerfstudio, ``hgs synth --format transforms``.

Camera-to-world matrices with OpenGL camera axes (x right, y up, z backward). NeRF synthetic gives the horizontal field
of view and image names without a suffix, the others focal lengths in pixels; what a frame says goes before what
the file says (https://docs.nerf.studio/quickstart/data_conventions.html).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch

from hgs_toolkit.cameras import convert_camera_axes
from hgs_toolkit.datasets.sources.photographs import (
    ImageFinder,
    Lens,
    Matrix,
    Photograph,
    Scene,
    check_lens,
    gather,
    numbers,
    pose,
    read_json,
)
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError

logger = logging.getLogger(__name__)

NUMBERS = {"w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", "p1", "p2"}
HIGHER = ("k3", "k4", "k5", "k6")
KEYS = NUMBERS | {"k1", "k2", *HIGHER}
"""Entries that describe a lens."""

WORLD, OURS = "hgs_world", "y_up"
"""An entry that ``hgs synth`` writes, and its value: the world is ours already, and nothing needs to be placed."""

POSE_TOLERANCE = 1e-6
"""Difference of two matrices' entries, below which they are one pose."""

PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
"""Camera models that k1, k2, p1 and p2 describe."""


def is_transforms(name: str) -> bool:
    """Whether a file is called transforms.json, transforms_train.json, ..."""
    path = PurePosixPath(name)
    return path.suffix == ".json" and (path.stem == "transforms" or path.stem.startswith("transforms_"))


def read_transforms(
    store: FileStore, files: Sequence[str], images: FileStore | None = None, problems: list[str] | None = None
) -> list[Scene]:
    """A scene for each folder with a transforms.json; a training, validation and test part are one scene.

    Args:
        store: where ``files`` are.
        images: where the images are, if not beside the files.
        problems: takes what is wrong with frames that are left out; None raises it.

    Raises:
        DataError: naming the file that is broken, or the image that is missing, ambiguous or has two poses.
    """
    finder = ImageFinder(images or store)
    find = finder.beside if images is None else finder.anywhere
    scenes: dict[str, list[Photograph]] = {}
    placed: dict[str, bool] = {}
    for file in files:
        content = read_json(store, file)
        frames = content.get("frames") if isinstance(content, dict) else None
        if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
            raise DataError(f"{store.path}/{file} has no list of frames; expected NeRF's transforms.json")
        makers = [partial(_photograph, content | frame, finder, find, file) for frame in frames]
        folder = PurePosixPath(file).parent.as_posix()
        scenes.setdefault(folder, []).extend(gather(makers, problems))
        placed[folder] = placed.get(folder, True) and content.get(WORLD) == OURS
    found = [Scene(folder, _once(listed, problems), None, placed[folder]) for folder, listed in scenes.items()]
    return [scene for scene in found if scene.photographs]


def _once(listed: Sequence[Photograph], problems: list[str] | None) -> list[Photograph]:
    """Each image of a scene once, though several files may list it, as transforms.json does what the parts list."""
    by_image: dict[str, list[Photograph]] = {}
    for photograph in listed:
        by_image.setdefault(photograph.image, []).append(photograph)
    if len(by_image) < len(listed):
        image = next(image for image, same in by_image.items() if len(same) > 1)
        logger.info("%d frames list an image again, such as %s; it counts once", len(listed) - len(by_image), image)
    return list(gather([partial(_agreed, image, same) for image, same in by_image.items()], problems))


def _agreed(image: str, listed: Sequence[Photograph]) -> Photograph:
    first, *others = listed
    if not all(np.allclose(other.cam_to_world, first.cam_to_world, atol=POSE_TOLERANCE) for other in others):
        raise DataError(f"{image} has two different poses in the transforms.json of its folder; expected one")
    return first


def _photograph(
    facts: Mapping[str, Any], finder: ImageFinder, find: Callable[[str, str], str], file: str
) -> Photograph:
    path, mask = facts.get("file_path"), facts.get("mask_path", facts.get("alpha_path"))
    if not isinstance(path, str):
        raise DataError(f"{file} has a frame without file_path")
    image, what = find(file, path), f"the frame {path} of {file}"
    mask = find(file, mask) if isinstance(mask, str) else None
    matrix = _pose(facts.get("transform_matrix"), what)
    return Photograph(finder.store, image, mask, matrix, _lens(facts, finder, image, what))


def _pose(value: Any, what: str) -> Matrix:
    rows = 3 if isinstance(value, list) and len(value) == 3 else 4
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:rows] = torch.from_numpy(numbers(value, f"transform_matrix of {what}", rows, 4))
    matrix = convert_camera_axes(matrix, "opengl", "opencv")
    return pose(matrix[:3, :3].numpy(), matrix[:3, 3].numpy(), f"transform_matrix of {what}")


def _lens(facts: Mapping[str, Any], finder: ImageFinder, image: str, what: str) -> Lens:
    model = facts.get("camera_model", "OPENCV")
    if facts.get("is_fisheye"):
        raise DataError(f"{what} has a fisheye lens (is_fisheye); expected a perspective camera: undistort the images")
    if model not in PERSPECTIVE:
        raise DataError(f"{what} has the camera model {model}; expected a perspective camera: undistort the images")
    known = {key: float(numbers(facts[key], f"{key} of {what}")) for key in KEYS & facts.keys()}
    for key in HIGHER:
        if known.get(key):
            raise DataError(
                f"{what} has the distortion {key}; expected k1, k2, p1 and p2 at most: undistort the images"
            )
    if "w" in known and "h" in known:
        width, height = int(known["w"]), int(known["h"])
    else:
        width, height = finder.size(image)
    fx = known.get("fl_x") or _focal(known.get("camera_angle_x"), width)
    fy = known.get("fl_y") or _focal(known.get("camera_angle_y"), height)
    if not fx and not fy:
        raise DataError(f"{what} has neither fl_x nor camera_angle_x; expected a focal length or field of view")
    return check_lens(
        Lens(
            fx or fy or 0.0, fy or fx or 0.0, known.get("cx", width / 2), known.get("cy", height / 2), width, height,
            (known.get("k1", 0.0), known.get("k2", 0.0), known.get("p1", 0.0), known.get("p2", 0.0)),
        ), what,
    )  # fmt: skip


def _focal(angle: float | None, size: int) -> float | None:
    """Focal length in pixels of a field of view, radians, over ``size`` pixels."""
    return size / 2 / math.tan(angle / 2) if angle is not None and 0 < angle < math.pi else None
