"""The reader of .ply files of Gaussians: the layout of the 3D-GS reference and what other programs write in its place.

Besides the columns of :mod:`~hgs_toolkit.exporters.splats.ply.writer`, these are read: two sizes (2D Gaussian
splatting: a third, thin one is added), red, green and blue in place of f_dc (nerfstudio), and filter_3D (Mip-Splatting:
fused into sizes and opacities). A file whose header is that of a .compressed.ply is read as one, whatever its name.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hgs_toolkit.conventions import MAX_OPACITY_LOGIT, sh_bases
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.splats.ply.comments import PlyFacts
from hgs_toolkit.exporters.splats.ply.compressed import is_compressed, read_compressed
from hgs_toolkit.exporters.splats.ply.table import PlyFile, degree_of
from hgs_toolkit.exporters.splats.ply.writer import MAX_EXACT_INDEX, TREE
from hgs_toolkit.exporters.splats.reading import Reading, reading_of
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats
from hgs_toolkit.parsing.ply import TYPES
from hgs_toolkit.parsing.ply_columns import (
    FILTER,
    SIZES,
    coefficients_of_colours,
    fuse_filter,
    missing_columns,
    thin_scale,
)

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)


def read_ply(path: Path) -> Reading:
    """Read one scene, written by any program: ascii or binary, with or without normals, f_rest, level and parent.

    Raises:
        FormatError: if the file is truncated or lacks columns that make up Gaussians.
    """
    ply = PlyFile.open(path)
    if is_compressed(ply):
        return read_compressed(ply)
    columns = ply.element("vertex").numbers
    _check_required(path, set(columns))
    with np.errstate(all="ignore"):  # values that are not finite are counted later
        splats, means, tree = _filled(ply)
    facts = PlyFacts.parse(ply.comments)
    fused = FILTER in columns
    reading = reading_of(path, splats, facts.frame, means, facts.offset)
    content = reading.content if tree is None else _with_tree(path, reading.scene, tree)
    return replace(reading, content=content, antialiased=facts.antialiased or fused)


def _filled(ply: PlyFile) -> tuple[StoredSplats, np.ndarray | None, Floats | None]:
    """The Gaussians, their centres as doubles if the file has such columns, and level and parent (N, 2) if it has."""
    vertex = ply.element("vertex")
    columns = vertex.numbers
    splats = StoredSplats.empty(vertex.count, sh_bases(degree_of(ply.path, columns)))
    doubles = any(TYPES[columns[axis]] == "f8" for axis in "xyz")
    means = np.empty((vertex.count, 3), np.float64) if doubles else None
    tree = np.empty((vertex.count, 2), np.float32) if set(TREE) <= columns.keys() else None
    named = _columns(splats)
    targets = {name: column for name, column in named.items() if name in columns}
    if means is not None:
        targets |= dict(zip("xyz", means.T, strict=True))
    if tree is not None:
        targets |= dict(zip(TREE, tree.T, strict=True))
    for rows, block in ply.blocks("vertex"):
        for name, target in targets.items():
            target[rows] = block[name]
        part = StoredSplats(*(values[rows] for values in splats.parts))
        if "f_dc_0" not in columns:
            part.sh[:, 0] = coefficients_of_colours(block)
        if SIZES[2] not in columns:
            part.log_scales[:, 2] = thin_scale(part.log_scales[:, :2])
        if FILTER in columns:
            part.log_scales[:], part.logits[:] = fuse_filter(part.log_scales, part.logits, block[FILTER])
            np.clip(part.logits, -MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT, out=part.logits)
    _tell_assumptions(ply.path, set(columns))
    return splats, means, tree


def _columns(splats: StoredSplats) -> dict[str, Floats]:
    """Views (N,) of the arrays, by the names of their columns."""
    bases = splats.sh.shape[1]
    columns = {axis: splats.means[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"f_dc_{i}": splats.sh[:, 0, i] for i in range(3)}
    for channel in range(3):
        columns |= {f"f_rest_{channel * (bases - 1) + k - 1}": splats.sh[:, k, channel] for k in range(1, bases)}
    columns |= {"opacity": splats.logits}
    columns |= {name: splats.log_scales[:, i] for i, name in enumerate(SIZES)}
    return columns | {f"rot_{i}": splats.quats[:, i] for i in range(4)}


def _tell_assumptions(path: Path, columns: set[str]) -> None:
    """Log in one line each what was not read as the reference lays it out."""
    if "f_dc_0" not in columns:
        logger.info("%s has red, green and blue in place of f_dc: they are read as the colour", path)
    if SIZES[2] not in columns:
        logger.info("%s has two sizes (2D Gaussian splatting): the third is a thousandth of the smaller one", path)
    if FILTER in columns:
        logger.info("%s has Mip-Splatting's 3D filter: it is fused into sizes and opacities", path)


def _check_required(path: Path, available: set[str]) -> None:
    """Raise a FormatError unless the columns make up Gaussians."""
    missing = missing_columns(available)
    if not missing:
        return
    hint = ""
    if {"x", "y", "z"} <= available and not {"opacity", SIZES[0], "rot_0"} & available:
        hint = "; it is a point cloud or mesh, not a Gaussian splat file"
    raise FormatError(f"{path} lacks the columns {', '.join(missing)}{hint}")


def _with_tree(path: Path, scene: GaussianHierarchy, tree: Floats) -> GaussianHierarchy:
    """``scene`` with the levels and parents of ``tree`` (N, 2); parents that contradict the levels are ignored."""
    if not bool((tree == tree.round()).all()) or not bool((np.abs(tree) <= MAX_EXACT_INDEX).all()):
        raise FormatError(f"{path}: level or parent is no whole number; expected columns written by hgs_toolkit")
    import torch

    level, parent = (torch.from_numpy(column.astype(np.int64)) for column in tree.T)
    try:
        flat = scene.replace(level=level, check_finite=False)
    except ShapeError as error:
        raise FormatError(f"{path}: {error}") from error
    try:
        return flat.replace(parent=parent, check_finite=False)
    except ShapeError as error:
        logger.warning("%s: its parents are ignored (%s), perhaps another program reordered it", path, error)
        return flat
