"""Streamed SOG: ``lod-meta.json`` beside folders of .sog images, read by PlayCanvas and SuperSplat.

This is version 1 of the format. Space is divided into boxes, and for each level of detail a box has a folder with the
files of a .sog, not packed into an archive. The format's level 0 is the finest. A viewer chooses the level of each box
by its distance, so every level must be a whole scene: see :mod:`~hgs_toolkit.exporters.splats.lods`.

The folders lie in a common one, see :mod:`~hgs_toolkit.exporters.splats.companion`, which goes with the scene.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hgs_toolkit.conventions import BACKGROUND_LEVEL
from hgs_toolkit.encoding import log_scales_to_scales
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import is_count
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.companion import Companion, CompanionKind
from hgs_toolkit.exporters.splats.lods import levels_of_detail
from hgs_toolkit.exporters.splats.reading import Reading
from hgs_toolkit.exporters.splats.scenes import joined
from hgs_toolkit.exporters.splats.sog import sog_files
from hgs_toolkit.exporters.splats.sog_folder import read_sog_folder
from hgs_toolkit.exporters.splats.sog_meta import ANTIALIASED, FRAME, MODEL
from hgs_toolkit.exporters.splats.stored import with_finite_sizes
from hgs_toolkit.exporters.splats.transform import convert_frame
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.version import program_name

VERSION = 1

BOX = 65_536
"""Greatest number of Gaussians of a box at the finest level."""

REACH = 3.0
"""Standard deviations from its centre at which a Gaussian ends, for the bounds of a box."""

FOLDERS = CompanionKind("lods")
"""The common folders that this writer makes."""

MAX_DEPTH, MAX_UNITS = 64, 100_000
"""Greatest nesting of boxes and greatest number of folders that the reader follows."""

Json = dict[str, Any]


def write_streamed_sog(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write the levels of detail of one scene: the file ``path`` and a folder beside it."""
    frame = options.frame or FRAME
    scene = scene.detach().to("cpu", torch.float32)
    scene = scene.replace(log_scales=with_finite_sizes(scene.log_scales, "lod-meta.json"))  # the boxes need their sizes
    lods = [lod.scene for lod in reversed(levels_of_detail(scene))]
    with Companion(FOLDERS, path.parent) as folder:
        units = _Units(folder, lods, frame, options)
        tree = units.box([torch.arange(lod.num_gaussians) for lod in lods])
        common = folder.finish()
    counts = [lod.num_gaussians for lod in lods]
    document = {
        "version": VERSION, "asset": {"generator": program_name()},
        "count": sum(counts), "counts": counts, "lodLevels": len(lods),
        "lodErrors": False, "filenames": [f"{common}/{name}/meta.json" for name in units.names], "tree": tree,
    } | ({MODEL: ANTIALIASED} if options.antialiased else {})  # fmt: skip
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


class _Units:
    """Writes the folders of the boxes.

    Attributes:
        names: names of the folders that are written.
    """

    def __init__(self, folder: Companion, lods: list[GaussianHierarchy], frame: str, options: ExportOptions) -> None:
        self.folder, self.lods, self.frame, self.options = folder, lods, frame, options
        self.names: list[str] = []
        turned = [convert_frame(lod, "y_up", frame) for lod in lods]
        self.means = [lod.means[0] for lod in turned]  # (N, 3) for each level
        self.reach = [REACH * log_scales_to_scales(lod.log_scales[0]).amax(-1, keepdim=True) for lod in lods]

    def box(self, rows: list[Tensor]) -> Json:
        """The box of the Gaussians ``rows`` of each level; too many are halved along its longest side."""
        finest = self.means[0][rows[0]]
        bound = self._bound(rows)
        if len(finest) <= BOX:
            present = [(index, chosen) for index, chosen in enumerate(rows) if len(chosen)]
            return {"bound": bound, "lods": {str(index): self._unit(index, chosen) for index, chosen in present}}
        axis = int((finest.amax(0) - finest.amin(0)).argmax())
        middle = finest[:, axis].median()
        below = [self.means[index][chosen, axis] <= middle for index, chosen in enumerate(rows)]
        if bool(below[0].all()):  # more than half of them lie in one plane, so any two halves will do
            below[0][len(below[0]) // 2 :] = False
        sides = (below, [~side for side in below])
        return {
            "bound": bound,
            "children": [self.box([chosen[side] for chosen, side in zip(rows, half, strict=True)]) for half in sides],
        }

    def _unit(self, index: int, rows: Tensor) -> Json:
        """Write the folder of one box and level, and return its entry in the box."""
        name = f"{index}_{len(self.names)}"
        keep = torch.zeros(self.lods[index].num_gaussians, dtype=torch.bool)
        keep[rows] = True
        for file, data in sog_files(self.lods[index].select(keep), self.frame, self.options).items():
            self.folder.add(f"{name}/{file}", data)
        self.names.append(name)
        return {"file": len(self.names) - 1, "offset": 0, "count": len(rows)}

    def _bound(self, rows: list[Tensor]) -> Json:
        low, high = torch.full((3,), torch.inf), torch.full((3,), -torch.inf)
        for means, reach, chosen in zip(self.means, self.reach, rows, strict=True):
            if len(chosen):
                low = torch.minimum(low, (means[chosen] - reach[chosen]).amin(0))
                high = torch.maximum(high, (means[chosen] + reach[chosen]).amax(0))
        return {"min": low.tolist(), "max": high.tolist()}


def replacing_streamed_sog(path: Path) -> AbstractContextManager[None]:
    """A context in which ``path`` is replaced; the folder of the scene that it was goes with that scene."""
    return FOLDERS.replacing(path)


def read_streamed_sog(path: Path) -> Reading:
    """Read the finest level of a scene, written by any program, as a flat scene, since the format has no tree.

    Its environment, which viewers draw whatever the level, is the background.

    Raises:
        FormatError: if the JSON is broken, names files outside its folder, or a unit is broken.
    """
    try:
        document = json.loads(path.read_bytes())
        names, root = document["filenames"], document["tree"]
        units, environment = _finest_units(root), document.get("environment")
        if document.get("version", VERSION) != VERSION:
            raise FormatError(f"its version is {document['version']!r}; expected {VERSION}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise FormatError(f"{path}: {error}") from error
        raise FormatError(f"{path} is no JSON of a streamed SOG scene: {error!r}") from error
    readings = [_read_unit(path, names, index) for index in units]
    if environment is not None:
        readings.append(_as_background(_read_file(path, environment)))
    reading = joined(readings)
    return replace(reading, antialiased=reading.antialiased or document.get(MODEL) == ANTIALIASED)


def _as_background(reading: Reading) -> Reading:
    scene = reading.scene
    level = torch.full((scene.num_gaussians,), BACKGROUND_LEVEL)
    return replace(reading, content=scene.replace(level=level, check_finite=False))


def _finest_units(root: Json) -> list[int]:
    """The numbers of the files of level 0, each once, in the order of the boxes."""
    units: dict[int, None] = {}
    stack = [(root, 0)]
    while stack:
        box, depth = stack.pop()
        if depth > MAX_DEPTH or len(units) > MAX_UNITS:
            raise FormatError(f"it has more than {MAX_DEPTH} boxes in one another or {MAX_UNITS} in all")
        if "0" in box.get("lods", {}):
            units[box["lods"]["0"]["file"]] = None
        stack += [(child, depth + 1) for child in reversed(box.get("children", []))]
    if not units:
        raise FormatError("it has no files of level 0, the finest")
    return list(units)


def _read_unit(path: Path, names: Any, index: Any) -> Reading:
    if not isinstance(names, list) or not is_count(index, 0, len(names) - 1) or not isinstance(names[index], str):
        raise FormatError(f"{path} refers to file {index!r}, which it does not name")
    return _read_file(path, names[index])


def _read_file(path: Path, name: Any) -> Reading:
    """The unit in the folder of the ``meta.json`` that the scene ``path`` names."""
    if not isinstance(name, str):
        raise FormatError(f"{path} names the file {name!r}; expected a meta.json in a folder beside it")
    meta = Path(name)
    if meta.is_absolute() or ".." in meta.parts or meta.name != "meta.json":
        raise FormatError(f"{path} names the file '{meta}'; expected a meta.json in a folder beside it")
    try:
        return read_sog_folder(path.parent / meta)
    except FormatError as error:
        raise FormatError(f"{path} refers to a broken scene: {error}") from error
