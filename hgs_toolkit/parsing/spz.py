# SPDX-License-Identifier: Apache-2.0
"""Niantic's .spz, versions 1 to 4, written by any program: its planes, and the stored values in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .quaternions import BOUND, restore_largest
from .spz_layout import COLOUR_SCALE, HEADER, MAGNITUDE, STREAM, TABLE_START, WXYZ, Bytes, Header
from .stored import Floats, ParsedSplats, ParseError, logits_of_bytes
from .unpacking import MAX_TRAILER, Gunzip, check_promise, unzstd

VERSIONS_IN_PLANES = tuple(version.to_bytes(4, "little") for version in (1, 2, 3))
"""Versions, as a header has them, whose planes are not streams of their own."""

Parts = tuple[Header, list[Bytes], bytes]
"""Header, planes and extensions of a file."""


def parse_parts(data: bytes) -> Parts:
    """What ``data`` consist of: gzip, the plain planes of versions 1 to 3, or version 4.

    Raises:
        NoZstandardError: if it is of version 4, and this Python cannot unpack Zstandard.
        ParseError: if the file is truncated, is no .spz, has another version, or promises more than it holds.
    """
    if data.startswith(b"\x1f\x8b"):
        return _packed(data)
    if not data.startswith(b"NGSP"):
        raise ParseError("it is neither a gzip stream nor NGSP; expected a .spz file")
    return _plain(data) if data[4:8] in VERSIONS_IN_PLANES else _streams(data)


def _packed(data: bytes) -> Parts:
    """Versions 1 to 3."""
    stream = Gunzip(data)
    header = Header.parse(stream.read(HEADER.size), range(1, 4))
    sizes = header.plane_bytes
    check_promise(sum(sizes), len(data))
    planes = [np.frombuffer(stream.read(size), np.uint8) for size in sizes]
    return header, planes, stream.finish()


def _plain(data: bytes) -> Parts:
    """Versions 1 to 3 that were never packed."""
    if len(data) < HEADER.size:
        raise ParseError(f"it is truncated: {len(data)} bytes")
    header = Header.parse(data[: HEADER.size], range(1, 4))
    sizes = header.plane_bytes
    if len(data) < HEADER.size + sum(sizes):
        raise ParseError(f"it is truncated: {HEADER.size + sum(sizes)} bytes promised, it has {len(data)}")
    ends = HEADER.size + np.cumsum(sizes)
    planes = [np.frombuffer(data, np.uint8, size, end - size) for size, end in zip(sizes, ends.tolist(), strict=True)]
    return header, planes, data[ends[-1] :][:MAX_TRAILER]


def _streams(data: bytes) -> Parts:
    """Version 4."""
    if len(data) < HEADER.size + TABLE_START.size:
        raise ParseError(f"it is truncated: {len(data)} bytes")
    header = Header.parse(data[: HEADER.size], range(4, 5))
    (table,) = TABLE_START.unpack_from(data, HEADER.size)
    sizes = [size for size in header.plane_bytes if size]  # an empty plane has no stream
    start = table + header.streams * STREAM.size
    if header.streams != len(sizes):
        raise ParseError(f"it has {header.streams} streams; expected {len(sizes)}")
    if start > len(data):
        raise ParseError(f"it is truncated: its table ends at byte {start}, the file at {len(data)}")
    check_promise(sum(sizes), len(data))
    planes = [np.empty(0, np.uint8)] * len(header.plane_bytes)
    filled = [plane for plane, size in enumerate(header.plane_bytes) if size]
    for index, size in enumerate(sizes):
        packed, unpacked = STREAM.unpack_from(data, table + index * STREAM.size)
        if unpacked != size or packed > len(data) - start:
            raise ParseError(f"stream {index} promises {packed} bytes for {unpacked}; expected {size}, "
                              f"{len(data) - start} bytes follow")  # fmt: skip
        planes[filled[index]] = np.frombuffer(unzstd(data[start : start + packed], size), np.uint8)
        start += packed
    extensions = data[HEADER.size + TABLE_START.size : table]
    return header, planes, extensions


def unpack_planes(header: Header, planes: list[Bytes]) -> ParsedSplats:
    """The stored values in the planes; harmonics of degree 4 are left out."""
    positions, alphas, colours, scales, rotations, harmonics = planes
    count, bases = header.count, (min(header.degree, 3) + 1) ** 2
    sh = np.empty((count, bases, 3), np.float32)
    sh[:, 0] = (colours.reshape(count, 3) - np.float32(127.5)) / np.float32(COLOUR_SCALE)
    sh[:, 1:] = harmonics.reshape(count, (header.degree + 1) ** 2 - 1, 3)[:, : bases - 1]
    sh[:, 1:] -= 128
    sh[:, 1:] /= 128
    log_scales = (scales.reshape(count, 3) / 16 - 10).astype(np.float32)
    return ParsedSplats(
        means=unpack_means(header, positions),
        log_scales=log_scales,
        quats=_unpack_quats(rotations) if header.version >= 3 else _quats_of_xyz(rotations.reshape(count, 3)),
        sh=sh,
        logits=logits_of_bytes(alphas),
    )


def unpack_means(header: Header, positions: Bytes) -> Floats:
    """The centres (N, 3) in the first plane."""
    if header.version == 1:
        return positions.view("<f2").reshape(header.count, 3).astype(np.float32)
    return _from_fixed24(positions.reshape(header.count, 3, 3), header.fractional_bits)


def _from_fixed24(positions: Bytes, bits: int) -> Floats:
    """Coordinates (N, 3) from little-endian bytes (N, 3, 3), which become the upper three of four to keep the sign."""
    words = np.zeros((*positions.shape[:2], 4), np.uint8)
    words[..., 1:] = positions
    fixed: NDArray[np.int32] = words.view("<i4")[..., 0]
    return (fixed / float(2 ** (bits + 8))).astype(np.float32)


def _unpack_quats(rotations: Bytes) -> Floats:
    words = rotations.view("<u4")
    fields = np.stack([words >> 20 & 1023, words >> 10 & 1023, words & 1023], axis=1)
    three = (fields & MAGNITUDE) * (BOUND / np.float32(MAGNITUDE)) * np.where(fields >> 9, -1, 1)
    return restore_largest(words >> 30, three)[:, WXYZ]


def _quats_of_xyz(rotations: Bytes) -> Floats:
    """Quaternions (N, 4) wxyz from bytes x y z (N, 3); w is positive."""
    xyz = rotations / np.float32(127.5) - 1
    w = np.sqrt((1 - np.square(xyz).sum(axis=1)).clip(0))
    return np.column_stack([w, xyz])
