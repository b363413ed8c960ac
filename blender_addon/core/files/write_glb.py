# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as binary glTF with KHR_gaussian_splatting and the toolkit's ``_LEVEL`` and ``_PARENT``; y up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..harmonics import C0, degree_of
from ..parsing.gltf import around_binary
from ..splats import ActivatedSplats, Array, SplatError, offset_of, parse_errors_as_splat_errors
from .read_glb import EXTENSION, PREFIX, coefficient_names

POINTS, FLOAT, UNSIGNED_BYTE, ARRAY_BUFFER = 0, 5126, 5121, 34962
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}

MAX_EXACT = 2**24
"""Number of Gaussians up to which parents are exact as floats; glTF has no integers of 32 bits here."""

KERNEL = {
    "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "projection": "perspective",
    "sortingMethod": "cameraDistance",
}  # fmt: skip


def write_glb(path: Path, splats: ActivatedSplats) -> None:
    """Write Gaussians with y up to ``path``, as one primitive of points.

    Raises:
        SplatError: if there are too many for the format.
    """
    columns, offset = _columns(splats), offset_of(splats.facts)
    placed = {"translation": offset.tolist()} if offset.any() else {}
    with parse_errors_as_splat_errors():
        head, tail = around_binary(_document(columns, placed), sum(each.nbytes for each in columns.values()))
    with open(path, "wb") as file:
        file.write(head)
        for values in columns.values():
            values.tofile(file)
        file.write(tail)


def _columns(splats: ActivatedSplats) -> dict[str, Array]:
    """Values (N, k) by the names of their attributes."""
    names = coefficient_names(degree_of(splats.harmonics.shape[1]))
    colors = [splats.base[:, :3], *splats.harmonics.transpose(1, 0, 2)]
    columns = {
        "POSITION": splats.position, "COLOR_0": _fallback(splats), f"{PREFIX}SCALE": splats.scale,
        f"{PREFIX}ROTATION": splats.rotation[:, [1, 2, 3, 0]], f"{PREFIX}OPACITY": splats.base[:, 3:],
        **dict(zip(names, colors, strict=True)),
    }  # fmt: skip
    if splats.level is not None and splats.parent is not None:
        if len(splats) > MAX_EXACT:
            raise SplatError(f"{len(splats)} Gaussians; parents of at most {MAX_EXACT} fit, write .hgs")
        columns |= {"_LEVEL": splats.level[:, None], "_PARENT": splats.parent[:, None]}
    return {
        name: np.ascontiguousarray(values, np.uint8 if name == "COLOR_0" else "<f4") for name, values in columns.items()
    }


def _fallback(splats: ActivatedSplats) -> Array:
    """COLOR_0 (N, 4) for viewers of points: the constant colour in linear light, and the opacity."""
    rgb = np.clip(0.5 + C0 * splats.base[:, :3], 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    color: Array = np.round(255 * np.column_stack([linear, splats.base[:, 3]])).astype(np.uint8)
    return color


def _document(columns: dict[str, Array], placed: dict[str, Any]) -> dict[str, Any]:
    """The JSON of the file; ``placed`` is what its node says of its place."""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    start = 0
    for name, values in columns.items():
        views.append({"buffer": 0, "byteOffset": start, "byteLength": values.nbytes, "target": ARRAY_BUFFER})
        is_float = values.dtype.kind == "f"
        accessor = {"bufferView": len(accessors), "componentType": FLOAT if is_float else UNSIGNED_BYTE,
                    "count": len(values), "type": TYPES[values.shape[1]]}  # fmt: skip
        if not is_float:
            accessor["normalized"] = True
        if name == "POSITION":  # glTF wants its bounds
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        accessors.append(accessor)
        start += values.nbytes
    primitive = {
        "attributes": {name: index for index, name in enumerate(columns)}, "mode": POINTS,
        "extensions": {EXTENSION: KERNEL},
    }  # fmt: skip
    return {
        "asset": {"version": "2.0", "generator": "hgs_toolkit Blender extension"}, "extensionsUsed": [EXTENSION],
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"name": "gaussians", "mesh": 0} | placed],
        "meshes": [{"name": "gaussians", "primitives": [primitive]}], "accessors": accessors, "bufferViews": views,
        "buffers": [{"byteLength": start}],
    }  # fmt: skip
