"""The writer of 3D Tiles 1.1: ``tileset.json`` beside a folder of .glb tiles.

The generator draws all its levels together, so its tree is the tree of tiles: a tile holds Gaussians of one level, its
children those of the next level in the same part of space, and refinement adds them (``ADD``). A flat scene is merged
to coarser levels (:mod:`~hgs_toolkit.exporters.splats.lods`), and children replace their parent (``REPLACE``).

CesiumJS draws Gaussians only in tilesets that declare KHR_gaussian_splatting and its companion for .spz as required,
and of a tile only the first primitive of the first node, whose constant colours it takes from COLOR_0.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.asset_metadata import AssetMetadata
from hgs_toolkit.encoding import log_scales_to_scales
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.companion import Companion
from hgs_toolkit.exporters.splats.glb.names import (
    EXTENSION,
    FLOAT,
    LEVEL_ENTRY,
    POINTS,
    SPZ_EXTENSION,
    UNSIGNED_BYTE,
    harmonics,
    named,
    splat_properties,
)
from hgs_toolkit.exporters.splats.gltf import glb_bytes
from hgs_toolkit.exporters.splats.lods import levels_of_detail
from hgs_toolkit.exporters.splats.reading import Offset
from hgs_toolkit.exporters.splats.spz.writer import pack_spz
from hgs_toolkit.exporters.splats.stored import tell_clamped, with_finite_sizes
from hgs_toolkit.exporters.splats.tiles.layout import CONTENT_EXTENSION, FOLDERS, VERSION, Z_UP_FROM_Y_UP
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.version import program_name

Json = dict[str, Any]

NAME = "tileset.json"

TILE = 65_536
"""Greatest number of Gaussians of a tile, but for the coarsest one."""

REACH = 3.0
"""Standard deviations from its centre at which a Gaussian ends, for the bounds of a tile."""

ERROR = 8.0
"""Geometric error of a tile in medians of its Gaussians' largest standard deviations: at Cesium's usual limit of 16
pixels, the children of a tile are drawn as soon as the median exceeds 2 pixels."""

LEAST_SIDE = 1e-6
"""Least half side of a box."""


def write_tiles(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene: the file ``path`` and a folder beside it; what its tiles cannot hold is counted in the log.

    Raises:
        FormatError: if a coordinate is too large for the .spz in the tiles.
    """
    scene = scene.detach().to("cpu", torch.float32)
    scene = scene.replace(log_scales=with_finite_sizes(scene.log_scales, NAME))  # the boxes need their sizes
    with Companion(FOLDERS, path.parent) as folder:
        tiles = _Tiles(folder, scene, antialiased=options.antialiased)
        root = tiles.root()
        root["transform"] = _placement(options.offset)
        name = folder.finish()
    for what, (beyond, size) in tiles.clamped.items():
        tell_clamped(beyond, size, what, NAME)
    for content in tiles.contents:
        content["uri"] = f"{name}/{content['uri']}"
    extensions = [EXTENSION, SPZ_EXTENSION]
    document = {
        "asset": {"version": VERSION, "extras": {"generator": program_name()}},
        "extensionsUsed": [CONTENT_EXTENSION],
        "extensions": {CONTENT_EXTENSION: {"extensionsUsed": extensions, "extensionsRequired": extensions}},
        "geometricError": tiles.extent,
        "root": root,
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def replacing_tiles(path: Path) -> AbstractContextManager[None]:
    """A context in which ``path`` is replaced; the folder of the scene that it was goes with that scene."""
    return FOLDERS.replacing(path)


class _Tiles:
    """Writes the tiles.

    Attributes:
        contents: the entries of the tiles that are written, whose ``uri`` is relative to their folder.
        extent: the diagonal of the scene, which is the error of drawing nothing of it.
        clamped: how many values of all tiles were clamped, as PackedSpz counts them.
    """

    def __init__(self, folder: Companion, scene: GaussianHierarchy, *, antialiased: bool) -> None:
        self.folder = folder
        # The offset is the root's transform, so no tile states it.
        self.options = ExportOptions(metadata=AssetMetadata(antialiased=antialiased))
        self.clamped: dict[str, tuple[int, int]] = {}
        depths = [depth for depth, count in enumerate(scene.level_counts) if count]
        self.refine = "ADD" if len(depths) > 1 else "REPLACE"
        self.background = scene.select(scene.is_background & bool(depths))
        inside = scene.select(~scene.is_background) if depths else scene
        if len(depths) > 1:
            self.levels = [inside.levels([depth]) for depth in depths]
        else:
            self.levels = [lod.scene for lod in levels_of_detail(inside)]
        self.contents: list[Json] = []
        low, high = _bounds([*self.levels, self.background])
        self.extent = float(np.linalg.norm(high - low))

    def root(self) -> Json:
        """The root tile and all below it. A background, which is always drawn, is a tile beside the coarsest level."""
        levels = [(level, torch.arange(level.num_gaussians)) for level in self.levels]
        tile = self._tile(levels, self.extent)
        if self.background.num_gaussians:
            behind: Json = {"boundingVolume": _box([self.background]), "geometricError": 0.0}
            behind["content"] = self._content(self.background)
            box = _box([*self.levels, self.background])
            tile = {"boundingVolume": box, "geometricError": self.extent, "children": [behind, tile]}
        return tile | {"refine": self.refine}

    def _tile(self, levels: list[tuple[GaussianHierarchy, Tensor]], limit: float) -> Json:
        """The tile of the Gaussians ``rows`` of the first level and all below it; its error is at most ``limit``."""
        parts = [level.select(_mask(level, rows)) for level, rows in levels if len(rows)]
        error = min(limit, ERROR * float(log_scales_to_scales(parts[0].log_scales[0]).amax(-1).median()))
        children = self._children(levels[1:], error)
        tile: Json = {"boundingVolume": _box(parts), "geometricError": error if children else 0.0}
        tile["content"] = self._content(parts[0])
        return tile | ({"children": children} if children else {})

    def _children(self, levels: list[tuple[GaussianHierarchy, Tensor]], limit: float) -> list[Json]:
        """The tiles of the first level that has Gaussians here; too many are halved along their longest side."""
        while levels and not len(levels[0][1]):
            levels = levels[1:]
        if not levels:
            return []
        level, rows = levels[0]
        if len(rows) <= TILE:
            return [self._tile(levels, limit)]
        means = level.means[0, rows]
        axis = int((means.amax(0) - means.amin(0)).argmax())
        middle = means[:, axis].median()
        sides = [level.means[0, rows, axis] <= middle for level, rows in levels]
        if bool(sides[0].all()):  # more than half of them lie in one plane, so any two halves will do
            sides[0][len(sides[0]) // 2 :] = False
        halves = (sides, [~side for side in sides])
        return [
            tile for half in halves
            for tile in self._children(
                [(level, rows[side]) for (level, rows), side in zip(levels, half, strict=True)], limit
            )
        ]  # fmt: skip

    def _content(self, scene: GaussianHierarchy) -> Json:
        """Write the Gaussians of a tile, which are of one level, and return its entry."""
        name, packed = f"{len(self.contents)}.glb", pack_spz(scene, self.options)
        for what, (beyond, size) in packed.clamped.items():
            before = self.clamped.get(what, (0, 0))
            self.clamped[what] = before[0] + beyond, before[1] + size
        self.folder.add(name, tile_glb(scene, int(scene.level[0]), b"".join(packed.parts)))
        self.contents.append({"uri": name, "boundingVolume": _box([scene])})
        return self.contents[-1]


def tile_glb(scene: GaussianHierarchy, level: int, packed: bytes) -> bytes:
    """A .glb whose Gaussians are an .spz in a buffer view; the attributes' accessors state only their kinds.

    Args:
        level: level that the node states, so that it comes back when the tile is read.
        packed: the .spz of ``scene``.
    """
    low, high = scene.means[0].amin(0), scene.means[0].amax(0)
    kinds: dict[str, Json] = {
        "POSITION": {"componentType": FLOAT, "type": "VEC3", "min": low.tolist(), "max": high.tolist()},
        "COLOR_0": {"componentType": UNSIGNED_BYTE, "type": "VEC4", "normalized": True},
        named("SCALE"): {"componentType": FLOAT, "type": "VEC3"},
        named("ROTATION"): {"componentType": FLOAT, "type": "VEC4"},
    }
    for name in harmonics(scene.sh_degree, first=1):
        kinds[name] = {"componentType": FLOAT, "type": "VEC3"}
    extension = splat_properties() | {"extensions": {SPZ_EXTENSION: {"bufferView": 0}}}
    attributes = {name: index for index, name in enumerate(kinds)}
    primitive = {"attributes": attributes, "mode": POINTS, "extensions": {EXTENSION: extension}}
    extensions = [EXTENSION, SPZ_EXTENSION]
    return glb_bytes(
        {
            "asset": {"version": "2.0", "generator": program_name()},
            "extensionsUsed": extensions, "extensionsRequired": extensions,
            "scene": 0, "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "extras": {LEVEL_ENTRY: level}}],
            "meshes": [{"primitives": [primitive]}],
            "accessors": [kind | {"count": scene.num_gaussians} for kind in kinds.values()],
            "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": len(packed)}],
            "buffers": [{"byteLength": len(packed)}],
        },
        packed,
    )  # fmt: skip


def _placement(offset: Offset) -> list[float]:
    """The column-major matrix that gives the offset (y up) of a scene far from the origin back."""
    matrix = np.eye(4)
    matrix[:3, 3] = Z_UP_FROM_Y_UP[:3, :3] @ np.array(offset)
    return [float(value) for value in matrix.T.reshape(-1)]


def _mask(scene: GaussianHierarchy, rows: Tensor) -> Tensor:
    mask = torch.zeros(scene.num_gaussians, dtype=torch.bool)
    mask[rows] = True
    return mask


def _bounds(scenes: list[GaussianHierarchy]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest coordinates (3,) of the scenes, z up."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for scene in scenes:
        if scene.num_gaussians:
            means = scene.means[0].double().numpy() @ Z_UP_FROM_Y_UP[:3, :3].T
            reach = REACH * log_scales_to_scales(scene.log_scales[0].double()).amax(-1, keepdim=True).numpy()
            low, high = np.minimum(low, (means - reach).min(0)), np.maximum(high, (means + reach).max(0))
    return low, high


def _box(scenes: list[GaussianHierarchy]) -> Json:
    """The box of 3D Tiles around the scenes: its centre, and half of each of its sides as vectors."""
    low, high = _bounds(scenes)
    sides = np.diag(np.maximum((high - low) / 2, LEAST_SIDE))
    return {"box": [float(value) for value in np.concatenate([(low + high) / 2, sides.reshape(-1)])]}
