"""cameras.json as the 3D Gaussian Splatting training code (Kerbl et al. 2023) writes it beside its models.

A list of {img_name, width, height, position, rotation, fx, fy}: the camera's centre, and the rotation from camera to
world, row by row, with OpenCV camera axes; the principal point is the middle. The images are somewhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hgs_toolkit.datasets.sources.photographs import (
    ImageFinder,
    Lens,
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

CAMERAS_JSON = "cameras.json"


def read_cameras_json(
    store: FileStore, file: str, images: FileStore | None = None, problems: list[str] | None = None
) -> Scene:
    """The scene of one cameras.json.

    Args:
        images: where the photographs are, if not in the same store.
        problems: takes what is wrong with cameras that are left out; None raises it.
    """
    content = read_json(store, file)
    if not isinstance(content, list) or not content or not all(isinstance(entry, dict) for entry in content):
        raise DataError(f"{store.path}/{file} is not a list of cameras; expected 3D Gaussian Splatting's cameras.json")
    finder = ImageFinder(images or store)
    return Scene(file, list(gather([partial(_photograph, entry, finder, file) for entry in content], problems)))


def _photograph(entry: Mapping[str, Any], finder: ImageFinder, file: str) -> Photograph:
    name = entry.get("img_name")
    if not isinstance(name, str):
        raise DataError(f"{file} has a camera without img_name")
    what = f"the camera of {name} in {file}"
    keys = ("fx", "fy", "width", "height")
    fx, fy, width, height = (float(numbers(entry.get(key), f"{key} of {what}")) for key in keys)
    rotation = numbers(entry.get("rotation"), f"rotation of {what}", 3, 3)
    position = numbers(entry.get("position"), f"position of {what}", 3)
    lens = check_lens(Lens(fx, fy, width / 2, height / 2, int(width), int(height)), what)
    return Photograph(
        finder.store, finder.anywhere(file, name), None, pose(rotation, position, f"rotation of {what}"), lens
    )
