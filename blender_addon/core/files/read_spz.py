# SPDX-License-Identifier: GPL-3.0-or-later
"""Niantic's .spz, versions 1 to 4: planes of bytes, packed by gzip, in version 4 by Zstandard; y up.

Planes: positions (three numbers of 24 bit fixed point; half floats in version 1), opacities, colours, scales,
rotations (x y z in a byte each; from version 3 the three smallest of x y z w in 10 bit each), harmonics.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..harmonics import COUNTS
from ..splats import ActivatedSplats, Array, SplatError, bytes_to_logits, splats_from_stored

HEADER = struct.Struct("<4sIIBBBB")
"""Letters NGSP, version, count, degree of the harmonics, fractional bits, flags, streams (version 4)."""

TABLE = struct.Struct("<I12x")
"""What follows in version 4: the position of the table of streams."""

STREAM = struct.Struct("<QQ")
"""A stream's packed and unpacked bytes."""

MAX_DEGREE = 4
"""Largest degree in the files; harmonics above degree 3 are left out."""

MAX_EXPANSION, FREE_EXPANSION = 100, 1 << 24
"""Unpacked bytes for one of the file beyond which it is no splat file but a trap, unless they are few."""

AXES = 0xADBE0003
"""Type of the extension in which a file declares its axes; extensions are records of type, length and content."""

RECORD = struct.Struct("<II")

FRAMES = {0: "y_up", 4: "y_up", 6: "rdf", 12: "z_up"}
"""Frames by the number of the declared axes: none, RUB, RDF, RFU; the others are not turned here."""

ZSTANDARD = ("compression.zstd", "zstandard")
"""Modules that unpack Zstandard: of Python 3.14, and of the package index."""

BOUND, MAGNITUDE = np.float32(0.5**0.5), 511
"""Greatest of the three smallest components, and the number that stands for it."""


class Header(NamedTuple):
    """The first 16 bytes."""

    magic: bytes
    version: int
    gaussians: int
    degree: int
    fractional_bits: int
    flags: int
    streams: int

    def sizes(self) -> list[int]:
        """Bytes of every plane."""
        position, rotation = (6 if self.version == 1 else 9), (3 if self.version < 3 else 4)
        rest = 3 * ((self.degree + 1) ** 2 - 1)
        return [self.gaussians * size for size in (position, 1, 3, 3, rotation, rest)]


def read_spz(path: Path) -> ActivatedSplats:
    """Read a .spz.

    Raises:
        SplatError: if it is none, truncated, promises more than it can hold, or is of version 4 and nothing here can
            unpack that.
    """
    data = path.read_bytes()
    header, planes = _packed_apart(data) if data[:4] == b"NGSP" else _packed_whole(data)
    frame = _declared_frame(data) if header.version == 4 else "y_up"
    positions, alphas, colors, scales, rotations, rest = planes
    count = header.gaussians
    if header.version == 1:
        places = positions.view("<f2").reshape(count, 3).astype(np.float32)
    else:
        places = _fixed(positions.reshape(count, 3, 3), header.fractional_bits)
    harmonics = rest.reshape(count, (header.degree + 1) ** 2 - 1, 3)[:, : COUNTS[min(header.degree, 3)]]
    coefficients = np.empty((count, 1 + harmonics.shape[1], 3), np.float32)
    coefficients[:, 0] = (colors.reshape(count, 3) - np.float32(127.5)) / np.float32(0.15 * 255)
    coefficients[:, 1:] = (harmonics - np.float32(128)) / np.float32(128)
    log_scales = (scales.reshape(count, 3) / 16 - 10).astype(np.float32)
    rotation = _of_three(rotations.view("<u4")) if header.version >= 3 else _of_xyz(rotations.reshape(count, 3))
    return splats_from_stored(places, log_scales, rotation, coefficients, bytes_to_logits(alphas), frame=frame)


def _declared_frame(data: bytes) -> str:
    """The frame that the extensions of a version-4 file declare; ``y_up`` if they declare none."""
    (table,) = TABLE.unpack_from(data, HEADER.size)
    position = HEADER.size + TABLE.size
    while position + RECORD.size <= min(table, len(data)):
        kind, length = RECORD.unpack_from(data, position)
        position += RECORD.size
        if kind == AXES and length == 4 and position + 4 <= table:
            number = int.from_bytes(data[position : position + 4], "little")
            if number in FRAMES or number > 16:
                return FRAMES.get(number, "y_up")
            raise SplatError(f"it declares axes (number {number}) that are not turned here; convert it first: "
                             "hgs export FILE.spz FILE.ply")  # fmt: skip
        position += length
    return "y_up"


def _parsed(data: bytes, versions: range) -> Header:
    if len(data) < HEADER.size:
        raise SplatError("it is truncated: its header is not complete")
    header = Header(*HEADER.unpack_from(data))
    if header.magic != b"NGSP" or header.version not in versions:
        raise SplatError(f"it is no .spz file of the versions {versions[0]} to {versions[-1]} in its packing")
    if header.degree > MAX_DEGREE or header.fractional_bits > 23:
        raise SplatError(f"its harmonics are of degree {header.degree}, its fractional bits {header.fractional_bits}")
    return header


def _check_promise(header: Header, size: int) -> None:
    if sum(header.sizes()) > max(MAX_EXPANSION * size, FREE_EXPANSION):
        raise SplatError(f"it promises {header.gaussians} Gaussians in {size} bytes; it is broken or a trap")


def _packed_whole(data: bytes) -> tuple[Header, list[Array]]:
    """Versions 1 to 3: header and planes in one gzip stream."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        head = unpacker.decompress(data, HEADER.size)
        header = _parsed(head, range(1, 4))
        _check_promise(header, len(data))
        sizes = header.sizes()
        body = unpacker.decompress(unpacker.unconsumed_tail, sum(sizes)) if sum(sizes) else b""
    except zlib.error as error:
        raise SplatError(f"it is no gzip stream, or broken: {error}") from error
    if len(body) < sum(sizes):
        raise SplatError(f"it is truncated: {sum(sizes)} bytes promised, {len(body)} there")
    ends = np.cumsum(sizes)
    return header, [np.frombuffer(body, np.uint8, size, end - size) for size, end in zip(sizes, ends, strict=True)]


def _packed_apart(data: bytes) -> tuple[Header, list[Array]]:
    """Version 4: a plain header, a table, a Zstandard stream for each plane that is not empty."""
    header = _parsed(data, range(4, 5))
    _check_promise(header, len(data))
    if len(data) < HEADER.size + TABLE.size:
        raise SplatError("it is truncated: its table is missing")
    sizes = header.sizes()
    streams = iter(_streams(data, header, [size for size in sizes if size]))
    return header, [np.frombuffer(next(streams), np.uint8) if size else np.zeros(0, np.uint8) for size in sizes]


def _streams(data: bytes, header: Header, sizes: list[int]) -> Iterator[bytes]:
    (table,) = TABLE.unpack_from(data, HEADER.size)
    start = table + header.streams * STREAM.size
    if header.streams != len(sizes) or start > len(data):
        raise SplatError(f"its table of {header.streams} streams does not fit; expected {len(sizes)}")
    for index, size in enumerate(sizes):
        packed, unpacked = STREAM.unpack_from(data, table + index * STREAM.size)
        if unpacked != size or packed > len(data) - start:
            raise SplatError(f"stream {index} promises {packed} bytes for {unpacked}; expected {size}")
        yield _unzstd(data[start : start + packed], size)
        start += packed


def _unzstd(data: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes of a Zstandard stream."""
    for name in ZSTANDARD:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        try:
            if name == "zstandard":
                unpacked = module.ZstdDecompressor().stream_reader(data).read(size + 1)
            else:
                unpacked = module.ZstdDecompressor().decompress(data, size + 1)
        except module.ZstdError as error:
            raise SplatError(f"a stream of it is broken: {error}") from error
        if len(unpacked) != size:
            raise SplatError(f"a stream of it holds {len(unpacked)} bytes; expected {size}")
        return bytes(unpacked)
    raise SplatError(
        "it is of version 4, which this Blender's Python cannot unpack (no Zstandard); convert it first: "
        "hgs export FILE.spz FILE.ply"
    )


def _fixed(positions: Array, bits: int) -> Array:
    """Positions (N, 3) from little-endian bytes (N, 3, 3)."""
    words = np.zeros((*positions.shape[:2], 4), np.uint8)
    words[..., 1:] = positions  # in the upper three bytes, so that the sign comes along
    places: Array = (words.view("<i4")[..., 0] / float(2 ** (bits + 8))).astype(np.float32)
    return places


def _of_three(words: Array) -> Array:
    """Quaternions (N, 4), wxyz, from which of x y z w was left out (2 bits) and the others (sign and 9 bits each)."""
    left_out = (words >> 30).astype(np.intp)
    fields = np.stack([words >> 20 & 1023, words >> 10 & 1023, words & 1023], 1)
    three = (fields & MAGNITUDE) * (BOUND / np.float32(MAGNITUDE)) * np.where(fields >> 9, -1, 1)
    missing = np.sqrt(np.clip(1 - np.square(three).sum(1), 0, None))
    xyzw = np.empty((len(words), 4), np.float32)
    for index in range(4):
        mine = left_out == index
        xyzw[mine, index] = missing[mine]
        xyzw[np.ix_(mine, [each for each in range(4) if each != index])] = three[mine]
    return xyzw[:, [3, 0, 1, 2]]


def _of_xyz(rotations: Array) -> Array:
    """Quaternions (N, 4), wxyz, from x y z in a byte each; w is not negative."""
    xyz = rotations / np.float32(127.5) - 1
    return np.column_stack([np.sqrt(np.clip(1 - np.square(xyz).sum(1), 0, None)), xyz]).astype(np.float32)
