# SPDX-License-Identifier: Apache-2.0
"""The header and the planes of an .spz, of every version.

A header of 16 bytes (magic, version, count, SH degree, fractional bits, flags) is followed by one plane each for
positions (fixed point, 24 bits), alphas, colours, scales, rotations and higher harmonics (coefficient-major, RGB
fastest), whose values are bytes but for positions and rotations. In versions 1 to 3, gzip packs the whole. Version 1
has half-precision positions. Versions 1 and 2 have the quaternion's x y z in a byte each; 3 and 4 have the three
smaller components of x y z w (a sign and 9 bits each) and 2 bits that say which one was dropped. Version 4 has a plain
header of 32 bytes, extensions, a table of sizes and one Zstandard stream for each plane.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .stored import ParseError

Bytes = NDArray[np.uint8]

HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, count, SH degree, fractional bits, flags, and the number of streams (0 before version 4)."""

TABLE_START = struct.Struct("<I12x")
"""Offset of the table, which follows the header in version 4."""

STREAM = struct.Struct("<QQ")
"""Packed and unpacked size of a stream: one entry of the table."""

MAGIC = 0x5053474E
ANTIALIASED, EXTENDED = 1, 2
"""Flags: the scene was trained for antialiased rendering; extensions are in the file."""

MAX_DEGREE = 4
"""Greatest SH degree of a file; the harmonics of degree 4 are not kept."""

COLOUR_SCALE = 0.15 * 255
"""Steps of a colour byte for each unit of the constant coefficient, from 127.5: up to +-3.3, RGB -0.44 to 1.44."""

MAGNITUDE = 511
"""Greatest 9-bit magnitude of a quaternion's component, which stands for sqrt(1/2)."""

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
        flags: ANTIALIASED and EXTENDED.
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
        """Read a header; raises a ParseError unless it is one of the ``versions``."""
        magic, version, *rest = HEADER.unpack(data)
        if magic != MAGIC:
            raise ParseError("it does not start with the letters NGSP; expected a .spz file")
        if version not in versions:
            expected = f"{versions[0]} to {versions[-1]} in this packing" if len(versions) > 1 else f"{versions[0]}"
            raise ParseError(f"its version is {version}; expected {expected}")
        header = cls(version, *rest)
        if header.degree > MAX_DEGREE or not 0 <= header.fractional_bits < 24:
            raise ParseError(
                f"it has SH degree {header.degree} and {header.fractional_bits} fractional bits; "
                f"expected at most {MAX_DEGREE} and 23"
            )
        return header

    @property
    def plane_bytes(self) -> list[int]:
        """Sizes in bytes of the planes: positions, alphas, colours, scales, rotations, harmonics."""
        position = 6 if self.version == 1 else 9
        rotation = 3 if self.version <= 2 else 4
        return [self.count * size for size in (position, 1, 3, 3, rotation, 3 * ((self.degree + 1) ** 2 - 1))]
