"""The encodings of numbers in a .rad file: whole and half floats, bytes between bounds, differences of bytes.

All but ``oct88r8`` store column after column: all x, all y, ... The writer uses the plain encodings; Spark's own tools
use the others, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.stored import Floats

PLAIN = {"f32": "<f4", "f16": "<f2", "ln_f16": "<f2", "u16": "<u2", "u32": "<u4"}
"""NumPy types of the encodings that store numbers as they are; the numbers of ``ln_f16`` are logarithms."""

SPLIT = {"f32_lebytes": "<f4", "f16_lebytes": "<f2"}
"""NumPy types of the encodings that store all lowest bytes first, then all next ones, and so on."""

Bounds = tuple[float, float]
"""Least and greatest value of a property that is stored in bytes."""


def _unsigned(values: NDArray[np.uint8], bounds: Bounds) -> Floats:
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return values.astype(np.float32) / np.float32(255) * (high - low) + low


def _signed(values: NDArray[np.uint8], bounds: Bounds) -> Floats:
    return values.view(np.int8).astype(np.float32) / np.float32(127) * np.float32(bounds[1])


def _logarithm(values: NDArray[np.uint8], bounds: Bounds) -> Floats:
    """Logarithms of sizes: the byte 0 means a size of 0, the others lie between the bounds."""
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    between = (values.astype(np.float32) - np.float32(1)) / np.float32(254) * (high - low) + low
    return np.where(values == 0, np.float32(-np.inf), between)


def _summed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.add.accumulate(values, axis=0, dtype=np.uint8)


BYTES: dict[str, Callable[[NDArray[np.uint8], Bounds], Floats]] = {
    "r8": _unsigned,
    "r8_delta": lambda values, bounds: _unsigned(_summed(values), bounds),
    "s8": _signed,
    "s8_delta": lambda values, bounds: _signed(_summed(values), bounds),
    "ln_0r8": _logarithm,
}
"""Decoders of the encodings that store bytes, which need the bounds of their property."""

OCTAHEDRAL = "oct88r8"
"""Encoding of a rotation in three bytes: its axis as a point on an octahedron, and its angle."""


def bytes_a_value(encoding: str) -> int:
    """The number of bytes of one number; raises a FormatError if the encoding is unknown."""
    if encoding in PLAIN | SPLIT:
        return np.dtype((PLAIN | SPLIT)[encoding]).itemsize
    if encoding in BYTES or encoding == OCTAHEDRAL:
        return 1
    raise FormatError(f"its numbers are encoded as '{encoding}'; expected {', '.join([*PLAIN, *SPLIT, *BYTES])}")


def decoded(encoding: str, raw: bytes, count: int, bounds: Bounds) -> NDArray[Any]:
    """The values (count, width) of a column; logarithms if the encoding's name begins with ``ln_``."""
    if encoding in PLAIN:
        return np.frombuffer(raw, PLAIN[encoding]).reshape(-1, count).T
    if encoding in SPLIT:
        whole = np.dtype(SPLIT[encoding])
        rows = np.frombuffer(raw, np.uint8).reshape(whole.itemsize, -1).T  # (width * count, itemsize)
        return np.ascontiguousarray(rows).view(whole).reshape(-1, count).T
    return BYTES[encoding](np.frombuffer(raw, np.uint8).reshape(-1, count).T, bounds)


def rotations(encoding: str, raw: bytes, count: int) -> Floats:
    """The quaternions (count, 4) wxyz, stored as their vector parts or as an axis and an angle."""
    if encoding == OCTAHEDRAL:
        u, v, turn = (np.frombuffer(raw, np.uint8).reshape(count, 3) / np.float32(255)).T
        x, y = 2 * u - 1, 2 * v - 1
        z = 1 - np.abs(x) - np.abs(y)
        fold = np.maximum(-z, 0)  # the lower half is folded over the edges of the upper
        axis = np.stack([x - np.copysign(fold, x), y - np.copysign(fold, y), z], axis=1)
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        half = turn * np.float32(np.pi / 2)
        return np.concatenate([np.cos(half)[:, None], axis * np.sin(half)[:, None]], axis=1)
    vector = decoded(encoding, raw, count, (0.0, 1.0)).astype(np.float32)
    w = np.sqrt(np.maximum(1 - np.square(vector).sum(axis=1, keepdims=True), 0))
    return np.concatenate([w, vector], axis=1)
