"""Binary glTF (.glb) with KHR_gaussian_splatting: a primitive of points whose attributes are the Gaussians.

POSITION and, under the extension's prefix, ROTATION (xyzw, unit), SCALE (linear), OPACITY (0..1) and SH_DEGREE_l_COEF_n
(RGB; n = 0 .. 2l for m = -l .. l with the signs of 3D-GS) are accessors of floats. COLOR_0 (linear RGB and opacity) is
for viewers that only know points. The frame is glTF's, which is ``y_up``.

With the option ``nodes``, each level is a node of its own, named ``level 0`` and so on, whose ``extras`` state the
level. With ``extras``, the custom attributes ``_LEVEL`` and ``_PARENT`` keep the tree as whole numbers in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import (
    dc_to_rgb,
    log_scales_to_scales,
    logits_to_opacities,
    normalize_quats,
)
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.glb.names import (
    ARRAY_BUFFER,
    EXTENSION,
    FLOAT,
    LEVEL,
    LEVEL_ENTRY,
    PARENT,
    POINTS,
    UNSIGNED_BYTE,
    harmonics,
    named,
    splat_properties,
)
from hgs_toolkit.exporters.splats.gltf import write_chunks
from hgs_toolkit.exporters.splats.stored import with_finite_sizes
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.parsing.gltf import Json
from hgs_toolkit.version import program_name

TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
"""glTF's name of an element's type by the number of its components."""

MAX_EXACT_INDEX = 2**24
"""Greatest whole number up to which all are exact in a float; glTF allows integers of 32 bits only as indices."""

BLOCK = 2**14
"""Gaussians that are converted at a time, so that intermediate values stay in the processor's cache."""


@dataclass(frozen=True)
class _Column:
    """Attributes that lie side by side for each Gaussian.

    Attributes:
        names: the attributes' names.
        width: numbers of one attribute.
        make: returns the values (M, width) or (M, names, width) of a slice of M rows.
        component: glTF's number of the values' type: FLOAT or UNSIGNED_BYTE.
    """

    names: tuple[str, ...]
    width: int
    make: Callable[[slice], Tensor]
    component: int = FLOAT

    @property
    def bytes(self) -> int:
        """Size of one attribute of a Gaussian."""
        return self.width * (4 if self.component == FLOAT else 1)

    @property
    def stride(self) -> int:
        """Number of bytes from one Gaussian to the next."""
        return self.bytes * len(self.names)


def write_glb(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene; with ``options.nodes``, its Gaussians are sorted by level, the background last.

    Sizes beyond single precision are clamped, and counted in the log.

    Raises:
        FormatError: if the file would exceed 4 GiB, or an index is too large for a float.
    """
    scene = scene.detach().to("cpu", torch.float32)
    scene = scene.replace(log_scales=with_finite_sizes(scene.log_scales, ".glb"))
    levels: list[int | None] = [None]
    counts = [scene.num_gaussians]
    if options.nodes:
        scene = by_level(scene)
        kept, tally = scene.level.unique_consecutive(return_counts=True)
        levels, counts = kept.tolist(), tally.tolist()
    # A node's numbers are doubles for most programs, so the offset of a scene far from the origin is kept there.
    placed: Json = {"translation": list(options.offset)} if any(options.offset) else {}
    columns = _columns(scene, options.extras)
    write_chunks(
        path, _document(scene, columns, levels, counts, placed), _blocks(columns, scene.num_gaussians),
        sum(column.stride for column in columns) * scene.num_gaussians,
    )  # fmt: skip


def by_level(scene: GaussianHierarchy) -> GaussianHierarchy:
    """``scene`` with its Gaussians sorted by level, the background last, and its parents renumbered."""
    key = torch.where(scene.level == BACKGROUND_LEVEL, scene.num_levels, scene.level)
    order = key.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    parent = torch.where(scene.parent < 0, scene.parent, rank[scene.parent.clamp_min(0)])
    return scene.replace(
        **{name: value[:, order] for name, value in scene.parameters().items()},
        level=scene.level[order], parent=parent[order], check_finite=False,
    )  # fmt: skip


def _columns(scene: GaussianHierarchy, extras: bool) -> list[_Column]:
    means, log_scales, quats = scene.means[0], scene.log_scales[0], scene.quats[0]
    sh, logits = scene.sh[0], scene.opacity_logits[0]
    columns = [
        _Column(("POSITION",), 3, lambda rows: means[rows]),
        _Column(("COLOR_0",), 4, lambda rows: _fallback(sh[rows, 0], logits[rows]), UNSIGNED_BYTE),
        _Column((named("ROTATION"),), 4, lambda rows: normalize_quats(quats[rows]).roll(-1, -1)),  # xyzw
        _Column((named("SCALE"),), 3, lambda rows: log_scales_to_scales(log_scales[rows])),
        _Column((named("OPACITY"),), 1, lambda rows: logits_to_opacities(logits[rows])),
        # glTF allows a stride of at most 252 bytes; this one, the scene's own layout, has 192 at degree 3.
        _Column(tuple(harmonics(scene.sh_degree)), 3, lambda rows: sh[rows]),
    ]
    if extras:
        if scene.num_gaussians > MAX_EXACT_INDEX:
            raise FormatError(f"{scene.num_gaussians} Gaussians; parents of at most {MAX_EXACT_INDEX} fit, write .hgs")
        columns.append(_Column((LEVEL,), 1, lambda rows: scene.level[rows].float()))
        columns.append(_Column((PARENT,), 1, lambda rows: scene.parent[rows].float()))
    return columns


def _blocks(columns: list[_Column], count: int) -> Iterator[NDArray[Any]]:
    """The values of each column from top to bottom, BLOCK Gaussians at a time."""
    for column in columns:
        for start in range(0, count, BLOCK):
            yield column.make(slice(start, start + BLOCK)).numpy()


def _fallback(dc: Tensor, logits: Tensor) -> Tensor:
    """COLOR_0 (N, 4) uint8: the constant colour in linear light, as glTF defines it, and the opacity."""
    rgb = dc_to_rgb(dc).clamp(0, 1)
    # This is sRGB's transfer function (IEC 61966-2-1); exp and log take half the time of a power.
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, (2.4 * ((rgb + 0.055) / 1.055).log()).exp())
    colour = torch.cat([linear, logits_to_opacities(logits)[:, None]], dim=-1)
    return (255 * colour).round().to(torch.uint8)


def _document(
    scene: GaussianHierarchy,
    columns: list[_Column],
    levels: list[int | None],
    counts: list[int],
    placed: Json,
) -> Json:
    """The file's JSON: one buffer view for each column, in which each node, placed by ``placed``, has its range."""
    count, views, accessors, offset = scene.num_gaussians, [], [], 0
    for column in columns:
        size = column.stride * count
        view = {"buffer": 0, "byteOffset": offset, "byteLength": size, "byteStride": column.stride}
        views.append(view | {"target": ARRAY_BUFFER})
        offset += size
    starts = np.cumsum([0, *counts]).tolist()
    for start, number in zip(starts, counts, strict=False):
        for buffer_view, column in enumerate(columns):
            for member, name in enumerate(column.names):
                accessor: Json = {
                    "bufferView": buffer_view,
                    "byteOffset": start * column.stride + member * column.bytes,
                }
                accessor |= {"componentType": column.component, "count": number, "type": TYPES[column.width]}
                if column.component != FLOAT:
                    accessor["normalized"] = True
                if name == "POSITION":  # glTF wants its bounds
                    axes = scene.means[0, start : start + number].numpy().T
                    accessor |= {"min": [float(a.min()) for a in axes], "max": [float(a.max()) for a in axes]}
                accessors.append(accessor)
    attributes = [name for column in columns for name in column.names]
    names = ["gaussians" if level is None else "background" if level < 0 else f"level {level}" for level in levels]
    nodes = [
        {"name": name, "mesh": index} | placed | ({} if level is None else {"extras": {LEVEL_ENTRY: level}})
        for index, (name, level) in enumerate(zip(names, levels, strict=True))
    ]
    return {
        "asset": {"version": "2.0", "generator": program_name()},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": [
            {"name": name, "primitives": [_primitive(attributes, len(attributes) * index)]}
            for index, name in enumerate(names)
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }


def _primitive(attributes: list[str], first: int) -> Json:
    return {
        "attributes": {name: first + index for index, name in enumerate(attributes)},
        "mode": POINTS,
        "extensions": {EXTENSION: splat_properties()},
    }
