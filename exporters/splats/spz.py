"""Niantic's .spz: 20 bytes for each Gaussian in compressed planes; version 3 is written, versions 1 to 4 are read.

A header of 16 bytes (magic, version, count, SH degree, fractional bits, flags) is followed by one plane each for
positions (fixed point, 24 bits), alphas, colours, scales, rotations and higher harmonics (coefficient-major, RGB
fastest), whose values are bytes but for positions and rotations; gzip packs the whole. Version 1 has half-precision
positions. Versions 1 and 2 have the quaternion's x y z in a byte each; 3 and 4 have the three smaller components of
x y z w (a sign and 9 bits each) and 2 bits that say which one was dropped. Version 4 has a plain header of 32 bytes, a
table of sizes and one Zstandard stream for each plane. The frame is RUB, which is ``y_up``. Many programs write the
coordinates of their .ply unchanged, and nothing in the file says so; a caller who knows better names the ``frame``.
"""

from __future__ import annotations

import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.encoding import sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import Gunzip, check_promise, unzstd
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.packing.quaternions import BOUND, drop_largest, restore_largest
from hgs_toolkit.exporters.splats.stored import (
    Floats,
    StoredSplats,
    logits_of_bytes,
    opacity_bytes,
    scene_of,
    splats_of,
)
from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]

FRAME = "y_up"
VERSION = 3

HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, count, SH degree, fractional bits, flags, and the number of streams (0 before version 4)."""

TABLE_START = struct.Struct("<I12x")
"""Offset of the table, which follows the header in version 4."""

STREAM = struct.Struct("<QQ")
"""Packed and unpacked size of a stream: one entry of the table."""

MAGIC = 0x5053474E
ANTIALIASED = 1

MAX_COUNT = 10_000_000
"""Greatest number of Gaussians that the reference program reads from versions 1 to 3."""

MAX_FRACTIONAL_BITS = 20
"""Fractional bits at most: a step of 2^-20 (1e-6), which every reader tried takes; float32 has no finer one at 8."""

MAX_FIXED = 2**23 - 1
"""Greatest fixed-point coordinate, in steps."""

MAX_DEGREE = 4
"""Greatest SH degree of a file; the harmonics of degree 4 are not kept."""

COLOUR_SCALE = 0.15 * 255
"""Steps of a colour byte for each unit of the constant coefficient, from 127.5: up to +-3.3, RGB -0.44 to 1.44."""

SH_STEPS = (8, 16)
"""Bytes to whose multiples harmonics of degree 1, and of higher degrees, are rounded, so that they pack well."""

MAGNITUDE = 511
"""Greatest 9-bit magnitude of a quaternion's component, which stands for sqrt(1/2)."""

XYZW = [1, 2, 3, 0]
"""Order of the file's components among wxyz."""

WXYZ = [3, 0, 1, 2]
"""Order of wxyz among the file's components."""


@dataclass(frozen=True)
class Header:
    """The first 16 bytes of a file.

    Attributes:
        version: 1 to 4.
        count: number of Gaussians.
        degree: degree of the spherical harmonics, 0 to 4.
        fractional_bits: bits after the binary point of positions; without meaning in version 1.
        flags: bit 0 is set if the scene was trained for antialiased rendering.
        streams: number of Zstandard streams in version 4.
    """

    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int
    streams: int

    @classmethod
    def parse(cls, data: bytes, versions: range) -> Header:
        """Read a header; raises a FormatError unless it is one of the ``versions``."""
        magic, version, *rest = HEADER.unpack(data)
        if magic != MAGIC:
            raise FormatError("it does not start with the letters NGSP; expected a .spz file")
        if version not in versions:
            expected = f"{versions[0]} to {versions[-1]} in this packing" if len(versions) > 1 else f"{versions[0]}"
            raise FormatError(f"its version is {version}; expected {expected}")
        header = cls(version, *rest)
        if header.degree > MAX_DEGREE or not 0 <= header.fractional_bits < 24:
            raise FormatError(
                f"it has SH degree {header.degree} and {header.fractional_bits} fractional bits; "
                f"expected at most {MAX_DEGREE} and 23"
            )
        return header

    @property
    def plane_bytes(self) -> list[int]:
        """Sizes in bytes of the planes: positions, alphas, colours, scales, rotations, harmonics."""
        position = 6 if self.version == 1 else 9
        rotation = 3 if self.version <= 2 else 4
        return [self.count * size for size in (position, 1, 3, 3, rotation, 3 * (sh_bases(self.degree) - 1))]


def write_spz(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene; values beyond the format's range are clamped and counted in the log.

    Raises:
        FormatError: if there are more Gaussians than readers take, or a coordinate is 2^22 or larger.
    """
    splats = splats_of(scene, options.frame or FRAME)
    if len(splats) > MAX_COUNT:
        raise FormatError(f"{len(splats)} Gaussians; .spz readers take at most {MAX_COUNT}, write .ply or .sog")
    bits = _fractional_bits(splats.means)
    header = HEADER.pack(MAGIC, VERSION, len(splats), splats.sh_degree, bits, 0, 0)
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # writes no date, so equal scenes give equal bytes
    with open(path, "wb") as file:
        for part in (
            header, _fixed24(splats.means, bits), opacity_bytes(splats.logits).tobytes(),
            _clamped(splats.sh[:, 0] * COLOUR_SCALE + 127.5, "colours"),
            _clamped((splats.log_scales + 10) * 16, "scales"), _pack_quats(splats.quats), _pack_harmonics(splats),
        ):  # fmt: skip
            file.write(packer.compress(part))
        file.write(packer.flush())


def read_spz(path: Path) -> GaussianHierarchy:
    """Read one scene of version 1 to 4.

    Raises:
        FormatError: if the file is truncated, is no .spz, has another version, or promises more than it holds.
    """
    data = path.read_bytes()
    try:
        header, planes = _planes4(data) if data.startswith(b"NGSP") else _planes(data)
        splats = _unpack(header, planes)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if header.flags & ANTIALIASED:
        logger.info("%s was made for antialiased rendering, which is not kept", path)
    if header.degree == MAX_DEGREE:
        logger.warning("%s has spherical harmonics of degree 4; those above degree 3 are not kept", path)
    return scene_of(path, splats, FRAME)


def _planes(data: bytes) -> tuple[Header, list[Bytes]]:
    """Header and planes of versions 1 to 3."""
    if not data.startswith(b"\x1f\x8b"):
        raise FormatError("it is neither a gzip stream nor NGSP; expected a .spz file")
    stream = Gunzip(data)
    header = Header.parse(stream.read(HEADER.size), range(1, 4))
    sizes = header.plane_bytes
    check_promise(sum(sizes), len(data))
    planes = [np.frombuffer(stream.read(size), np.uint8) for size in sizes]
    stream.finish()
    return header, planes


def _planes4(data: bytes) -> tuple[Header, list[Bytes]]:
    """Header and planes of version 4; the extensions between header and table are skipped."""
    if len(data) < HEADER.size + TABLE_START.size:
        raise FormatError(f"it is truncated: {len(data)} bytes")
    header = Header.parse(data[: HEADER.size], range(4, 5))
    (table,) = TABLE_START.unpack_from(data, HEADER.size)
    sizes = [size for size in header.plane_bytes if size]
    start = table + header.streams * STREAM.size
    if header.streams != len(sizes):
        raise FormatError(f"it has {header.streams} streams; expected {len(sizes)}")
    if start > len(data):
        raise FormatError(f"it is truncated: its table ends at byte {start}, the file at {len(data)}")
    check_promise(sum(sizes), len(data))
    planes = []
    for index, size in enumerate(sizes):
        packed, unpacked = STREAM.unpack_from(data, table + index * STREAM.size)
        if unpacked != size or packed > len(data) - start:
            raise FormatError(f"stream {index} promises {packed} bytes for {unpacked}; expected {size}, "
                              f"{len(data) - start} bytes follow")  # fmt: skip
        planes.append(np.frombuffer(unzstd(data[start : start + packed], size), np.uint8))
        start += packed
    return header, planes if len(planes) == 6 else [*planes, np.empty(0, np.uint8)]


def _unpack(header: Header, planes: list[Bytes]) -> StoredSplats:
    positions, alphas, colours, scales, rotations, harmonics = planes
    count, bases = header.count, min(sh_bases(header.degree), sh_bases(3))
    if header.version == 1:
        means = positions.view("<f2").reshape(count, 3).astype(np.float32)
    else:
        means = _from_fixed24(positions.reshape(count, 3, 3), header.fractional_bits)
    sh = np.empty((count, bases, 3), np.float32)
    sh[:, 0] = (colours.reshape(count, 3) - np.float32(127.5)) / np.float32(COLOUR_SCALE)
    sh[:, 1:] = harmonics.reshape(count, -1, 3)[:, : bases - 1] if bases > 1 else 0
    sh[:, 1:] -= 128
    sh[:, 1:] /= 128
    log_scales = (scales.reshape(count, 3) / 16 - 10).astype(np.float32)
    return StoredSplats(
        means=means,
        log_scales=log_scales,
        quats=_unpack_quats(rotations) if header.version >= 3 else _quats_of_xyz(rotations.reshape(count, 3)),
        sh=sh,
        logits=logits_of_bytes(alphas),
    )


def _fractional_bits(means: Floats) -> int:
    """The number of fractional bits that the largest coordinate leaves.

    Raises:
        FormatError: if it leaves none.
    """
    largest = float(np.abs(means).max(initial=0))
    bits = min(MAX_FRACTIONAL_BITS, math.floor(math.log2(MAX_FIXED / largest)) if largest > 0 else MAX_FRACTIONAL_BITS)
    if bits < 1:
        raise FormatError(f"a coordinate of {largest:.3g}; .spz files hold less than {2**22}, write .ply")
    return bits


def _fixed24(means: Floats, bits: int) -> bytes:
    fixed = np.round(means.astype(np.float64) * 2**bits).astype("<i4")  # (N, 3)
    return np.ascontiguousarray(fixed[..., None].view(np.uint8)[..., :3]).tobytes()


def _from_fixed24(positions: Bytes, bits: int) -> Floats:
    """Coordinates (N, 3) from little-endian bytes (N, 3, 3), which become the upper three of four to keep the sign."""
    words = np.zeros((*positions.shape[:2], 4), np.uint8)
    words[..., 1:] = positions
    fixed: NDArray[np.int32] = words.view("<i4")[..., 0]
    return (fixed / float(2 ** (bits + 8))).astype(np.float32)


def _clamped(values: NDArray[np.floating], what: str) -> bytes:
    """``values`` rounded to bytes; those that miss the range by more than its last step are counted in the log."""
    if beyond := int(((values < -1) | (values > 256)).sum()):
        logger.warning("%d of %d %s lie beyond the range of .spz files and were clamped", beyond, values.size, what)
    steps: Bytes = np.round(values).clip(0, 255).astype(np.uint8)
    return steps.tobytes()


def _pack_quats(quats: Floats) -> bytes:
    """Words whose top 2 bits say which of x y z w was dropped; sign and magnitude of the others follow in order."""
    largest, three = drop_largest(quats[:, XYZW])
    magnitude = np.round(np.abs(three) / BOUND * MAGNITUDE).clip(0, MAGNITUDE).astype(np.uint32)
    fields = magnitude | (three < 0).astype(np.uint32) << 9
    first, second, third = fields.T
    words: NDArray[np.uint32] = (largest.astype(np.uint32) << 30 | first << 20 | second << 10 | third).astype("<u4")
    return words.tobytes()


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


def _pack_harmonics(splats: StoredSplats) -> bytes:
    """Bytes of the higher coefficients (N, K - 1, 3) in steps of 1/128, rounded to multiples of SH_STEPS."""
    rest = splats.sh[:, 1:]
    steps = np.where(np.arange(rest.shape[1]) < 3, *SH_STEPS)[:, None]
    values = np.round((rest * 128 + 128) / steps) * steps
    return _clamped(values, "harmonics") if rest.size else b""
