# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes that a model of the toolkit was trained with, read from its file's header: no weights, no torch."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

MODEL_FILE = "model.safetensors"
"""Name of the model in the folder of a run."""

MAX_HEADER_BYTES = 1 << 27


def class_names(model: str) -> tuple[str, ...]:
    """Texts of the classes to choose from, such as ``chair`` or ``floppy+hat``; empty if there are none to read."""
    path = Path(model).expanduser()
    path = path / MODEL_FILE if path.is_dir() else path
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return ()  # whoever generates is told what is wrong with the file


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> tuple[str, ...]:
    """The panel asks at every drawing; ``_changed`` is when the file was written."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > MAX_HEADER_BYTES:
            raise ValueError("no safetensors file")
        header = json.loads(file.read(size))
    classes = json.loads(header["__metadata__"]["hgs_model"])["config"]["generator"]["classes"]
    names, vectors = classes["names"], classes["vectors"]
    return tuple(_describe(names, vector) for vector in vectors) if vectors else tuple(map(str, names))


def _describe(names: list[str], vector: list[Any]) -> str:
    parts = [name if value == 1 else f"{name}={value:.6g}" for name, value in zip(names, vector, strict=True) if value]
    return "+".join(parts) or "none"
