# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3D-GS .ply of any program, with level and parent where the toolkit wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .splats import ActivatedSplats, Array, SplatError, check_tree, splats_from_stored

MAX_HEADER = 128 * 1024

BLOCK = 4096
"""Rows whose columns are put in place at a time: a megabyte with all harmonics, which stays in the cache."""

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}

REQUIRED = (
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"),
    *("rot_0", "rot_1", "rot_2", "rot_3"),
)


def read_ply(path: Path) -> ActivatedSplats:
    """Read binary .ply splats.

    Raises:
        SplatError: if the file is truncated, text, no splats, or holds NaN or infinite values (counted).
    """
    table, frame = _read_table(path)
    names = table.dtype.names or ()
    if missing := [name for name in REQUIRED if name not in names]:
        raise SplatError(f"it lacks the columns {', '.join(missing)}; it is no Gaussian splat file")
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in (0, 9, 24, 45) or not {f"f_rest_{i}" for i in range(rest)} <= set(names):
        raise SplatError(f"it has {rest} f_rest columns; expected 0, 9, 24 or 45")

    # Channel-major in the file: all of red, then green, then blue.
    higher = (f"f_rest_{channel * rest // 3 + index}" for index in range(rest // 3) for channel in range(3))
    colors = _columns(table, "f_dc_0", "f_dc_1", "f_dc_2", *higher).reshape(len(table), -1, 3)  # (N, 1 + K, 3)
    splats = splats_from_stored(
        _columns(table, "x", "y", "z"), _columns(table, "scale_0", "scale_1", "scale_2"),
        _columns(table, "rot_0", "rot_1", "rot_2", "rot_3"), colors, _columns(table, "opacity")[:, 0], frame=frame,
    )  # fmt: skip
    if "level" in names and "parent" in names:
        splats.level, splats.parent = (_whole(path, table[name]) for name in ("level", "parent"))
        check_tree(splats.level, splats.parent)
    return splats


def _columns(table: Array, *names: str) -> Array:
    """(N, len(names)) float32 of some columns."""
    values = np.empty((len(table), len(names)), np.float32)
    for start in range(0, len(table), BLOCK):
        rows, block = table[start : start + BLOCK], values[start : start + BLOCK]
        for index, name in enumerate(names):
            block[:, index] = rows[name]
    return values


def _whole(path: Path, values: Array) -> Array:
    if not np.isfinite(values).all() or (values != np.round(values)).any() or (np.abs(values) > 2**24).any():
        raise SplatError("level or parent is no whole number; expected columns written by hgs")
    return values.astype(np.int32)


def _read_table(path: Path) -> tuple[Array, str]:
    """The element ``vertex`` as a structured array, and the frame that our own comment names."""
    with open(path, "rb") as file:
        head = file.read(MAX_HEADER)
    end = head.find(b"end_header")
    if not head.startswith(b"ply") or end < 0:
        raise SplatError("it is no .ply file")
    start = head.find(b"\n", end) + 1
    order, frame, fields, count, element = "", "rdf", [], -1, ""
    for line in head[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS.get(words[1] if len(words) > 1 else "", "")
        elif words[:3] == ["comment", "frame", "y_up"]:
            frame = "y_up"
        elif words[:1] == ["element"] and len(words) == 3:
            if count < 0 and words[1] != "vertex":
                raise SplatError(f"it begins with the element '{words[1]}'; expected vertex")
            element = words[1]
            if element == "vertex":
                count = int(words[2]) if words[2].isdigit() else -1
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in TYPES:
                raise SplatError(f"it has the property '{' '.join(words[1:])}'; expected plain numbers")
            fields.append((words[2], order + TYPES[words[1]]))
    if not order:
        raise SplatError("it is a text .ply; expected a binary one (hgs export writes it)")
    if len({name for name, _ in fields}) != len(fields):
        raise SplatError("it names a column twice")
    dtype = np.dtype(fields)
    available = path.stat().st_size - start
    if count < 0 or count * dtype.itemsize > available:
        raise SplatError(f"it is truncated: {count} Gaussians of {dtype.itemsize} bytes do not fit into it")
    return np.fromfile(path, dtype, count, offset=start), frame
