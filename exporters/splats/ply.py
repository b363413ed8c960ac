"""The 3D-GS .ply: the layout of the INRIA reference, written so that every known reader accepts it.

The element ``vertex`` has float columns: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_* (channel-major: all of red, then
green, then blue), opacity (logit), scale_0..2 (natural log), rot_0..3 (wxyz). The frame is RDF. Level and parent, if
asked for, are float columns after rot_3: columns of other types, further elements, or a comment before ``element
vertex`` make some readers fail or, worse, read garbage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, sh_bases
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.frames import turn_signs
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.ply_table import PlyFile
from hgs_toolkit.exporters.splats.stored import BLOCK, Floats, StoredSplats, rest_bases, scene_of, tensor_blocks
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.version import program_name

logger = logging.getLogger(__name__)

FRAME = "rdf"
FRAME_COMMENT = "frame "

MAX_EXACT_INDEX = 2**24
"""Greatest whole number up to which all are exact in a float32 column."""

NORMALS = ("nx", "ny", "nz")
TREE = ("level", "parent")


def write_ply(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene with unit quaternions and opacity logits within +-MAX_OPACITY_LOGIT.

    Raises:
        FormatError: if an index is too large for a float column, or ``pad_sh`` lies below the scene's degree.
    """
    frame = options.frame or FRAME
    degree = max(scene.sh_degree, options.pad_sh)
    if 0 < options.pad_sh < scene.sh_degree:
        raise FormatError(f"pad_sh {options.pad_sh} is below the scene's SH degree {scene.sh_degree}; lower that first")
    if options.extras and scene.num_gaussians > MAX_EXACT_INDEX:
        raise FormatError(f"{scene.num_gaussians} Gaussians; a .ply file keeps parents of at most {MAX_EXACT_INDEX}")
    names = [*_names(degree, normals=options.normals), *(TREE if options.extras else ())]
    with open(path, "wb") as file:
        file.write(_header(scene, frame, names).encode())
        for table in _tables(scene, frame, degree, options):
            file.write(table.numpy().astype("<f4", copy=False).data)


def read_ply(path: Path) -> GaussianHierarchy:
    """Read one scene, of any program: ascii or binary, with or without normals, f_rest, level and parent.

    Infinite opacity logits (opacities of 0 or 1) become +-MAX_OPACITY_LOGIT.

    Raises:
        FormatError: if the file is truncated, has no Gaussians, or holds NaN or infinite values (counted).
    """
    ply = PlyFile.open(path)
    vertex = ply.element("vertex")
    _check_required(path, set(vertex.columns))
    splats = StoredSplats.empty(vertex.count, sh_bases(degree_of(path, vertex.columns)))
    columns = _columns(splats)
    has_tree = set(TREE) <= vertex.columns.keys()
    tree = np.empty((vertex.count, 2), np.float32) if has_tree else None
    if tree is not None:
        columns |= dict(zip(TREE, tree.T, strict=True))
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        for rows, block in ply.blocks("vertex"):
            for name, column in columns.items():
                column[rows] = block[name]
    infinite = np.isinf(splats.logits)
    splats.logits[infinite] = splats.logits[infinite].clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
    scene = scene_of(path, splats, frame_of(ply.comments))
    return scene if tree is None else _with_tree(path, scene, tree)


def frame_of(comments: list[str]) -> str:
    """The frame that the writer's comment names; RDF if there is no such comment."""
    named = [comment.removeprefix(FRAME_COMMENT).strip() for comment in comments if comment.startswith(FRAME_COMMENT)]
    return "y_up" if named[:1] == ["y_up"] else FRAME


def _names(degree: int, *, normals: bool) -> list[str]:
    """The names of the columns in INRIA's order."""
    rest = [f"f_rest_{i}" for i in range(3 * rest_bases(degree))]
    return [
        *("x", "y", "z"), *(NORMALS if normals else ()), *("f_dc_0", "f_dc_1", "f_dc_2"), *rest, "opacity",
        *("scale_0", "scale_1", "scale_2"), *("rot_0", "rot_1", "rot_2", "rot_3"),
    ]  # fmt: skip


def _tables(scene: GaussianHierarchy, frame: str, degree: int, options: ExportOptions) -> Iterator[Tensor]:
    """The rows of the file (M, C), BLOCK at a time; each table reuses the memory of the one before."""
    turn_means, turn_quats, turn_sh = turn_signs("y_up", frame, scene.sh.shape[2])
    ones = torch.ones(1, 3)
    turn = ones * turn_means, ones, turn_quats[None], turn_sh[None, :, None].expand(-1, -1, 3), ones[:, 0]
    signs = torch.cat(_parts(turn, degree, options.normals), dim=1)  # (1, C without the tree)
    tree = torch.stack([scene.level, scene.parent], dim=-1).to("cpu", torch.float32) if options.extras else None
    table = torch.empty(BLOCK, signs.shape[1] + (0 if tree is None else len(TREE)))
    for rows, parts in tensor_blocks(scene):
        block = table[: len(parts[0])]
        columns = _parts(parts, degree, options.normals)
        torch.cat(columns if tree is None else [*columns, tree[rows]], dim=1, out=block)
        block[:, : signs.shape[1]] *= signs  # one product of whole rows is far faster than one for each part
        yield block


def _parts(parts: tuple[Tensor, ...], degree: int, normals: bool) -> list[Tensor]:
    """The columns of :func:`_names` in groups (M, 1 or more); normals and missing harmonics are zero."""
    means, log_scales, quats, sh, logits = parts
    rest = sh[:, 1:].transpose(1, 2)  # (M, 3, K - 1): channel-major
    if missing := rest_bases(degree) - rest.shape[2]:
        rest = torch.nn.functional.pad(rest, (0, missing))
    none = means.new_zeros(len(means), len(NORMALS) if normals else 0)
    return [means, none, sh[:, 0], rest.flatten(1), logits[:, None], log_scales, quats]


def _columns(splats: StoredSplats) -> dict[str, Floats]:
    """Views (N,) of the arrays, by the names of their columns."""
    bases = splats.sh.shape[1]
    columns = {axis: splats.means[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"f_dc_{i}": splats.sh[:, 0, i] for i in range(3)}
    for channel in range(3):
        columns |= {f"f_rest_{channel * (bases - 1) + k - 1}": splats.sh[:, k, channel] for k in range(1, bases)}
    columns |= {"opacity": splats.logits}
    columns |= {f"scale_{i}": splats.log_scales[:, i] for i in range(3)}
    return columns | {f"rot_{i}": splats.quats[:, i] for i in range(4)}


def _header(scene: GaussianHierarchy, frame: str, names: list[str]) -> str:
    """The header; its comments follow the element, which viewers of a fixed layout expect on line 3."""
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {scene.num_gaussians}"]
    lines += [f"comment generator {program_name()}", f"comment {FRAME_COMMENT}{frame}"]
    lines += [" ".join(["comment hgs_levels", *map(str, scene.level_counts)])]
    return "\n".join([*lines, *(f"property float {name}" for name in names), "end_header\n"])


def _check_required(path: Path, available: set[str]) -> None:
    missing = [name for name in _names(0, normals=False) if name not in available]
    if not missing:
        return
    hint = ""
    if "packed_position" in available:
        hint = "; it is a compressed splat file, name it .compressed.ply"
    elif {"x", "y", "z"} <= available:
        hint = "; it is a point cloud or mesh, not a Gaussian splat file"
    raise FormatError(f"{path} lacks the columns {', '.join(missing)}{hint}")


def degree_of(path: Path, columns: dict[str, str]) -> int:
    """The degree of the harmonics in the f_rest columns.

    Raises:
        FormatError: if no degree has that many columns, or they are not numbered from 0.
    """
    count = sum(name.startswith("f_rest_") for name in columns)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(count)
    if degree is None or not columns.keys() >= {f"f_rest_{i}" for i in range(count)}:
        raise FormatError(f"{path} has {count} f_rest columns; expected none, or f_rest_0 up to 9, 24 or 45 of them")
    return degree


def _with_tree(path: Path, scene: GaussianHierarchy, tree: Floats) -> GaussianHierarchy:
    """``scene`` with the levels and parents of ``tree`` (N, 2); parents that contradict the levels are ignored."""
    if not bool((tree == tree.round()).all()) or not bool((np.abs(tree) <= MAX_EXACT_INDEX).all()):
        raise FormatError(f"{path}: level or parent is no whole number; expected columns written by hgs_toolkit")
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
