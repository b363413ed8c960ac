"""The 3D-GS .ply: the layout of the INRIA reference, written so that every known reader accepts it.

One element ``vertex`` of float columns: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_* (channel-major: all of red, then
green, then blue), opacity (logit), scale_0..2 (natural log), rot_0..3 (wxyz). The frame is RDF. Level and parent, where
wanted, are float columns after rot_3: other types, other elements and a comment before ``element vertex`` make one
reader or another fail or, worse, read garbage.
"""

from __future__ import annotations

import logging
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats, sh_bases
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.frames import convert_frame
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.gaussians import GaussianCloud, GaussianHierarchy

logger = logging.getLogger(__name__)

Columns = NDArray[np.float32]

MAX_EXACT_INDEX = 2**24
"""Whole numbers up to this are exact in a float32 column."""

MAX_HEADER = 128 * 1024
"""Bytes of header that are searched for its end."""

TYPE_BYTES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2,
    "int": 4, "uint": 4, "int32": 4, "uint32": 4, "float": 4, "float32": 4, "double": 8, "float64": 8,
}  # fmt: skip

REQUIRED = (
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"),
    *("rot_0", "rot_1", "rot_2", "rot_3"),
)
TREE = ("level", "parent")

FRAME_COMMENT = "frame "


def write_ply(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene; quaternions are normalised, opacity logits bounded.

    Raises:
        FormatError: if an index is too large for a float column, or ``pad_sh`` lies below the scene's degree.
    """
    frame = options.frame or "rdf"
    names, columns = _columns(convert_frame(scene, "y_up", frame), options)
    table = np.ascontiguousarray(columns, dtype="<f4").view([(name, "<f4") for name in names])[:, 0]
    comments = [f"generator hgs_toolkit {version('hgs_toolkit')}", FRAME_COMMENT + frame]
    comments.append("hgs_levels " + " ".join(map(str, scene.level_counts)))
    # Comments belong to the element: fixed-layout viewers want it on line 3.
    vertex = PlyElement.describe(table, "vertex", comments=comments)
    PlyData([vertex], byte_order="<").write(str(path))


def read_ply(path: Path) -> GaussianHierarchy:
    """Read one scene, of any program: ascii or binary, with or without normals, f_rest, level and parent.

    Infinite opacity logits (opacity 0 or 1) are bounded as our own are.

    Raises:
        FormatError: if the file is truncated, has no Gaussians, or holds NaN or infinite values (counted).
    """
    table, frame = _read_table(path)

    def stacked(*names: str) -> Tensor:  # (N, len(names))
        return torch.from_numpy(np.stack([table[name] for name in names], axis=-1))

    logits = stacked("opacity")[:, 0]
    bounded = logits.clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
    rest_names = _rest_names(path, table)
    rest = stacked(*rest_names).reshape(len(logits), 3, -1) if rest_names else torch.zeros(len(logits), 3, 0)
    cloud = GaussianCloud(
        means=stacked("x", "y", "z")[None],
        log_scales=stacked("scale_0", "scale_1", "scale_2")[None],
        quats=stacked("rot_0", "rot_1", "rot_2", "rot_3")[None],
        sh=torch.cat([stacked("f_dc_0", "f_dc_1", "f_dc_2")[:, None], rest.mT], dim=1)[None],
        opacity_logits=torch.where(logits.isinf(), bounded, logits)[None],
        check_finite=False,
    )
    try:
        scene = _with_tree(path, cloud, stacked(*TREE) if table.keys() >= set(TREE) else None)
    except ShapeError as error:
        raise FormatError(f"{path}: {error}") from error
    return convert_frame(scene, frame, "y_up")


def _columns(scene: GaussianHierarchy, options: ExportOptions) -> tuple[list[str], Columns]:
    """Names and values (N, P) in INRIA's order."""
    degree = max(scene.sh_degree, options.pad_sh)
    if 0 < options.pad_sh < scene.sh_degree:
        raise FormatError(f"pad_sh {options.pad_sh} is below the scene's SH degree {scene.sh_degree}; lower that first")
    count, rest_count = scene.num_gaussians, 3 * (sh_bases(degree) - 1)
    rest = scene.sh.new_zeros(count, 3, sh_bases(degree) - 1)
    rest[:, :, : scene.sh.shape[2] - 1] = scene.sh[0, :, 1:].mT  # (N, 3, K - 1): channel-major
    logits = scene.opacity_logits[0].clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
    blocks = [
        (["x", "y", "z"], scene.means[0]),
        (["nx", "ny", "nz"] if options.normals else [], scene.means.new_zeros(count, 3 if options.normals else 0)),
        (["f_dc_0", "f_dc_1", "f_dc_2"], scene.sh[0, :, 0]),
        ([f"f_rest_{i}" for i in range(rest_count)], rest.flatten(1)),
        (["opacity"], logits[:, None]),
        (["scale_0", "scale_1", "scale_2"], scene.log_scales[0]),
        (["rot_0", "rot_1", "rot_2", "rot_3"], normalize_quats(scene.quats[0])),
    ]
    if options.extras:
        if count > MAX_EXACT_INDEX:
            raise FormatError(f"{count} Gaussians; a .ply file keeps parents of at most {MAX_EXACT_INDEX}, write .hgs")
        blocks.append(([*TREE], torch.stack([scene.level, scene.parent], dim=-1)))
    values = torch.cat([value.detach().float().cpu() for _, value in blocks], dim=-1)
    return [name for names, _ in blocks for name in names], values.numpy()


def _read_table(path: Path) -> tuple[dict[str, Columns], str]:
    """The columns a splat can have, each (N,) float32, by name, and the file's frame."""
    check_size(path)
    try:
        data = PlyData.read(str(path))
        vertex = data["vertex"]
        _check_required(path, {p.name for p in vertex.properties})
        names = [p.name for p in vertex.properties if p.name in (*REQUIRED, *TREE) or p.name.startswith("f_rest_")]
        with np.errstate(over="ignore"):  # a double too large becomes infinite, and is counted as such later
            table = {name: np.asarray(vertex[name], dtype=np.float32) for name in names}
    except FormatError:
        raise
    except (PlyParseError, ValueError, TypeError) as error:
        raise FormatError(f"{path} is no readable .ply file: {error}") from error
    return table, _frame(data)


def _check_required(path: Path, available: set[str]) -> None:
    missing = [name for name in REQUIRED if name not in available]
    if not missing:
        return
    hint = ""
    if "packed_position" in available:
        hint = "; it is a compressed splat file, name it .compressed.ply"
    elif {"x", "y", "z"} <= available:
        hint = "; it is a point cloud or mesh, not a Gaussian splat file"
    raise FormatError(f"{path} lacks the columns {', '.join(missing)}{hint}")


def _rest_names(path: Path, table: dict[str, Columns]) -> list[str]:
    """f_rest_0 and so on, in order: channel-major."""
    count = sum(name.startswith("f_rest_") for name in table)
    names = [f"f_rest_{i}" for i in range(count)]
    if count not in (0, 9, 24, 45) or not table.keys() >= set(names):
        raise FormatError(f"{path} has {count} f_rest columns; expected none, or f_rest_0 up to 9, 24 or 45 of them")
    return names


def _with_tree(path: Path, cloud: GaussianCloud, tree: Tensor | None) -> GaussianHierarchy:
    """The hierarchy of ``tree`` (N, 2): level and parent; without parents where the file was reordered since."""
    parameters: dict[str, Any] = cloud.parameters()
    if tree is None:
        return GaussianHierarchy(**parameters)
    if not bool((tree == tree.round()).all()):
        raise ShapeError("level or parent is no whole number; expected columns written by hgs_toolkit")
    level, parent = tree.long().unbind(-1)
    flat = GaussianHierarchy(**parameters, level=level)
    try:
        return flat.replace(parent=parent)
    except ShapeError as error:
        logger.warning("%s: its parents are ignored (%s), perhaps another program reordered it", path, error)
        return flat


def _frame(data: PlyData) -> str:
    """The frame our own comment names; RDF where there is none."""
    comments = [*data.comments, *data["vertex"].comments]
    named = [c.removeprefix(FRAME_COMMENT).strip() for c in comments if c.startswith(FRAME_COMMENT)]
    return "y_up" if named[:1] == ["y_up"] else "rdf"


def check_size(path: Path) -> None:
    """Compare what a .ply header promises with the file's size, before a reader allocates it.

    Raises:
        FormatError: if there is no header, no element ``vertex``, or the file is too short.
    """
    with open(path, "rb") as file:
        header = _header(path, file)
        available = path.stat().st_size - file.tell()
    ascii_text = any(line.split()[1:2] == ["ascii"] for line in header if line.startswith("format"))
    needed, count, elements = 0, 0, set()
    for line in header:
        words = line.split()
        if words[:1] == ["element"] and len(words) == 3 and words[2].isdecimal() and len(words[2]) < 19:
            count = int(words[2])
            elements.add(words[1])
        elif words[:1] == ["property"] and len(words) >= 3:
            # A value of an ascii file takes a digit and a blank; a list at least its length.
            is_list = words[1] == "list"
            needed += count * (2 if ascii_text else TYPE_BYTES.get(words[2 if is_list else 1], 1))
    if "vertex" not in elements:
        raise FormatError(f"{path} has no element 'vertex'; expected a Gaussian splat .ply")
    if available < needed - ascii_text:
        raise FormatError(
            f"{path} is truncated: its header promises at least {needed} bytes of data, {available} follow"
        )


def _header(path: Path, file: BinaryIO) -> list[str]:
    """The lines of the header; ``file`` stands behind it afterwards."""
    start = file.read(MAX_HEADER)
    end = re.search(rb"end_header\r?\n?", start)
    if not start.startswith(b"ply") or end is None:
        raise FormatError(f"{path} is no .ply file or its header is broken; expected 'ply' ... 'end_header'")
    file.seek(end.end())
    return start[: end.start()].decode("ascii", "replace").splitlines()
