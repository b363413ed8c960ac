# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary glTF with KHR_gaussian_splatting: primitives of points whose attributes are Gaussians; y up.

Scale is linear, opacity 0..1, rotation xyzw; harmonics are SH_DEGREE_l_COEF_n. The toolkit adds _LEVEL and _PARENT.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..rotations import quaternions_to_matrices
from ..splats import NO_PARENT, ActivatedSplats, Array, SplatError, check_tree, splats_from_stored
from ..transforming import moved

EXTENSION = "KHR_gaussian_splatting"
PREFIX = f"{EXTENSION}:"
MAX_DEGREE = 3
MAX_DEPTH = 64
"""Nodes above a node."""

MAX_INSTANCES = 10_000

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
LARGEST = {5120: 127, 5121: 255, 5122: 32767, 5123: 65535}
"""What stands for 1 in whole numbers."""

WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


PLAIN = ("position", "scale", "rotation", "base")
"""What all Gaussians have in the same shape."""

TREE = ("level", "parent")


class NoSplatsError(SplatError):
    """A glTF file of ordinary meshes, which Blender's own importer reads."""


def read_glb(path: Path) -> ActivatedSplats:
    """Read all Gaussians of a .glb's scene, placed as its nodes say.

    Raises:
        NoSplatsError: if there are none, and it is a glTF file otherwise.
        SplatError: if it is broken, truncated, or needs what is not read here.
    """
    document, binary = _chunks(path)
    try:
        parts = list(_parts(document, binary))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, SplatError):
            raise
        raise SplatError(f"its description is broken ({type(error).__name__}: {error})") from error
    if not parts:
        raise NoSplatsError(f"none of its primitives has the extension {EXTENSION}")
    return _joined(parts)


def _chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary part of a .glb."""
    data = path.read_bytes()
    if len(data) < 20 or data[:4] != b"glTF":
        raise SplatError("it is no .glb file")
    found: dict[int, bytes] = {}
    start = 12
    while start + 8 <= len(data):
        size, kind = struct.unpack_from("<II", data, start)
        if size > len(data) - start - 8:
            raise SplatError(f"it is truncated: a part of {size} bytes, {len(data) - start - 8} follow")
        found.setdefault(kind, data[start + 8 : start + 8 + size])
        start += 8 + size + -size % 4
    try:
        document = json.loads(found[0x4E4F534A])
    except (KeyError, ValueError, RecursionError) as error:
        raise SplatError("its description is no JSON") from error
    if not isinstance(document, dict):
        raise SplatError("its description is no JSON object")
    return document, found.get(0x004E4942, b"")


def _parts(document: dict[str, Any], binary: bytes) -> Iterator[ActivatedSplats]:
    others = [name for name in document.get("extensionsRequired", []) if name != EXTENSION]
    for node, matrix in _nodes(document):
        if "mesh" not in node:
            continue
        for primitive in document["meshes"][node["mesh"]]["primitives"]:
            kind = primitive.get("extensions", {}).get(EXTENSION)
            if kind is None:
                continue
            if others:
                raise SplatError(f"it needs the extensions {others}; export it again without compression")
            if primitive.get("mode") != 0 or kind.get("kernel") != "ellipse":
                raise SplatError("its Gaussians are no ellipses at points; only those are read")
            yield moved(_part(document, binary, primitive["attributes"], node), matrix)


def _nodes(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Array]]:
    """Every node of the scene with its matrix in the world."""
    nodes, scenes = document.get("nodes", []), document.get("scenes", [])
    roots = scenes[document.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
    waiting = [(index, np.eye(4), 0) for index in roots]
    for _ in range(MAX_INSTANCES):
        if not waiting:
            return
        index, above, depth = waiting.pop(0)
        if depth > MAX_DEPTH or not 0 <= index < len(nodes):
            raise SplatError("its nodes are no tree")
        matrix = above @ _matrix(nodes[index])
        yield nodes[index], matrix
        waiting += [(child, matrix, depth + 1) for child in nodes[index].get("children", [])]
    raise SplatError(f"it has more than {MAX_INSTANCES} nodes")


def _matrix(node: dict[str, Any]) -> Array:
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
    else:
        x, y, z, w = node.get("rotation", (0, 0, 0, 1))
        turn = quaternions_to_matrices(np.array([[w, x, y, z]], np.float64))[0]
        matrix = np.eye(4)
        matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(matrix).all():
        raise SplatError("a node's place is NaN or infinite")
    return matrix


def _part(document: dict[str, Any], binary: bytes, attributes: dict[str, int], node: dict[str, Any]) -> ActivatedSplats:
    def column(name: str, width: int) -> Array:  # (N, width)
        if name not in attributes:
            raise SplatError(f"its Gaussians lack {name}")
        return _values(document, binary, attributes[name], width)

    degree = max(d for d in range(MAX_DEGREE + 1) if d == 0 or _coefficients(d)[-1] in attributes)
    means, scales = column("POSITION", 3), column(f"{PREFIX}SCALE", 3)
    rotation, opacity = column(f"{PREFIX}ROTATION", 4), column(f"{PREFIX}OPACITY", 1)[:, 0].astype(np.float64)
    colors = [column(name, 3) for name in _coefficients(degree)]
    if {len(each) for each in (scales, rotation, opacity, *colors)} != {len(means)}:
        raise SplatError("its attributes differ in their counts")
    if (scales < 0).any() or (opacity < 0).any() or (opacity > 1).any():
        raise SplatError("it has a negative scale, or an opacity beyond 0 to 1")
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(np.maximum(scales, np.finfo(np.float32).tiny))
        logits = np.log(opacity) - np.log1p(-opacity)
    splats = splats_from_stored(means, log_scales, rotation[:, [3, 0, 1, 2]], np.stack(colors, 1), logits, frame="y_up")
    if "_LEVEL" in attributes and "_PARENT" in attributes:
        splats.level, splats.parent = (_whole(column(name, 1)[:, 0]) for name in ("_LEVEL", "_PARENT"))
    elif isinstance(level := node.get("extras", {}).get("hgs_level"), int):
        splats.level = np.full(len(means), level, np.int32)
        splats.parent = np.full(len(means), NO_PARENT, np.int32)
    return splats


def _coefficients(degree: int) -> list[str]:
    return [f"{PREFIX}SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def _whole(values: Array) -> Array:
    if not np.isfinite(values).all() or (values != np.round(values)).any() or (np.abs(values) > 2**24).any():
        raise SplatError("a level or parent is no whole number")
    return values.astype(np.int32)


def _values(document: dict[str, Any], binary: bytes, index: int, width: int) -> Array:
    """An accessor as floats (N, width); it must lie within the file."""
    accessor = document["accessors"][index]
    if "sparse" in accessor or "bufferView" not in accessor or accessor["componentType"] not in COMPONENTS:
        raise SplatError("an accessor is sparse, empty or of a type that is not read")
    view = document["bufferViews"][accessor["bufferView"]]
    kind = np.dtype(COMPONENTS[accessor["componentType"]])
    if WIDTHS.get(accessor["type"]) != width or view.get("buffer", 0) != 0:
        raise SplatError(f"an accessor is of type {accessor['type']}; expected {width} numbers in this file")
    if "uri" in document["buffers"][0]:
        raise SplatError("its numbers are in another file; export it as one .glb")
    count, stride = int(accessor["count"]), int(view.get("byteStride", width * kind.itemsize))
    start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
    if count < 1 or start < 0 or stride < width * kind.itemsize:
        raise SplatError("an accessor is empty or lies outside of the file")
    if start + (count - 1) * stride + width * kind.itemsize > len(binary):
        raise SplatError(f"it is truncated: {count} Gaussians do not fit into it")
    raw = np.ndarray((count, width), kind, binary, start, (stride, kind.itemsize))
    values = raw.astype(np.float32)
    if accessor["componentType"] in LARGEST:
        values = np.maximum(values / LARGEST[accessor["componentType"]], -1)
    return values


def _joined(parts: list[ActivatedSplats]) -> ActivatedSplats:
    """One set of Gaussians; harmonics that some lack are zero, parents count on."""
    if len(parts) == 1:
        whole = parts[0]
    else:
        most = max(part.harmonics.shape[1] for part in parts)
        padded = [np.pad(part.harmonics, ((0, 0), (0, most - part.harmonics.shape[1]), (0, 0))) for part in parts]
        has_tree = all(part.level is not None for part in parts)
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in PLAIN}
        tree: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in TREE if has_tree
        }
        whole = ActivatedSplats(**arrays, harmonics=np.concatenate(padded), frame="y_up", **tree)
    if whole.level is not None and whole.parent is not None:
        check_tree(whole.level, whole.parent)
    return whole
