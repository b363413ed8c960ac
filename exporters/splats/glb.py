"""Binary glTF (.glb) with KHR_gaussian_splatting: a primitive of points whose attributes are the Gaussians.

POSITION and, under the extension's prefix, ROTATION (xyzw, unit), SCALE (linear), OPACITY (0..1) and SH_DEGREE_l_COEF_n
(RGB; n = 0 .. 2l for m = -l .. l with the signs of 3D-GS) are accessors of floats. COLOR_0 (linear RGB and opacity) is
for viewers that only know points. The frame is glTF's, which is ``y_up``.

With the option ``nodes``, each level is a node of its own, named ``level 0`` and so on, whose ``extras`` state the
level. With ``extras``, the custom attributes ``_LEVEL`` and ``_PARENT`` keep the tree as whole numbers in floats.
"""

from __future__ import annotations

import logging
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
    opacities_to_logits,
    scales_to_log_scales,
)
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.limits import check_promise
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.gltf import write_chunks
from hgs_toolkit.exporters.splats.reading import NO_OFFSET, Reading
from hgs_toolkit.exporters.splats.transform import transform_scenes
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy, concatenate
from hgs_toolkit.parsing.gltf import Glb, Json
from hgs_toolkit.parsing.stored import ParseError
from hgs_toolkit.version import program_name

logger = logging.getLogger(__name__)

EXTENSION = "KHR_gaussian_splatting"
MAX_DEGREE = 3
POINTS, FLOAT, UNSIGNED_BYTE, ARRAY_BUFFER = 0, 5126, 5121, 34962
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}

LEVEL_ENTRY = "hgs_level"
"""Entry of a node's ``extras`` that states the level of its Gaussians."""

LEVEL, PARENT = "_LEVEL", "_PARENT"
"""Custom attributes that keep the tree."""

MAX_EXACT_INDEX = 2**24
"""Greatest whole number up to which all are exact in a float; glTF allows integers of 32 bits only as indices."""

BLOCK = 2**14
"""Gaussians that are converted at a time, so that intermediate values stay in the processor's cache."""

BYTES_PER_GAUSSIAN = 4 * 14
"""Bytes of one Gaussian in memory, without higher harmonics."""


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

    Raises:
        FormatError: if the file would exceed 4 GiB, or an index is too large for a float.
    """
    scene = scene.detach().to("cpu", torch.float32)
    levels: list[int | None] = [None]
    counts = [scene.num_gaussians]
    if options.nodes:
        scene = by_level(scene)
        kept, tally = scene.level.unique_consecutive(return_counts=True)
        levels, counts = kept.tolist(), tally.tolist()
    # A node's numbers are doubles for most programs, so the offset of a scene far from the origin is kept there.
    offset = options.metadata.offset if options.metadata else NO_OFFSET
    placed: Json = {"translation": list(offset)} if any(offset) else {}
    columns = _columns(scene, options.extras)
    write_chunks(
        path, _document(scene, columns, levels, counts, placed), _blocks(columns, scene.num_gaussians),
        sum(column.stride for column in columns) * scene.num_gaussians,
    )  # fmt: skip


def read_glb(path: Path) -> Reading:
    """Read all Gaussians of a file's scene, written by any program, where its nodes place them.

    Raises:
        FormatError: if the file is truncated, its sizes contradict each other, it holds no Gaussians or needs other
            files.
    """
    try:
        glb = Glb(path)
        return _joined(path, _parts(glb, path.stat().st_size))
    except (FormatError, ParseError, ShapeError) as error:
        raise FormatError(f"{path}: {error}") from error


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
        _Column((_named("ROTATION"),), 4, lambda rows: normalize_quats(quats[rows]).roll(-1, -1)),  # xyzw
        _Column((_named("SCALE"),), 3, lambda rows: log_scales_to_scales(log_scales[rows])),
        _Column((_named("OPACITY"),), 1, lambda rows: logits_to_opacities(logits[rows])),
        # glTF allows a stride of at most 252 bytes; this one, the scene's own layout, has 192 at degree 3.
        _Column(tuple(_harmonics(scene.sh_degree)), 3, lambda rows: sh[rows]),
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


def _named(name: str) -> str:
    return f"{EXTENSION}:{name}"


def _harmonics(degree: int) -> list[str]:
    """The names of the coefficients' attributes, in the order of a scene's coefficients."""
    return [_named(f"SH_DEGREE_{l_}_COEF_{n}") for l_ in range(degree + 1) for n in range(2 * l_ + 1)]


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
        "extensions": {EXTENSION: {
            "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
            "projection": "perspective", "sortingMethod": "cameraDistance",
        }},
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Part:
    """The Gaussians of one primitive and the matrix (4, 4) that places them.

    If the file has them, ``parent`` (N,) holds the parents that they had when they were written.
    """

    scene: GaussianHierarchy
    matrix: NDArray[np.float64]
    parent: Tensor | None


def _parts(glb: Glb, size: int) -> list[_Part]:
    """Each splat primitive of the scene, with the matrix of its node.

    What the primitives promise together is compared with the file's size before they are read.
    """
    found, other, promised = [], 0, 0
    for node, mesh, matrix in glb.instances():
        primitives = mesh.get("primitives")
        for primitive in primitives if isinstance(primitives, list) else []:
            extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
            splats = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
            if not isinstance(splats, dict):
                other += 1
                continue
            _check_kind(primitive, splats)
            attributes = primitive.get("attributes")
            if not isinstance(attributes, dict) or "POSITION" not in attributes:
                raise FormatError("a primitive of Gaussians lacks POSITION")
            count = glb.item("accessors", attributes["POSITION"]).get("count")
            promised += BYTES_PER_GAUSSIAN * count if isinstance(count, int) else 0
            check_promise(promised, size)
            found.append(_part(glb, attributes, node, matrix))
    required = glb.document.get("extensionsRequired", [])
    if isinstance(required, list) and (needed := [name for name in required if name != EXTENSION]):
        raise FormatError(f"it needs the extensions {needed}; export it again without compression")
    if not found:
        hint = "; it is a mesh, not a splat file" if other else ""
        raise FormatError(f"none of its primitives has the extension {EXTENSION}{hint}")
    return found


def _check_kind(primitive: Json, splats: Json) -> None:
    if primitive.get("mode") != POINTS or splats.get("kernel") != "ellipse":
        raise FormatError(
            f"a primitive of Gaussians has mode {primitive.get('mode')!r} and kernel {splats.get('kernel')!r}; "
            f"expected {POINTS} (points) and 'ellipse'"
        )
    if splats.get("extensions"):
        raise FormatError(f"its Gaussians are extended by {list(splats['extensions'])}; only plain ones are read")


def _part(glb: Glb, attributes: Json, node: Json, matrix: NDArray[np.float64]) -> _Part:
    def column(name: str, width: int) -> Tensor:  # (N, width)
        if name not in attributes:
            raise FormatError(f"a primitive of Gaussians lacks {name}")
        return torch.from_numpy(glb.values(attributes[name], name, width))

    degree = max(d for d in range(MAX_DEGREE + 1) if d == 0 or _harmonics(d)[-1] in attributes)
    means, scales, quats = column("POSITION", 3), column(_named("SCALE"), 3), column(_named("ROTATION"), 4)
    opacities = column(_named("OPACITY"), 1)[:, 0]
    harmonics = [column(name, 3) for name in _harmonics(degree)]
    level = _whole(column(LEVEL, 1), LEVEL) if LEVEL in attributes else torch.full((len(means),), _level_of(node))
    parent = _whole(column(PARENT, 1), PARENT) if PARENT in attributes else None
    if {len(part) for part in (scales, quats, opacities, level, *harmonics)} != {len(means)}:
        raise FormatError("the attributes of a primitive of Gaussians differ in their counts")
    scene = GaussianHierarchy(
        means=means[None], log_scales=scales_to_log_scales(scales)[None], quats=quats.roll(1, -1)[None],
        sh=torch.stack(harmonics, dim=1)[None], opacity_logits=opacities_to_logits(opacities)[None],
        level=level, check_finite=False,
    )  # fmt: skip
    return _Part(scene, matrix, parent)


def _level_of(node: Json) -> int:
    extras = node.get("extras")
    level = extras.get(LEVEL_ENTRY) if isinstance(extras, dict) else None
    return level if isinstance(level, int) and not isinstance(level, bool) else 0


def _whole(values: Tensor, name: str) -> Tensor:
    """The whole numbers (N,) that an attribute of floats (N, 1) holds."""
    if not bool((values == values.round()).all()):
        raise FormatError(f"{name} holds numbers that are not whole; expected a file written by hgs_toolkit")
    return values[:, 0].long()


def _joined(path: Path, parts: list[_Part]) -> Reading:
    """One scene of all parts; it keeps the tree if every part has its parents and they fit the levels."""
    scenes, offset = transform_scenes(path, [(part.scene, part.matrix) for part in parts])
    scene = scenes[0] if len(scenes) == 1 else concatenate(scenes)
    parents = [part.parent for part in parts if part.parent is not None]
    if len(parents) != len(parts):
        return Reading(scene, offset)
    try:
        return Reading(scene.replace(parent=torch.cat(parents), check_finite=False), offset)
    except ShapeError as error:
        logger.warning("%s: its parents are ignored (%s), perhaps another program reordered it", path, error)
        return Reading(scene, offset)
