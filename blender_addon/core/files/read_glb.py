# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary glTF with KHR_gaussian_splatting: points whose attributes are Gaussians, or an .spz in their place; y up.

Scale is linear, opacity 0..1, rotation xyzw; harmonics are SH_DEGREE_l_COEF_n. The toolkit adds _LEVEL and _PARENT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..parsing.distance import far_offset
from ..parsing.gltf import Glb
from ..parsing.unpacking import check_promise
from ..splats import (
    NO_PARENT,
    OFFSET,
    ActivatedSplats,
    Array,
    SplatError,
    check_tree,
    parse_errors_as_splat_errors,
    splats_from_stored,
)
from ..transforming import moved
from .read_spz import spz_splats

EXTENSION = "KHR_gaussian_splatting"
PACKED = f"{EXTENSION}_compression_spz_2"
PREFIX = f"{EXTENSION}:"
MAX_DEGREE = 3

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
    try:
        with parse_errors_as_splat_errors():
            parts = list(_parts(Glb(path), path.stat().st_size))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, SplatError):
            raise
        raise SplatError(f"its description is broken ({type(error).__name__}: {error})") from error
    if not parts:
        raise NoSplatsError(f"none of its primitives has the extension {EXTENSION}")
    return _placed(parts)


def _placed(parts: list[tuple[ActivatedSplats, Array]]) -> ActivatedSplats:
    """All Gaussians where their nodes place them, recentred in double precision where that is far away."""
    centres = np.concatenate([part.position @ matrix[:3, :3].T + matrix[:3, 3] for part, matrix in parts])
    with np.errstate(divide="ignore"):
        sizes = np.concatenate([np.log(part.scale) for part, _ in parts])
    shift = far_offset(centres, sizes)
    back = np.eye(4)
    back[:3, 3] = -shift
    whole = _joined([moved(part, back @ matrix) for part, matrix in parts])
    if shift.any():
        whole.facts[OFFSET] = [float(value) for value in shift]
    return whole


def _parts(glb: Glb, size: int) -> Iterator[tuple[ActivatedSplats, Array]]:
    """Each primitive's Gaussians and the matrix of its node, of a file of ``size`` bytes."""
    unpacked = 0
    required = glb.document.get("extensionsRequired", [])
    others = [name for name in required if name not in (EXTENSION, PACKED)]
    for node, mesh, matrix in glb.instances():
        for primitive in mesh["primitives"]:
            kind = primitive.get("extensions", {}).get(EXTENSION)
            if kind is None:
                continue
            if others:
                raise SplatError(f"it needs the extensions {others}; export it again without compression")
            if packed := kind.get("extensions", {}).get(PACKED):
                splats = _unpacked(glb.view_bytes(packed.get("bufferView"), PACKED), node)
                unpacked += splats.position.nbytes + splats.harmonics.nbytes
                check_promise(unpacked, size)  # each use counts: many nodes may share what is packed once
                yield splats, matrix
                continue
            if kind.get("extensions"):
                names = ", ".join(kind["extensions"])
                raise SplatError(f"its Gaussians are packed by {names}; export it again without compression")
            if primitive.get("mode") != 0 or kind.get("kernel") != "ellipse":
                raise SplatError("its Gaussians are no ellipses at points; only those are read")
            yield _part(glb, primitive["attributes"], node), matrix


def _unpacked(data: bytes, node: dict[str, Any]) -> ActivatedSplats:
    """The Gaussians of an .spz in the file, which are in glTF's axes whatever the .spz declares."""
    return _at_level(replace(spz_splats(data), frame="y_up"), node)


def _at_level(splats: ActivatedSplats, node: dict[str, Any]) -> ActivatedSplats:
    """``splats`` as roots of the level that their node states, if it states one."""
    if isinstance(level := node.get("extras", {}).get("hgs_level"), int):
        splats.level = np.full(len(splats), level, np.int32)
        splats.parent = np.full(len(splats), NO_PARENT, np.int32)
    return splats


def _part(glb: Glb, attributes: dict[str, int], node: dict[str, Any]) -> ActivatedSplats:
    def column(name: str, width: int) -> Array:  # (N, width)
        if name not in attributes:
            raise SplatError(f"its Gaussians lack {name}")
        return glb.values(attributes[name], name, width)

    degree = max(d for d in range(MAX_DEGREE + 1) if d == 0 or coefficient_names(d)[-1] in attributes)
    means, scales = column("POSITION", 3), column(f"{PREFIX}SCALE", 3)
    rotation, opacity = column(f"{PREFIX}ROTATION", 4), column(f"{PREFIX}OPACITY", 1)[:, 0].astype(np.float64)
    colors = [column(name, 3) for name in coefficient_names(degree)]
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
        return splats
    return _at_level(splats, node)


def coefficient_names(degree: int) -> list[str]:
    """Attributes of the coefficients up to ``degree``, the constant one first."""
    return [f"{PREFIX}SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def _whole(values: Array) -> Array:
    if not np.isfinite(values).all() or (values != np.round(values)).any() or (np.abs(values) > 2**24).any():
        raise SplatError("a level or parent is no whole number")
    return values.astype(np.int32)


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
