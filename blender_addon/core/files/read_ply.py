# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3D-GS .ply of any program, with level and parent where the toolkit wrote them.

Doubles far from the origin are recentred. Also read: two sizes (2D Gaussian splatting), red, green and blue in place of
f_dc (nerfstudio), and filter_3D (Mip-Splatting), which is fused into sizes and opacities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..harmonics import COUNTS
from ..parsing.ply import read_header
from ..parsing.ply_columns import (
    COLOURS,
    FILTER,
    SIZES,
    coefficients_of_colours,
    degree_of,
    fuse_filter,
    missing_columns,
    thin_scale,
)
from ..splats import (
    OFFSET,
    ActivatedSplats,
    Array,
    SplatError,
    parse_errors_as_splat_errors,
    splats_from_stored,
)

OFFSET_COMMENT = "hgs_offset "
"""Start of the comment that states the point to which coordinates are relative."""

BLOCK = 4096
"""Rows whose columns are put in place at a time: a megabyte with all harmonics, which stays in the cache."""

COEFFICIENTS = ("f_dc_0", "f_dc_1", "f_dc_2")


def read_ply(path: Path) -> ActivatedSplats:
    """Read binary .ply splats.

    Raises:
        SplatError: if the file is truncated, text, no splats, or holds NaN or infinite values (counted).
    """
    with parse_errors_as_splat_errors():
        table, frame, facts = _read_table(path)
        names = table.dtype.names or ()
        rest = 3 * COUNTS[degree_of(names)]

    # Channel-major in the file: all of red, then green, then blue.
    higher = (f"f_rest_{channel * rest // 3 + index}" for index in range(rest // 3) for channel in range(3))
    constant = COEFFICIENTS if set(COEFFICIENTS) <= set(names) else COLOURS
    colors = _columns(table, *constant, *higher).reshape(len(table), -1, 3)  # (N, 1 + K, 3)
    if constant is COLOURS:
        colors[:, 0] = coefficients_of_colours(table)
    log_scales, logits = _sizes(table), _columns(table, "opacity")[:, 0]
    if FILTER in names:
        log_scales, logits = fuse_filter(log_scales, logits, _columns(table, FILTER)[:, 0])
    has_tree = "level" in names and "parent" in names
    level, parent = (_whole(table[name]) if has_tree else None for name in ("level", "parent"))
    return splats_from_stored(
        _centres(table), log_scales, _columns(table, "rot_0", "rot_1", "rot_2", "rot_3"), colors, logits,
        level=level, parent=parent, frame=frame, facts=facts,
    )  # fmt: skip


def _sizes(table: Array) -> Array:
    """(N, 3) log scales; discs, which have two, get a thin third one."""
    if "scale_2" in (table.dtype.names or ()):
        return _columns(table, *SIZES)
    two = _columns(table, *SIZES[:2])
    return np.column_stack([two, thin_scale(two)])


def _centres(table: Array) -> Array:
    """(N, 3) centres, in double precision where the file has it."""
    if any(table.dtype[axis].itemsize > 4 for axis in "xyz"):
        return np.column_stack([table[axis].astype(np.float64) for axis in "xyz"])
    return _columns(table, "x", "y", "z")


def _columns(table: Array, *names: str) -> Array:
    """(N, len(names)) float32 of some columns."""
    values = np.empty((len(table), len(names)), np.float32)
    for start in range(0, len(table), BLOCK):
        rows, block = table[start : start + BLOCK], values[start : start + BLOCK]
        for index, name in enumerate(names):
            block[:, index] = rows[name]
    return values


def _whole(values: Array) -> Array:
    if not np.isfinite(values).all() or (values != np.round(values)).any() or (np.abs(values) > 2**24).any():
        raise SplatError("level or parent is no whole number; expected columns written by hgs")
    return values.astype(np.int32)


def _read_table(path: Path) -> tuple[Array, str, dict[str, Any]]:
    """The element ``vertex`` as a structured array; the frame and the facts that our own comments name."""
    header = read_header(path)
    first = next(iter(header.elements), "vertex")
    if first != "vertex":
        raise SplatError(f"it begins with the element '{first}'; expected vertex")
    vertex, start = header.element("vertex"), header.table_start("vertex")
    if missing := missing_columns(vertex.columns):
        packed = "packed_position" in vertex.columns
        hint = "it is a compressed one: hgs export FILE.ply FILE.hgs" if packed else "it is no Gaussian splat file"
        raise SplatError(f"it lacks the columns {', '.join(missing)}; {hint}")
    if not header.order:
        raise SplatError("it is a text .ply; expected a binary one (hgs export writes it)")
    if start is None:
        raise SplatError("it has lists among its Gaussians; expected plain numbers")
    frame = "y_up" if "frame y_up" in header.comments else "rdf"
    return np.fromfile(path, vertex.dtype(header.order), vertex.count, offset=start), frame, _facts(header.comments)


def _facts(comments: list[str]) -> dict[str, Any]:
    """The offset that a comment states; nothing where none does, or no three numbers."""
    stated = next((each.removeprefix(OFFSET_COMMENT) for each in comments if each.startswith(OFFSET_COMMENT)), "")
    try:
        x, y, z = map(float, stated.split())
    except ValueError:
        return {}
    return {OFFSET: [x, y, z]}
