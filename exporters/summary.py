"""What a splat file holds, in a few figures. The usual files of the usual formats are read without torch."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from hgs_toolkit.asset_metadata import METADATA_KEY, AssetMetadata, parse_metadata
from hgs_toolkit.conventions import BACKGROUND_LEVEL, MAX_LEVELS, NO_PARENT
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.ply.table import (
    ANTIALIASED,
    FRAME_COMMENT,
    OFFSET_COMMENT,
    RENDER_MODE_COMMENT,
    PlyFile,
)
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.exporters.table import NATIVE, check_source, format_of, read_asset, read_file
from hgs_toolkit.files import open_safetensors
from hgs_toolkit.parsing.ply_columns import FILTER, missing_columns
from hgs_toolkit.parsing.stored import ParseError

NATIVE_SHAPES: dict[str, tuple[int, ...]] = {
    "means": (3,), "log_scales": (3,), "quats": (4,), "sh": (), "opacity_logits": (), "level": (), "parent": (),
}  # fmt: skip
"""Shapes of the tensors of a .hgs without their first axis; that of ``sh`` depends on the degree."""

PARAMETERS = ("means", "log_scales", "quats", "sh", "opacity_logits")

TREE = {"level", "parent"}
"""Columns that a .ply has both of or neither."""

VALUES = ("f_dc_", "f_rest_", "red", "green", "blue", "opacity", "scale_", "rot_", FILTER)
"""Starts of the names of a .ply's columns that are read, apart from the centres."""

NEAR = 100.0
"""Largest coordinate, world units, of a scene that is certainly not recentred when it is read."""


@dataclass(frozen=True)
class SplatSummary:
    """Figures about one scene.

    Attributes:
        gaussians: number of Gaussians.
        level_counts: number of Gaussians of each level of the tree, the coarsest first.
        background: number of Gaussians outside of the tree.
        sh_degree: degree of the colour harmonics.
        low, high: (3,) corners of the box around all centres, ``y_up`` frame, world units.
        metadata: provenance.
    """

    gaussians: int
    level_counts: list[int]
    background: int
    sh_degree: int
    low: list[float]
    high: list[float]
    metadata: AssetMetadata = field(default_factory=AssetMetadata)


def summarize_splats(path: Path, *, drop_invalid: bool = False) -> SplatSummary:
    """The summary of a splat file; arguments and errors as in :func:`hgs_toolkit.exporters.table.load`."""
    check_source(path)
    quick = QUICK.get(format_of(path).suffix)
    try:
        found = quick(path) if quick else None
    except (FormatError, ParseError, zipfile.BadZipFile, OSError):
        found = None
    # What is unusual is left to the reader, which knows what is wrong with it.
    return found or _summarize_loaded(path, drop_invalid)


def _summarize_native(path: Path) -> SplatSummary | None:
    with open_safetensors(path) as file:
        entries, names = file.metadata() or {}, set(file.keys())
        prefixes = ["", *(["anchors."] if "anchors.means" in names else [])]
        if METADATA_KEY not in entries or not {prefix + name for prefix in prefixes for name in NATIVE_SHAPES} <= names:
            return None
        try:
            parts = [{name: file.get_tensor(prefix + name) for name in NATIVE_SHAPES} for prefix in prefixes]
        except TypeError:  # a type that numpy does not know, such as bfloat16
            return None
    if not all(map(_is_sound, parts)):
        return None
    means, level, bases = parts[0]["means"], parts[0]["level"], parts[0]["sh"].shape[1]
    return _summary(means, level, math.isqrt(bases) - 1, parse_metadata(path, entries[METADATA_KEY]))


def _is_sound(tensors: dict[str, NDArray[Any]]) -> bool:
    """Whether a .hgs that holds these ``tensors`` is read as it is, neither repaired nor refused."""
    sh, quats, level, parent = (tensors[name] for name in ("sh", "quats", "level", "parent"))
    count, bases = sh.shape[:2] if sh.ndim == 3 else (0, 0)
    shapes = NATIVE_SHAPES | {"sh": (bases, 3)}
    if not count or any(tensors[name].shape != (count, *shape) for name, shape in shapes.items()):
        return False
    kinds = {np.promote_types(tensors[name].dtype, np.float16) for name in PARAMETERS} - {np.dtype(np.float16)}
    if bases not in (1, 4, 9, 16) or len(kinds) > 1 or {level.dtype.str, parent.dtype.str} - {"<i4", "<i8"}:
        return False
    if not all(_is_finite(tensors[name]) for name in PARAMETERS) or bool((quats == 0).all(axis=1).any()):
        return False
    if level.min() < BACKGROUND_LEVEL or level.max() >= MAX_LEVELS:
        return False
    child = np.flatnonzero(parent != NO_PARENT)
    above = parent[child]
    return not bool(((above < 0) | (above >= count)).any()) and bool((level[above] < level[child]).all())


def _summarize_ply(path: Path) -> SplatSummary | None:
    ply = PlyFile.open(path)
    vertex = ply.elements.get("vertex")
    if vertex is None or vertex.has_lists or missing_columns(set(vertex.columns)):
        return None
    if any(comment.startswith(OFFSET_COMMENT) for comment in ply.comments):
        return None
    rest = sum(bool(re.fullmatch(r"f_rest_\d+", name)) for name in vertex.columns)
    if rest not in (0, 9, 24, 45):
        return None
    means = np.empty((vertex.count, 3), np.float32)
    level = np.zeros(vertex.count, np.float32)
    values = [name for name in vertex.columns if name.startswith(VALUES)]
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, block in ply.blocks("vertex"):
            for axis, name in enumerate("xyz"):
                means[rows, axis] = block[name]
            if not _is_finite(structured_to_unstructured(block[values], np.float32)):
                return None
            if set(vertex.columns) >= TREE:
                level[rows] = block["level"]
    antialiased = FILTER in vertex.columns or f"{RENDER_MODE_COMMENT}{ANTIALIASED}" in ply.comments
    frame = "y_up" if f"{FRAME_COMMENT}y_up" in ply.comments else "rdf"
    return _near(means, frame, math.isqrt(rest // 3 + 1) - 1, level, AssetMetadata(antialiased=antialiased))


def _summarize_spz(path: Path) -> SplatSummary | None:
    from hgs_toolkit.parsing.spz import parse_parts, unpack_means
    from hgs_toolkit.parsing.spz_layout import ANTIALIASED, EXTENDED

    header, planes, _ = parse_parts(path.read_bytes())
    if header.flags & EXTENDED:  # axes of its own, perhaps
        return None
    metadata = AssetMetadata(antialiased=bool(header.flags & ANTIALIASED))
    return _near(unpack_means(header, planes[0]), "y_up", min(header.degree, 3), metadata=metadata)


def _summarize_splat(path: Path) -> SplatSummary | None:
    from hgs_toolkit.parsing.splat import ROW, count_rows

    count = count_rows(path.stat().st_size)
    if not count:
        return None
    rows = np.memmap(path, ROW, "r", shape=(count,))
    usual = bool((rows["scales"] >= 0).all()) and _is_finite(rows["scales"])
    return _near(np.array(rows["means"]), "rdf", 0) if usual else None


def _summarize_sog(path: Path) -> SplatSummary | None:
    from hgs_toolkit.exporters.limits import check_promise
    from hgs_toolkit.exporters.splats.sog_meta import META, Meta, read_member, take_means

    size = path.stat().st_size
    with zipfile.ZipFile(path) as bundle:
        meta = Meta.parse(read_member(bundle, META, size))
        check_promise(3 * 8 * meta.count, size)
        means = take_means(meta, lambda name: read_member(bundle, name, size))
    return None if any(meta.offset) else _near(means.astype(np.float32), meta.frame, meta.bands)


def _summarize_arrays(path: Path) -> SplatSummary | None:
    reading = read_file(path)
    splats = reading.content
    if not isinstance(splats, StoredSplats) or not splats.sound:
        return None
    metadata = AssetMetadata(offset=reading.offset, antialiased=reading.antialiased)
    return _summary(splats.means, np.zeros(len(splats)), splats.sh_degree, metadata)


QUICK: dict[str, Callable[[Path], SplatSummary | None]] = {
    NATIVE: _summarize_native, ".ply": _summarize_ply, ".spz": _summarize_spz, ".splat": _summarize_splat,
    ".sog": _summarize_sog, ".compressed.ply": _summarize_arrays, ".ksplat": _summarize_arrays,
}  # fmt: skip
"""Summaries by suffix that need no torch; None, or an error, where a file is not a usual one."""


def _near(
    means: NDArray[np.float32], frame: str, degree: int, level: NDArray[Any] | None = None,
    metadata: AssetMetadata | None = None,
) -> SplatSummary | None:  # fmt: skip
    """The summary of centres (N, 3) in ``frame``; None where the reader would recentre them or leave some out."""
    if not (np.abs(means) < NEAR).all() or not means.any(axis=1).all():
        return None
    if frame == "rdf":
        means = means * np.array([1, -1, -1], np.float32)  # ours turned by half a turn about x
    return _summary(means, np.zeros(len(means)) if level is None else level, degree, metadata or AssetMetadata())


def _summary(means: NDArray[Any], level: NDArray[Any], degree: int, metadata: AssetMetadata) -> SplatSummary | None:
    if not len(means) or not np.isfinite(means).all() or not np.isfinite(level).all():
        return None
    if not (level == np.round(level)).all() or level.max() >= MAX_LEVELS:
        return None
    inside = level[level != BACKGROUND_LEVEL].astype(np.int64)
    if len(inside) and inside.min() < 0:
        return None
    counts = np.bincount(inside).tolist() if len(inside) else []
    low, high = means.min(0).tolist(), means.max(0).tolist()
    return SplatSummary(len(means), counts, len(means) - len(inside), degree, low, high, metadata)


def _is_finite(values: NDArray[Any]) -> bool:
    # A sum is finite only if all its terms are, and is far quicker than looking at each.
    return bool(np.isfinite(values.sum(dtype=np.float64)))


def _summarize_loaded(path: Path, drop_invalid: bool = False) -> SplatSummary:
    asset = read_asset(path, drop_invalid=drop_invalid)
    scene = asset.scene
    low, high = ([], [])
    if scene.num_gaussians:
        low, high = scene.means[0].amin(0).tolist(), scene.means[0].amax(0).tolist()
    background = int(scene.is_background.sum())
    return SplatSummary(scene.num_gaussians, scene.level_counts, background, scene.sh_degree, low, high, asset.metadata)
