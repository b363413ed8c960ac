"""PlayCanvas' .compressed.ply: 16 bytes for each Gaussian, a byte for each harmonic, 72 bytes for each 256 Gaussians.

The element ``chunk`` has the bounds of 256 consecutive Gaussians: min and max of x y z, of log scales and of RGB. The
element ``vertex`` has four unsigned integers: position and log scale between their bounds in 11, 10 and 11 bits; the
quaternion without its largest component (2 bits say which of w x y z it was, the others have 10 each); RGB between its
bounds and opacity in 8 bits each. The element ``sh``, if the file has it, has a byte for each f_rest column, which
stands for -4 to 4. The frame is that of the .ply.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.packing.quaternions import BOUND, drop_largest, restore_largest
from hgs_toolkit.exporters.splats.ply.comments import FRAME, PlyFacts, comment_lines
from hgs_toolkit.exporters.splats.ply.table import PlyFile, degree_of
from hgs_toolkit.exporters.splats.reading import Doubles, Reading, reading_of
from hgs_toolkit.exporters.splats.stored import (
    Floats,
    StoredSplats,
    clamped,
    logits_of_bytes,
    opacity_bytes,
    splats_of,
)
from hgs_toolkit.parsing.stored import SH_C0

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

Words = NDArray[np.uint32]

SUFFIX = ".compressed.ply"

CHUNK = 256
"""Number of consecutive Gaussians that share bounds."""

WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")

POSITION_BITS = (11, 10, 11)
ROTATION_BITS = (10, 10, 10)
COLOUR_BITS = (8, 8, 8, 8)

MAX_LOG_SCALE = 20.0
"""Log scale at which other programs clamp; e^20 is beyond any scene."""

SH_RANGE = 8.0
"""Width of the range of harmonics: bytes from 0 to 255 stand for -4 to 4."""


def write_compressed_ply(path: Path, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> None:
    """Write one scene, its Gaussians in Morton order; values beyond the format's range are counted in the log.

    Raises:
        FormatError: if the Gaussians of a chunk lie farther apart than single precision tells.
    """
    frame = options.frame or FRAME
    splats = splats_of(scene, frame)
    splats = splats.take(morton_order(splats.means))
    chunks = -(-len(splats) // CHUNK)
    log_scales = clamped(splats.log_scales, -MAX_LOG_SCALE, MAX_LOG_SCALE, "log scales", SUFFIX)
    colours = 0.5 + np.float32(SH_C0) * splats.sh[:, 0]
    bounds = [_bounds(values) for values in (splats.means, log_scales, colours)]  # each (C, 2, 3)
    _refuse_endless(bounds[0])
    largest, three = drop_largest(splats.quats)
    words = [
        _pack(_unit(splats.means, bounds[0]), POSITION_BITS),
        _pack((three / (2 * BOUND) + np.float32(0.5)).T, ROTATION_BITS) | largest.astype(np.uint32) << 30,
        _pack(_unit(log_scales, bounds[1]), POSITION_BITS),
        _pack(_unit(colours, bounds[2]), COLOUR_BITS[:3]) << 8 | opacity_bytes(splats.logits),
    ]
    with open(path, "wb") as file:
        file.write(_header(chunks, splats, frame, options).encode())
        np.concatenate(bounds, axis=1, dtype="<f4").tofile(file)
        np.stack(words, axis=1, dtype="<u4").tofile(file)
        if splats.sh_degree:
            rest = clamped(splats.sh[:, 1:], -SH_RANGE / 2, SH_RANGE / 2, "harmonics", SUFFIX)
            rest = rest.transpose(0, 2, 1)  # (N, 3, K - 1)
            ((rest / SH_RANGE + 0.5) * 256).clip(0, 255).astype(np.uint8).tofile(file)


def is_compressed(ply: PlyFile) -> bool:
    """Whether the header is that of a .compressed.ply."""
    return "vertex" in ply.elements and bool(set(WORDS) & ply.elements["vertex"].columns.keys())


def read_compressed(ply: PlyFile) -> Reading:
    """Read the Gaussians of an opened file.

    Raises:
        FormatError: if the file is truncated, an element or column is missing, or the elements' rows do not belong
            together.
    """
    _check(ply)
    columns = ply.element("chunk").columns
    chunk = ply.rows("chunk")

    def bounds(part: str) -> Floats:  # (C, 2, 3)
        names = _bound_names(part)
        if part == "colour" and not set(names) & columns.keys():  # early files have none
            return np.tile(np.array([[0, 0, 0], [1, 1, 1]], np.float32), (len(chunk), 1, 1))
        values: Floats = np.stack([chunk[name] for name in names], axis=1, dtype=np.float32, casting="same_kind")
        return values.reshape(-1, 2, 3)

    limits = [bounds(part) for part in ("position", "scale", "colour")]
    degree = degree_of(ply.path, ply.elements["sh"].columns) if "sh" in ply.elements else 0
    count = ply.element("vertex").count
    splats, means = StoredSplats.empty(count, sh_bases(degree)), np.empty((count, 3))
    for rows, block in ply.blocks("vertex"):
        of_block = [bounds[rows.start // CHUNK : -(-rows.stop // CHUNK)] for bounds in limits]
        means[rows] = _unpack(block, of_block, StoredSplats(*(part[rows] for part in splats.parts)))
    if degree:
        names = [f"f_rest_{i}" for i in range(3 * (sh_bases(degree) - 1))]
        for rows, block in ply.blocks("sh"):
            rest = np.stack([block[name] for name in names], axis=1).reshape(len(block), 3, -1)
            splats.sh[rows, 1:] = _harmonics(rest).transpose(0, 2, 1)
    facts = PlyFacts.parse(ply.comments)
    return replace(reading_of(ply.path, splats, facts.frame, means, facts.offset), antialiased=facts.antialiased)


def _unpack(block: NDArray[np.void], limits: list[Floats], target: StoredSplats) -> Doubles:
    """Fill ``target`` with the rows of ``block``, whose chunks have the bounds ``limits``; returns the centres (M, 3).

    Between bounds far from the origin, the centres lie closer together than single precision resolves. Columns are
    worked on one by one: for rows of three NumPy takes twice as long.
    """
    position, rotation, scale, colour = (block[name].astype(np.uint32) for name in WORDS)

    def between(bounds: NDArray[Any], axis: int, unit: Floats) -> NDArray[Any]:  # (C, 2, 3), (M,) -> (M,)
        low, extent = bounds[:, 0, axis], bounds[:, 1, axis] - bounds[:, 0, axis]
        values: NDArray[Any] = np.repeat(low, CHUNK)[: len(unit)] + np.repeat(extent, CHUNK)[: len(unit)] * unit
        return values

    means: Doubles = np.empty((len(block), 3))
    with np.errstate(over="ignore", invalid="ignore"):  # values from bounds that are not finite are counted later
        for axis, unit in enumerate(_fields(position, POSITION_BITS)):
            means[:, axis] = between(limits[0].astype(np.float64), axis, unit)
        for axis, unit in enumerate(_fields(scale, POSITION_BITS)):
            target.log_scales[:, axis] = between(limits[1], axis, unit)
        for axis, unit in enumerate(_fields(colour >> np.uint32(8), COLOUR_BITS[:3])):
            target.sh[:, 0, axis] = (between(limits[2], axis, unit) - 0.5) / np.float32(SH_C0)
    three = (np.stack(_fields(rotation, ROTATION_BITS), axis=1) - np.float32(0.5)) * (2 * BOUND)
    target.quats[:] = restore_largest(rotation >> 30, three)
    target.logits[:] = logits_of_bytes((colour & 255).astype(np.uint8))
    return means


def _check(ply: PlyFile) -> None:
    """Raise a FormatError unless the elements have the columns and rows that belong together."""
    vertex, chunk = ply.element("vertex"), ply.element("chunk")
    needed = [*_bound_names("position"), *_bound_names("scale")]
    if set(_bound_names("colour")) & chunk.columns.keys():
        needed += _bound_names("colour")
    missing = [f"'{name}' of vertex" for name in WORDS if name not in vertex.numbers]
    missing += [f"'{name}' of chunk" for name in needed if name not in chunk.numbers]
    if missing:
        raise FormatError(f"{ply.path} lacks the columns {', '.join(missing)}; expected a .compressed.ply")
    unsigned = ("uint", "uint32")
    if any(vertex.columns[name] not in unsigned for name in WORDS):
        raise FormatError(f"{ply.path}: a packed column is no unsigned integer of 32 bits")
    if chunk.count != -(-vertex.count // CHUNK):
        raise FormatError(f"{ply.path} has {chunk.count} chunks for {vertex.count} Gaussians; expected one for {CHUNK}")
    if (sh := ply.elements.get("sh")) is None:
        return
    if sh.count != vertex.count:
        raise FormatError(f"{ply.path} has harmonics of {sh.count} of its {vertex.count} Gaussians")
    if sh.has_lists or not set(sh.columns.values()) <= {"uchar", "uint8"}:
        raise FormatError(f"{ply.path}: a column of the harmonics is no unsigned byte; expected a .compressed.ply")


def _bound_names(part: str) -> list[str]:
    """The names of the columns of ``part``: first its lower bounds, then its upper ones."""
    names = {"position": ("x", "y", "z"), "scale": ("scale_x", "scale_y", "scale_z"), "colour": ("r", "g", "b")}[part]
    return [f"{side}_{name}" for side in ("min", "max") for name in names]


def _header(chunks: int, splats: StoredSplats, frame: str, options: ExportOptions) -> str:
    lines = ["ply", "format binary_little_endian 1.0", *comment_lines(frame, options), f"element chunk {chunks}"]
    lines += [f"property float {name}" for part in ("position", "scale", "colour") for name in _bound_names(part)]
    lines += [f"element vertex {len(splats)}", *(f"property uint {name}" for name in WORDS)]
    if splats.sh_degree:
        rest = 3 * (splats.sh.shape[1] - 1)
        lines += [f"element sh {len(splats)}", *(f"property uchar f_rest_{i}" for i in range(rest))]
    return "\n".join([*lines, "end_header\n"])


def _bounds(values: Floats) -> Floats:
    """The least and greatest values (C, 2, 3) of each chunk of (N, 3)."""
    starts = np.arange(0, len(values), CHUNK)
    columns = [np.ascontiguousarray(column) for column in values.T]
    sides = [np.stack([side.reduceat(column, starts) for column in columns], 1) for side in (np.minimum, np.maximum)]
    return np.stack(sides, axis=1)


def _refuse_endless(bounds: Floats) -> None:
    """Raise a FormatError if the extent of a chunk, between whose bounds (C, 2, 3) its centres lie, is infinite."""
    with np.errstate(over="ignore"):
        endless = np.isinf(bounds[:, 1] - bounds[:, 0])  # (C, 3)
    if endless.any():
        low, high = bounds.transpose(1, 0, 2)[:, endless][:, 0]
        raise FormatError(
            f"coordinates from {low:.3g} to {high:.3g} in one chunk; {SUFFIX} files hold chunks whose extent is less "
            f"than {np.finfo(np.float32).max:.3g}, write .ply"
        )


def _unit(values: Floats, bounds: Floats) -> Floats:
    """Values (N, 3) as fractions 0..1 between the bounds of their chunks, in columns (3, N); 0 between equal bounds."""
    unit = np.empty((3, len(values)), np.float32)
    for axis in range(3):
        low, extent = bounds[:, 0, axis], bounds[:, 1, axis] - bounds[:, 0, axis]
        divisor = np.where(extent > 0, extent, np.float32(1))
        np.subtract(values[:, axis], np.repeat(low, CHUNK)[: len(values)], out=unit[axis])
        unit[axis] /= np.repeat(divisor, CHUNK)[: len(values)]
    return unit


def _pack(unit: Floats, bits: tuple[int, ...]) -> Words:
    """Words (N,) whose fields are columns (F, N) of fractions 0..1; the first column has the highest bits."""
    word = np.zeros(unit.shape[1], np.uint32)
    for column, width in zip(unit, bits, strict=True):
        top = 2**width - 1
        word = word << np.uint32(width) | np.round(column * top).clip(0, top).astype(np.uint32)
    return word


def _fields(words: Words, bits: tuple[int, ...]) -> list[Floats]:
    """The fractions in the fields of words (N,), F columns (N,): the inverse of :func:`_pack`."""
    columns, shift = [], 0
    for width in reversed(bits):
        top = 2**width - 1
        columns.append(((words >> np.uint32(shift) & np.uint32(top)) / np.float32(top)).astype(np.float32))
        shift += width
    return columns[::-1]


def _harmonics(steps: NDArray[np.uint8]) -> Floats:
    """The middles of the steps (N, ...) out of 256 from -4 to 4; the first and last step stand for -4 and 4 itself."""
    table = (np.arange(256) + 0.5) / 256
    table[[0, -1]] = 0, 1
    return ((table - 0.5) * SH_RANGE).astype(np.float32)[steps]
