# SPDX-License-Identifier: GPL-3.0-or-later
"""The toolkit's own file ``.hgs``: a safetensors file, that is a length, a JSON header and raw arrays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..splats import ActivatedSplats, Array, SplatError, splats_from_stored

MAX_HEADER = 16 * 1024 * 1024
"""Bytes; ours has two thousand."""

TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
METADATA_KEY = "hgs"


def read_hgs(path: Path) -> ActivatedSplats:
    """Read the Gaussians, their tree and what the file says about itself.

    Raises:
        SplatError: if the file is truncated, of another kind, or its arrays contradict each other.
    """
    header, start = _header(path)
    metadata = _metadata(header)
    size = path.stat().st_size - start

    def array(name: str, *shape: int) -> Array:
        """The array ``name``, whose shape must be (N, *shape)."""
        return _array(path, name, header.get(name), start, size, shape)

    means = array("means", 3)
    coefficients = _coefficients(path, header, start, size)
    parts = [means, array("log_scales", 3), array("quats", 4), coefficients, array("opacity_logits")]
    level, parent = array("level"), array("parent")
    if {len(part) for part in (*parts, level, parent)} != {len(means)}:
        raise SplatError("it is broken: its arrays have different lengths")
    stored = [part.astype(np.float32) for part in parts]
    return splats_from_stored(*stored, level=level.astype(np.int32), parent=parent.astype(np.int32), frame="y_up",
                              facts=metadata)  # fmt: skip


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header and the offset of the data behind it."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise SplatError("it is truncated or no .hgs file")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise SplatError("it is no .hgs file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise SplatError("it is no .hgs file: its header is no JSON object")
    return header, 8 + length


def _metadata(header: dict[str, Any]) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    try:
        values = json.loads(metadata[METADATA_KEY])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SplatError("it is a safetensors file but no Gaussian scene; expected one made by hgs") from error
    if not isinstance(values, dict) or values.get("frame", "y_up") != "y_up":
        raise SplatError("its metadata are not those of a scene with y up")
    return values


def _coefficients(path: Path, header: dict[str, Any], start: int, size: int) -> Array:
    shape = _shape(header.get("sh"))
    if len(shape) != 3 or shape[1] not in (1, 4, 9, 16):
        raise SplatError(f"it has colours of shape {shape}; expected (N, 1, 4, 9 or 16, 3)")
    return _array(path, "sh", header["sh"], start, size, (shape[1], 3))


def _shape(entry: object) -> tuple[int, ...]:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    good = isinstance(shape, list) and all(isinstance(n, int) and 0 <= n < 2**40 for n in shape)
    return tuple(shape) if good else ()  # type: ignore[arg-type]


def _array(path: Path, name: str, entry: Any, start: int, size: int, tail: tuple[int, ...]) -> Array:
    """One array, after its type, shape and place in the file have been compared."""
    shape = _shape(entry)
    kind = TYPES.get(entry.get("dtype")) if shape else None
    offsets = entry.get("data_offsets") if shape else None
    if kind is None or shape[1:] != tail or not isinstance(offsets, list) or len(offsets) != 2:
        raise SplatError(f"it is broken: the array '{name}' is missing or of an odd kind")
    count = math.prod(shape)
    begin, end = offsets
    if not all(isinstance(n, int) for n in offsets) or not 0 <= begin <= end <= size:
        raise SplatError(f"it is truncated: the array '{name}' lies beyond its end")
    if end - begin != count * np.dtype(kind).itemsize:
        raise SplatError(f"it is broken: the array '{name}' has another size than its shape says")
    return np.fromfile(path, kind, count, offset=start + begin).reshape(shape)
