"""The writer of the 3D-GS .ply: the layout of the INRIA reference, written so that every known reader accepts it.

The element ``vertex`` has float columns: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_* (channel-major: all of red, then
green, then blue), opacity (logit), scale_0..2 (natural log), rot_0..3 (wxyz). The frame is RDF. Level and parent, if
asked for, are float columns after rot_3: columns of other types, further elements, or a comment before ``element
vertex`` make some readers fail or, worse, read garbage. The option ``world`` takes that risk for scenes far from the
origin: their x y z are doubles. The reader is in :mod:`~hgs_toolkit.exporters.splats.ply.reader`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import NO_PARENT, sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import frame_signs, turn_signs
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.offsets import NO_OFFSET
from hgs_toolkit.exporters.splats.ply.comments import FRAME, comment_lines
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats, bounded_blocks, rest_bases

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

MAX_EXACT_INDEX = 2**24
"""Greatest whole number up to which all are exact in a float32 column."""

NORMALS = ("nx", "ny", "nz")
TREE = ("level", "parent")


def write_ply(path: Path, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> None:
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
    shift = np.array(options.offset if options.world else NO_OFFSET) * frame_signs("y_up", frame)
    with open(path, "wb") as file:
        file.write(_header(scene, frame, names, options, "double" if shift.any() else "float").encode())
        for table in _tables(scene, frame, degree, options):
            rows = table.astype("<f4", copy=False)
            file.write(_with_doubles(rows, shift).data if shift.any() else rows.data)


def _with_doubles(rows: Floats, shift: NDArray[np.float64]) -> NDArray[np.void]:
    """``rows`` (M, C) whose first three columns are doubles, moved by ``shift`` (3,)."""
    table = np.empty(len(rows), [("means", "<f8", 3), ("rest", "<f4", rows.shape[1] - 3)])
    table["means"] = rows[:, :3] + shift
    table["rest"] = rows[:, 3:]
    return table


def _names(degree: int, *, normals: bool) -> list[str]:
    """The names of the columns in INRIA's order."""
    rest = [f"f_rest_{i}" for i in range(3 * rest_bases(degree))]
    return [
        *("x", "y", "z"), *(NORMALS if normals else ()), *("f_dc_0", "f_dc_1", "f_dc_2"), *rest, "opacity",
        *("scale_0", "scale_1", "scale_2"), *("rot_0", "rot_1", "rot_2", "rot_3"),
    ]  # fmt: skip


def _tables(
    scene: GaussianHierarchy | StoredSplats, frame: str, degree: int, options: ExportOptions
) -> Iterator[Floats]:
    """The rows of the file (M, C), BLOCK at a time; each table reuses the memory of the one before."""
    turn_means, turn_quats, turn_sh = turn_signs("y_up", frame, sh_bases(scene.sh_degree))
    ones = np.ones((1, 3), np.float32)
    turn = StoredSplats(
        ones * turn_means, ones, turn_quats[None], np.repeat(turn_sh[None, :, None], 3, axis=2), ones[:, 0]
    )
    signs = np.concatenate(_columns(turn, degree, options.normals), axis=1)  # (1, C without the tree)
    tree = _tree(scene) if options.extras else np.empty((scene.num_gaussians, 0), np.float32)
    table = np.empty((BLOCK, signs.shape[1] + tree.shape[1]), np.float32)
    for rows, splats in bounded_blocks(scene):
        block = table[: len(splats)]
        np.concatenate([*_columns(splats, degree, options.normals), tree[rows]], axis=1, out=block)
        block[:, : signs.shape[1]] *= signs  # one product of whole rows is far faster than one for each part
        yield block


def _tree(scene: GaussianHierarchy | StoredSplats) -> Floats:
    """Level and parent (N, 2)."""
    if isinstance(scene, StoredSplats):
        return np.tile(np.array([0, NO_PARENT], np.float32), (len(scene), 1))
    return np.stack([scene.level.cpu().numpy(), scene.parent.cpu().numpy()], axis=1).astype(np.float32)


def _columns(splats: StoredSplats, degree: int, normals: bool) -> list[Floats]:
    """The columns of :func:`_names` in groups (M, 1 or more); normals and missing harmonics are zero."""
    rest = splats.sh[:, 1:].transpose(0, 2, 1)  # (M, 3, K - 1): channel-major
    if missing := rest_bases(degree) - rest.shape[2]:
        rest = np.pad(rest, ((0, 0), (0, 0), (0, missing)))
    none = np.zeros((len(splats), len(NORMALS) if normals else 0), np.float32)
    return [
        splats.means, none, splats.sh[:, 0], rest.reshape(len(splats), -1), splats.logits[:, None], splats.log_scales,
        splats.quats,
    ]  # fmt: skip


def _header(
    scene: GaussianHierarchy | StoredSplats, frame: str, names: list[str], options: ExportOptions, kind: str
) -> str:
    """The header, whose x y z are of type ``kind``.

    Its comments follow the element, which viewers of a fixed layout expect on line 3.
    """
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {scene.num_gaussians}"]
    lines += comment_lines(frame, options)
    counts = [len(scene)] if isinstance(scene, StoredSplats) else scene.level_counts
    lines += [" ".join(["comment hgs_levels", *map(str, counts)])]
    lines += [f"property {kind if name in ('x', 'y', 'z') else 'float'} {name}" for name in names]
    return "\n".join([*lines, "end_header\n"])
