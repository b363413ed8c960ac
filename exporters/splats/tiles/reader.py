"""The reader of 3D Tiles whose tiles are .glb files of Gaussians: all that is drawn at the finest level of detail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import most_content
from hgs_toolkit.exporters.splats.glb.reader import Part, parts_of
from hgs_toolkit.exporters.splats.reading import Reading, tell_antialiased
from hgs_toolkit.exporters.splats.tiles.layout import Z_UP_FROM_Y_UP
from hgs_toolkit.exporters.splats.transform import transform_scenes
from hgs_toolkit.gaussians import concatenate

Json = dict[str, Any]
Matrix = NDArray[np.float64]

VERSIONS = ("1.0", "1.1")
LEAST_BYTES = 20
"""Bytes of a Gaussian of degree 0 that an .spz unpacks to."""

MAX_DEPTH, MAX_TILES = 64, 100_000
"""Greatest nesting and greatest number of tiles that are followed."""


@dataclass(frozen=True, eq=False)
class _Tile:
    """A tile on the way: its entry, the (4, 4) matrix of its coordinates, the refinement it inherits, its depth."""

    entry: Json
    matrix: Matrix
    refine: str
    depth: int


def read_tiles(path: Path) -> Reading:
    """Read the Gaussians of all tiles that are drawn when every tile is refined, placed by their transforms.

    Raises:
        FormatError: if the JSON is broken, a tile is no .glb in the folder of the file, or its tiles are implicit.
    """
    try:
        document = json.loads(path.read_bytes())
        version = document["asset"]["version"]
        if version not in VERSIONS:
            raise FormatError(f"its version is {version!r}; expected {' or '.join(VERSIONS)}")
        contents = list(_contents(document["root"]))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON of a 3D-Tiles tileset: {error!r}") from error
    if not contents:
        raise FormatError(f"{path} names no tiles with content")
    parts = _placed(path, contents)
    try:
        scenes, offset = transform_scenes(path, [(part.scene, part.matrix) for part in parts])
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    scene = scenes[0] if len(scenes) == 1 else concatenate(scenes)
    return Reading(scene, offset, tell_antialiased(path, any(part.antialiased for part in parts)))


def _placed(path: Path, contents: list[tuple[str, Matrix]]) -> list[Part]:
    """The Gaussians of every use of a tile, placed in the world; together they are bounded by the size of the tiles."""
    parts: list[Part] = []
    seen: set[Path] = set()
    size = promised = 0
    for uri, matrix in contents:
        file = _file(path, uri)
        to_world = Z_UP_FROM_Y_UP.T @ matrix @ Z_UP_FROM_Y_UP
        found = [replace(part, matrix=to_world @ part.matrix) for part in parts_of(file)]
        size += 0 if file in seen else file.stat().st_size
        seen.add(file)
        promised += LEAST_BYTES * sum(part.scene.num_gaussians for part in found)
        if promised > most_content(size):
            raise FormatError(f"{path} uses its tiles so often that they hold {promised} bytes; expected each once")
        parts += found
    return parts


def _contents(root: Json) -> Iterator[tuple[str, Matrix]]:
    """The addresses of what is drawn at the finest level of detail, each with the matrix of its tile."""
    stack, seen = [_Tile(root, np.eye(4), "REPLACE", 0)], 0
    while stack:
        tile = stack.pop()
        entry, seen = tile.entry, seen + 1
        if tile.depth > MAX_DEPTH or seen > MAX_TILES:
            raise FormatError(f"it has tiles more than {MAX_DEPTH} deep, or more than {MAX_TILES}")
        if "implicitTiling" in entry or "3DTILES_implicit_tiling" in entry.get("extensions", {}):
            raise FormatError("its tiles are implicit; expected a tileset that lists each of its tiles")
        refine = str(entry.get("refine", tile.refine)).upper()
        matrix = tile.matrix @ _matrix(entry.get("transform"))
        children = entry.get("children", [])
        if refine == "ADD" or not children:
            contents = entry.get("contents", [entry["content"]] if "content" in entry else [])
            yield from ((content.get("uri", content.get("url")), matrix) for content in contents)
        stack += [_Tile(child, matrix, refine, tile.depth + 1) for child in reversed(children)]


def _matrix(values: object) -> Matrix:
    if values is None:
        return np.eye(4)
    numbers = np.array(values, np.float64)
    if numbers.shape != (16,) or not np.isfinite(numbers).all():
        raise FormatError("a tile's transform is no list of 16 finite numbers")
    return numbers.reshape(4, 4).T


def _file(path: Path, uri: object) -> Path:
    """The file of a tile, which must be a .glb in the folder of the tileset or below it."""
    try:
        place = urlsplit(uri) if isinstance(uri, str) else None
    except ValueError:  # such as "//[", half an address of IPv6
        place = None
    name = PurePosixPath(unquote(place.path)) if place else PurePosixPath()
    if place is None or place.scheme or place.netloc or name.is_absolute() or ".." in name.parts:
        raise FormatError(f"{path} names the tile {uri!r}; expected a file in its folder or below it")
    if name.suffix.lower() == ".json":
        raise FormatError(f"{path} refers to the tileset {uri!r}; join them first: npx 3d-tiles-tools combine")
    if name.suffix.lower() != ".glb":
        raise FormatError(f"{path} names the tile {uri!r}; expected .glb files with Gaussians")
    file = path.parent / name
    if not file.is_file():
        raise FormatError(f"{path} lacks the tile {uri!r}")
    return file
