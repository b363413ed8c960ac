"""COLMAP's models: cameras.txt and images.txt (https://colmap.github.io/format.html#text-format), or the same as .bin.

An image has two lines: its world-to-camera pose as quaternion (w first) and translation, OpenCV camera axes, and its
points, which may be an empty line. Pixel centres are at +0.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from hgs_toolkit.datasets.sources.colmap_binary import CAMERAS_BIN, IMAGES_BIN, camera_lines, image_lines
from hgs_toolkit.datasets.sources.photographs import (
    MAX_TEXT_BYTES,
    ImageFinder,
    Lens,
    Matrix,
    Photograph,
    Scene,
    check_lens,
    gather,
    pose,
)
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError

CAMERAS, IMAGES = "cameras.txt", "images.txt"
FILES = (CAMERAS, IMAGES, CAMERAS_BIN, IMAGES_BIN)
"""Names of the files of a model; where a folder has both kinds, the text is read."""

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text holds."""

Distortion = tuple[float, float, float, float]

MODELS: dict[str, tuple[int, Callable[..., tuple[float, float, float, float, Distortion]]]] = {
    "SIMPLE_PINHOLE": (3, lambda f, cx, cy: (f, f, cx, cy, (0.0, 0.0, 0.0, 0.0))),
    "PINHOLE": (4, lambda fx, fy, cx, cy: (fx, fy, cx, cy, (0.0, 0.0, 0.0, 0.0))),
    "SIMPLE_RADIAL": (4, lambda f, cx, cy, k: (f, f, cx, cy, (k, 0.0, 0.0, 0.0))),
    "RADIAL": (5, lambda f, cx, cy, k1, k2: (f, f, cx, cy, (k1, k2, 0.0, 0.0))),
    "OPENCV": (8, lambda fx, fy, cx, cy, k1, k2, p1, p2: (fx, fy, cx, cy, (k1, k2, p1, p2))),
}
"""Camera models: the number of their parameters, and these as fx, fy, cx, cy and k1, k2, p1, p2."""


def read_colmap(
    store: FileStore, folder: str, images: FileStore | None = None, problems: list[str] | None = None
) -> Scene:
    """The scene of the model in ``folder``.

    Args:
        images: where the photographs are, if not in the same store.
        problems: takes what is wrong with images that are left out; None raises it.
    """
    cameras_file = _either(store, folder, CAMERAS, CAMERAS_BIN)
    images_file = _either(store, folder, IMAGES, IMAGES_BIN)
    lenses = dict(_lenses(_camera_lines(store, cameras_file), cameras_file))
    finder, lines = ImageFinder(images or store), _lines_of_images(store, images_file)
    makers = [partial(_photograph, line, lenses, finder, images_file) for line in lines]
    if not makers:
        raise DataError(f"{images_file} of {store.path} lists no images; expected COLMAP to have registered some")
    return Scene(folder, list(gather(makers, problems)))


def _either(store: FileStore, folder: str, text: str, binary: str) -> str:
    """The name of a model's text file, or of its binary one where there is no text."""
    files = [str(PurePosixPath(folder, name)) for name in (text, binary)]
    return files[1] if files[0] not in store.names and files[1] in store.names else files[0]


def _camera_lines(store: FileStore, file: str) -> Iterable[str]:
    if file.endswith(".bin"):
        return camera_lines(store.read(file, MAX_TEXT_BYTES), file)
    return _text(store, file).splitlines()


def _lines_of_images(store: FileStore, file: str) -> Iterable[str]:
    if file.endswith(".bin"):
        return image_lines(store.read(file, MAX_TEXT_BYTES), file)
    return _image_lines(_text(store, file))


def _photograph(line: str, lenses: Mapping[str, Lens], finder: ImageFinder, file: str) -> Photograph:
    fields = line.split(maxsplit=9)
    values, name = _floats(fields[1:8], line, file), fields[9].strip()
    if fields[8] not in lenses:
        raise DataError(f"{file} gives {name} the camera {fields[8]}, which is not in {CAMERAS} or {CAMERAS_BIN}")
    matrix = _camera_to_world(values[:4], values[4:], f"the quaternion of {name} in {file}")
    return Photograph(finder.store, finder.anywhere(file, name), None, matrix, lenses[fields[8]])


def _text(store: FileStore, name: str) -> str:
    """The content of a text file: UTF-8, or Windows' code page, in which some programs write the names of images."""
    data = store.read(name, MAX_TEXT_BYTES)
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    if CONTROL.search(data):
        raise DataError(f"{store.path}/{name} is not a text file")
    return data.decode("cp1252", errors="replace")


def _lenses(lines: Iterable[str], file: str) -> Iterator[tuple[str, Lens]]:
    for line in lines:
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 4 or fields[1] not in MODELS:
            raise DataError(
                f"{file} has the camera '{' '.join(fields[:2])}'; expected one of {', '.join(MODELS)}: "
                "run colmap image_undistorter, and convert what it writes"
            )
        count, arrange = MODELS[fields[1]]
        width, height, *parameters = _floats(fields[2:], line, file)
        if len(parameters) != count:
            raise DataError(f"{file} has {len(parameters)} parameters for a {fields[1]} camera; expected {count}")
        fx, fy, cx, cy, distortion = arrange(*parameters)
        lens = Lens(fx, fy, cx, cy, int(width), int(height), distortion)
        yield fields[0], check_lens(lens, f"camera {fields[0]} of {file}")


def _image_lines(text: str) -> Iterator[str]:
    """The first line of every image; the one after it holds points, unless a program left empty ones out."""
    points_follow = False
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if points_follow and (not line.strip() or _is_points(line)):
            points_follow = False
            continue
        if line.strip():
            if len(line.split(maxsplit=9)) < 10:
                raise DataError(
                    f"{IMAGES} has the line '{line[:60]}'; expected id, quaternion, translation, camera, name"
                )
            yield line
            points_follow = True


def _is_points(line: str) -> bool:
    fields = line.split()
    try:
        return len(fields) % 3 == 0 and bool(np.isfinite(np.array(fields, dtype=float)).all())
    except ValueError:
        return False


def _floats(fields: list[str], line: str, file: str) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise DataError(f"{file} has the line '{line[:60]}'; expected finite numbers")
    return values


def _camera_to_world(quaternion: list[float], translation: list[float], what: str) -> Matrix:
    length = float(np.linalg.norm(quaternion))
    if not 0.5 < length < 2:
        raise DataError(f"{what} has the length {length:g}; expected 1")
    w, x, y, z = (value / length for value in quaternion)
    to_camera = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return pose(to_camera.T, -to_camera.T @ np.array(translation), what)
