# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3D-GS .ply of any program, with level and parent where the toolkit wrote them.

Also read: two sizes (2D Gaussian splatting), red, green and blue in place of f_dc (nerfstudio), and filter_3D
(Mip-Splatting), which is fused into sizes and opacities.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..splats import SH_C0, ActivatedSplats, Array, SplatError, check_tree, splats_from_stored

MAX_HEADER = 128 * 1024

BLOCK = 4096
"""Rows whose columns are put in place at a time: a megabyte with all harmonics, which stays in the cache."""

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}

COLORS = ("red", "green", "blue")
COEFFICIENTS = ("f_dc_0", "f_dc_1", "f_dc_2")
FILTER = "filter_3D"

REQUIRED = ("x", "y", "z", "opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3")
"""Columns of every file; colours are COEFFICIENTS or COLORS, and files of 2D Gaussian splatting lack scale_2."""

THINNESS = math.log(1e-3)
"""Logarithm of the ratio of a disc's thickness to the smaller of its two sizes."""

RESOLUTION = 0.01
"""Step of single precision, as a share of the Gaussians' median size, above which coordinates would be spoiled."""


def read_ply(path: Path) -> ActivatedSplats:
    """Read binary .ply splats.

    Raises:
        SplatError: if the file is truncated, text, no splats, or holds NaN or infinite values (counted).
    """
    table, frame = _read_table(path)
    names = table.dtype.names or ()
    needed = [*REQUIRED, *(() if set(COLORS) <= set(names) else COEFFICIENTS)]
    if missing := [name for name in needed if name not in names]:
        packed = "packed_position" in names
        hint = "it is a compressed one: hgs export FILE.ply FILE.hgs" if packed else "it is no Gaussian splat file"
        raise SplatError(f"it lacks the columns {', '.join(missing)}; {hint}")
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in (0, 9, 24, 45) or not {f"f_rest_{i}" for i in range(rest)} <= set(names):
        raise SplatError(f"it has {rest} f_rest columns; expected 0, 9, 24 or 45")

    # Channel-major in the file: all of red, then green, then blue.
    higher = (f"f_rest_{channel * rest // 3 + index}" for index in range(rest // 3) for channel in range(3))
    constant = COEFFICIENTS if set(COEFFICIENTS) <= set(names) else COLORS
    colors = _columns(table, *constant, *higher).reshape(len(table), -1, 3)  # (N, 1 + K, 3)
    if constant is COLORS:
        kind = table.dtype[COLORS[0]]
        colors[:, 0] = (colors[:, 0] / (np.iinfo(kind).max if kind.kind in "iu" else 1) - 0.5) / SH_C0
    log_scales, logits = _sizes(table), _columns(table, "opacity")[:, 0]
    if FILTER in names:
        log_scales, logits = _fused(log_scales, logits, _columns(table, FILTER)[:, 0])
    _refuse_far(table, log_scales)
    splats = splats_from_stored(
        _columns(table, "x", "y", "z"), log_scales, _columns(table, "rot_0", "rot_1", "rot_2", "rot_3"), colors, logits,
        frame=frame,
    )  # fmt: skip
    if "level" in names and "parent" in names:
        splats.level, splats.parent = (_whole(path, table[name]) for name in ("level", "parent"))
        check_tree(splats.level, splats.parent)
    return splats


def _sizes(table: Array) -> Array:
    """(N, 3) log scales; discs, which have two, get a thin third one."""
    if "scale_2" in (table.dtype.names or ()):
        return _columns(table, "scale_0", "scale_1", "scale_2")
    two = _columns(table, "scale_0", "scale_1")
    return np.column_stack([two, two.min(axis=1) + np.float32(THINNESS)])


def _fused(log_scales: Array, logits: Array, width: Array) -> tuple[Array, Array]:
    """Log scales and logits after Mip-Splatting's 3D filter of standard deviations ``width`` (N,).

    Variances add up, and opacities fall by the root of the ratio of the determinants.
    """
    with np.errstate(all="ignore"):  # values that are not finite are counted later
        sizes = log_scales.astype(np.float64)
        fused = np.log(np.exp(2 * sizes) + np.square(width.astype(np.float64))[:, None]) / 2
        opacity = np.exp(sizes.sum(axis=1) - fused.sum(axis=1)) / (1 + np.exp(-logits.astype(np.float64)))
        return fused.astype(np.float32), (np.log(opacity) - np.log1p(-opacity)).astype(np.float32)


def _refuse_far(table: Array, log_scales: Array) -> None:
    """Raise a SplatError for doubles so far from the origin that single precision would spoil them."""
    if not len(table) or all(table.dtype[axis].itemsize < 8 for axis in "xyz"):
        return
    center = [float(np.median(table[axis])) for axis in "xyz"]
    with np.errstate(all="ignore"):
        size = float(np.exp(np.median(log_scales.max(axis=1))))
        step = float(np.spacing(np.float32(max(map(abs, center)))))
    if step > RESOLUTION * size:
        place = ", ".join(f"{value:.7g}" for value in center)
        raise SplatError(f"it lies around ({place}), where single precision would spoil it; recentre it first: "
                         "hgs export FILE.ply FILE.hgs")  # fmt: skip


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
