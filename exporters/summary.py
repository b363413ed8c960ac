"""What a splat file holds, in a few figures. The usual files of the usual formats are read without torch."""

from __future__ import annotations

import math
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
from hgs_toolkit.exporters.splats.ply.comments import PlyFacts
from hgs_toolkit.exporters.splats.ply.table import PlyFile, degree_of
from hgs_toolkit.exporters.splats.ply.writer import MAX_EXACT_INDEX, TREE
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.exporters.table import NATIVE, check_source, format_of, read_asset, read_file
from hgs_toolkit.files import open_safetensors
from hgs_toolkit.parsing.distance import far_offset
from hgs_toolkit.parsing.ply_columns import FILTER, SIZES, missing_columns
from hgs_toolkit.parsing.stored import ParseError

NATIVE_SHAPES: dict[str, tuple[int, ...]] = {
    "means": (3,), "log_scales": (3,), "quats": (4,), "sh": (), "opacity_logits": (), "level": (), "parent": (),
}  # fmt: skip
"""Shapes of the tensors of a .hgs without their first axis; that of ``sh`` depends on the degree."""

PARAMETERS = ("means", "log_scales", "quats", "sh", "opacity_logits")

VALUES = ("f_dc_", "f_rest_", "red", "green", "blue", "opacity", "scale_", "rot_", FILTER)
"""Starts of the names of a .ply's columns that are read, apart from the centres."""


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
    except (FormatError, ParseError, OSError):
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
        except (TypeError, AttributeError):  # a type that numpy does not know, such as bfloat16
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
    return _parents_fit(level, parent)


def _summarize_ply(path: Path) -> SplatSummary | None:
    ply = PlyFile.open(path)
    vertex = ply.elements.get("vertex")
    if vertex is None or vertex.has_lists or missing_columns(set(vertex.columns)):
        return None
    if not set(vertex.columns) >= set(TREE):
        return _summarize_arrays(path)
    facts, degree = PlyFacts.parse(ply.comments), degree_of(path, vertex.numbers)
    if any(facts.offset):
        return None
    means, sizes = np.empty((vertex.count, 3), np.float32), np.empty((vertex.count, 3), np.float32)
    tree = np.empty((vertex.count, 2), np.float32)
    values = [name for name in vertex.columns if name.startswith(VALUES)]
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, block in ply.blocks("vertex"):
            for target, names in ((means, "xyz"), (sizes, SIZES), (tree, TREE)):
                target[rows] = structured_to_unstructured(block[list(names)], np.float32)
            if not _is_finite(structured_to_unstructured(block[values], np.float32)):
                return None
    # The reader recentres what is far away, and leaves rows of zeros out.
    if not _is_tree(tree) or far_offset(means, sizes).any() or not means.any(axis=1).all():
        return None
    if facts.frame == "rdf":
        means = means * np.array([1, -1, -1], np.float32)  # ours turned by half a turn about x
    antialiased = facts.antialiased or FILTER in vertex.columns
    return _summary(means, tree[:, 0], degree, AssetMetadata(antialiased=antialiased))


def _is_tree(tree: NDArray[np.float32]) -> bool:
    """Whether levels and parents (N, 2) are whole numbers of which every parent is there and of a lower level."""
    if not (tree == tree.round()).all() or not (np.abs(tree) <= MAX_EXACT_INDEX).all():
        return False
    level, parent = tree.T.astype(np.int64)
    return _parents_fit(level, parent)


def _parents_fit(level: NDArray[np.integer], parent: NDArray[np.integer]) -> bool:
    child = np.flatnonzero(parent != NO_PARENT)
    above = parent[child]
    inside = not bool(((above < 0) | (above >= len(parent))).any())
    return inside and bool((level[above] < level[child]).all())


def _summarize_arrays(path: Path) -> SplatSummary | None:
    reading = read_file(path)
    splats = reading.content
    if not isinstance(splats, StoredSplats) or not splats.sound:
        return None
    metadata = AssetMetadata(offset=reading.offset, antialiased=reading.antialiased)
    return _summary(splats.means, np.zeros(len(splats)), splats.sh_degree, metadata)


QUICK: dict[str, Callable[[Path], SplatSummary | None]] = {
    NATIVE: _summarize_native, ".ply": _summarize_ply,
    **dict.fromkeys((".spz", ".splat", ".sog", ".compressed.ply", ".ksplat"), _summarize_arrays),
}  # fmt: skip
"""Summaries by suffix that need no torch; None, or an error, where a file is not a usual one."""


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
