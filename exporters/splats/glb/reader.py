"""The reader of Gaussians in binary glTF (.glb), written by any program: plain attributes, or an .spz in their place.

See :mod:`~hgs_toolkit.exporters.splats.glb.writer` for the attributes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.conventions import BACKGROUND_LEVEL, MAX_LEVELS
from hgs_toolkit.encoding import opacities_to_logits, scales_to_log_scales
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.limits import check_promise, is_count
from hgs_toolkit.exporters.splats.glb.names import (
    EXTENSION,
    LEVEL,
    LEVEL_ENTRY,
    MAX_DEGREE,
    PARENT,
    POINTS,
    SPZ_EXTENSION,
    harmonics,
    named,
)
from hgs_toolkit.exporters.splats.reading import Reading, scene_of, tell_antialiased, turned
from hgs_toolkit.exporters.splats.spz.reader import unpack_spz
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.exporters.splats.transform import transform_scenes
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.parsing.gltf import MAX_VISITS, Glb, Json
from hgs_toolkit.parsing.spz_layout import ANTIALIASED
from hgs_toolkit.parsing.stored import ParseError

logger = logging.getLogger(__name__)

BYTES_PER_GAUSSIAN = 4 * 14
"""Bytes of one Gaussian in memory, without higher harmonics."""

LEAST_PRIMITIVE = 30
"""Bytes of JSON that a primitive takes at least."""

KNOWN = (EXTENSION, SPZ_EXTENSION)
"""Extensions that a file may require."""

FRAME = "y_up"
"""Frame of glTF, and of an .spz in it, whatever axes the .spz declares."""


def read_glb(path: Path) -> Reading:
    """Read all Gaussians of a file's scene, written by any program, where its nodes place them.

    Raises:
        FormatError: if the file is truncated, its sizes contradict each other, it holds no Gaussians or needs other
            files.
    """
    try:
        return _joined(path, _parts(Glb(path), path.stat().st_size))
    except (FormatError, ParseError, ShapeError) as error:
        raise FormatError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class Part:
    """The Gaussians of one primitive.

    Attributes:
        scene: the Gaussians.
        matrix: (4, 4), which places them.
        parent: (N,) the parents that they had when they were written, if the file has them.
        antialiased: whether they are an .spz that says it was made for antialiased rendering.
    """

    scene: GaussianHierarchy
    matrix: NDArray[np.float64]
    parent: Tensor | None = None
    antialiased: bool = False


def parts_of(path: Path) -> list[Part]:
    """The Gaussians of each primitive, not placed yet; raises as :func:`read_glb`."""
    try:
        return _parts(Glb(path), path.stat().st_size)
    except (FormatError, ParseError, ShapeError) as error:
        raise FormatError(f"{path}: {error}") from error


def _parts(glb: Glb, size: int) -> list[Part]:
    """Each splat primitive of the scene, with the matrix of its node.

    What the primitives promise together is compared with the file's size before they are read, or, of an .spz, when it
    is unpacked; each use counts.
    """
    found: list[Part] = []
    other = promised = 0
    most = max(MAX_VISITS, size // LEAST_PRIMITIVE)
    for node, mesh, matrix in glb.instances():
        primitives = mesh.get("primitives")
        for primitive in primitives if isinstance(primitives, list) else []:
            extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
            splats = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
            if len(found) + other > most:
                raise FormatError(f"its primitives are used more than {most} times in all; expected each of them once")
            if not isinstance(splats, dict):
                other += 1
                continue
            _check_kind(primitive, splats)
            if packed := _packed(splats):
                unpacked = unpack_spz(glb.view_bytes(packed.get("bufferView"), SPZ_EXTENSION))
                promised += sum(unpacked.header.plane_bytes)
                check_promise(promised, size)
                antialiased = bool(unpacked.header.flags & ANTIALIASED)
                found.append(Part(_spz_part(unpacked.splats, node), matrix, antialiased=antialiased))
                continue
            attributes = primitive.get("attributes")
            if not isinstance(attributes, dict) or "POSITION" not in attributes:
                raise FormatError("a primitive of Gaussians lacks POSITION")
            count = glb.item("accessors", attributes["POSITION"]).get("count")
            promised += BYTES_PER_GAUSSIAN * count if isinstance(count, int) else 0
            check_promise(promised, size)
            found.append(_part(glb, attributes, node, matrix))
    required = glb.document.get("extensionsRequired", [])
    if isinstance(required, list) and (needed := [name for name in required if name not in KNOWN]):
        raise FormatError(f"it needs the extensions {needed}; export it again without compression")
    if not found:
        hint = "; it is a mesh, not a splat file" if other else ""
        raise FormatError(f"none of its primitives has the extension {EXTENSION}{hint}")
    return found


def _check_kind(primitive: Json, splats: Json) -> None:
    # Cesium's tiles, which are packed, leave the kernel out.
    kernel = splats.get("kernel", "ellipse" if _packed(splats) else None)
    if primitive.get("mode") != POINTS or kernel != "ellipse":
        raise FormatError(
            f"a primitive of Gaussians has mode {primitive.get('mode')!r} and kernel {kernel!r}; "
            f"expected {POINTS} (points) and 'ellipse'"
        )
    extensions = splats.get("extensions")
    if extensions and not (isinstance(extensions, dict) and set(extensions) == {SPZ_EXTENSION}):
        names = list(extensions) if isinstance(extensions, dict) else extensions
        raise FormatError(f"its Gaussians are extended by {names!r:.200}; only plain ones and .spz are read")


def _packed(splats: Json) -> Json | None:
    """What the extension says of the .spz that holds the Gaussians; None if the attributes hold them."""
    extensions = splats.get("extensions")
    packed = extensions.get(SPZ_EXTENSION) if isinstance(extensions, dict) else None
    return packed if isinstance(packed, dict) and packed else None


def _spz_part(splats: StoredSplats, node: Json) -> GaussianHierarchy:
    scene = scene_of(turned(splats, FRAME))
    return scene.replace(level=torch.full((scene.num_gaussians,), _level_of(node)), check_finite=False)


def _part(glb: Glb, attributes: Json, node: Json, matrix: NDArray[np.float64]) -> Part:
    def column(name: str, width: int) -> Tensor:  # (N, width)
        if name not in attributes:
            raise FormatError(f"a primitive of Gaussians lacks {name}")
        return torch.from_numpy(glb.values(attributes[name], name, width))

    degree = max(d for d in range(MAX_DEGREE + 1) if d == 0 or harmonics(d)[-1] in attributes)
    means, scales, quats = column("POSITION", 3), column(named("SCALE"), 3), column(named("ROTATION"), 4)
    opacities = column(named("OPACITY"), 1)[:, 0]
    coefficients = [column(name, 3) for name in harmonics(degree)]
    level = _whole(column(LEVEL, 1), LEVEL) if LEVEL in attributes else torch.full((len(means),), _level_of(node))
    parent = _whole(column(PARENT, 1), PARENT) if PARENT in attributes else None
    if {len(part) for part in (scales, quats, opacities, level, *coefficients)} != {len(means)}:
        raise FormatError("the attributes of a primitive of Gaussians differ in their counts")
    scene = GaussianHierarchy(
        means=means[None], log_scales=scales_to_log_scales(scales)[None], quats=quats.roll(1, -1)[None],
        sh=torch.stack(coefficients, dim=1)[None], opacity_logits=opacities_to_logits(opacities)[None],
        level=level, check_finite=False,
    )  # fmt: skip
    return Part(scene, matrix, parent)


def _level_of(node: Json) -> int:
    """The level that a node's ``extras`` state, 0 where they state none."""
    extras = node.get("extras")
    level = extras.get(LEVEL_ENTRY) if isinstance(extras, dict) else None
    if not isinstance(level, int) or isinstance(level, bool):
        return 0
    if not is_count(level, BACKGROUND_LEVEL, MAX_LEVELS - 1):
        expected = f"{BACKGROUND_LEVEL} (background) or 0 to {MAX_LEVELS - 1}"
        raise FormatError(f"a node's {LEVEL_ENTRY} is {level!r:.20}; expected {expected}")
    return level


def _whole(values: Tensor, name: str) -> Tensor:
    """The whole numbers (N,) that an attribute of floats (N, 1) holds."""
    if not bool((values == values.round()).all()):
        raise FormatError(f"{name} holds numbers that are not whole; expected a file written by hgs_toolkit")
    return values[:, 0].long()


def _joined(path: Path, parts: list[Part]) -> Reading:
    """One scene of all parts; it keeps the tree if every part has its parents and they fit the levels."""
    scenes, offset = transform_scenes(path, [(part.scene, part.matrix) for part in parts])
    scene = scenes[0] if len(scenes) == 1 else concatenate(scenes)
    parents = [part.parent for part in parts if part.parent is not None]
    if len(parents) != len(parts):
        return Reading(scene, offset, tell_antialiased(path, any(part.antialiased for part in parts)))
    try:
        return Reading(scene.replace(parent=torch.cat(parents), check_finite=False), offset)
    except ShapeError as error:
        logger.warning("%s: its parents are ignored (%s), perhaps another program reordered it", path, error)
        return Reading(scene, offset)
