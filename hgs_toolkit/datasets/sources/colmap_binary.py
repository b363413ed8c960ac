"""COLMAP's binary model as the lines of its text model (https://colmap.github.io/format.html#binary-file-format).

cameras.bin: a count, then id (int32), model (int32), width, height (uint64) and the model's parameters (float64).
images.bin: a count, then id (int32), quaternion and translation (7 float64), camera (int32), a name that ends in a zero
byte, and a count of points (x, y: float64, id: int64), which are skipped. All little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from hgs_toolkit.errors import DataError

CAMERAS_BIN, IMAGES_BIN = "cameras.bin", "images.bin"

MODEL_NAMES = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)  # fmt: skip
"""Name and number of parameters of every camera model, in the order of COLMAP's numbers."""

POINT_BYTES = 24
MAX_NAME_BYTES = 4096


def camera_lines(data: bytes, file: str) -> Iterator[str]:
    """Lines of cameras.txt: id, model, width, height, parameters."""
    (count,), offset = _unpack("<Q", data, 0, file)
    for _ in range(count):
        (camera, model, width, height), offset = _unpack("<iiQQ", data, offset, file)
        if not 0 <= model < len(MODEL_NAMES):
            raise DataError(f"{file} has the camera model number {model}; expected 0 ... {len(MODEL_NAMES) - 1}")
        name, length = MODEL_NAMES[model]
        parameters, offset = _unpack(f"<{length}d", data, offset, file)
        yield " ".join([str(camera), name, str(width), str(height), *map(repr, parameters)])


def image_lines(data: bytes, file: str) -> Iterator[str]:
    """The first line of every image in images.txt: id, quaternion, translation, camera, name."""
    (count,), offset = _unpack("<Q", data, 0, file)
    for _ in range(count):
        (image, *pose, camera), offset = _unpack("<i7di", data, offset, file)
        end = data.find(b"\0", offset, offset + MAX_NAME_BYTES)
        if end < 0:
            raise DataError(f"{file} is damaged or truncated: an image's name does not end")
        try:
            name = data[offset:end].decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is damaged: an image's name is no text") from error
        if not name.strip():
            raise DataError(f"{file} is damaged: image {image} has no name")
        (points,), offset = _unpack("<Q", data, end + 1, file)
        offset += points * POINT_BYTES
        if offset > len(data):
            raise DataError(f"{file} is truncated: {name} has {points} points")
        yield " ".join([str(image), *map(repr, pose), str(camera), name])


def _unpack(form: str, data: bytes, offset: int, file: str) -> tuple[tuple[Any, ...], int]:
    """Values at ``offset``, and the offset after them."""
    end = offset + struct.calcsize(form)
    if end > len(data):
        raise DataError(f"{file} is truncated: it ends at byte {len(data)}, in the middle of an entry")
    return struct.unpack_from(form, data, offset), end
