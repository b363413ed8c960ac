# SPDX-License-Identifier: Apache-2.0
"""Stored values as the planes of an .spz of version 3 or 4, and a file of version 3 made of them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from .quaternions import BLOCK, BOUND, drop_largest
from .spz_layout import COLOUR_SCALE, HEADER, MAGIC, MAGNITUDE
from .stored import Floats, ParsedSplats, ParseError, opacity_bytes

MAX_COUNT = 10_000_000
"""Greatest number of Gaussians that the reference program reads from versions 1 to 3."""

MAX_FRACTIONAL_BITS = 20
"""Fractional bits at most: a step of 2^-20 (1e-6), which every reader tried takes; float32 has no finer one at 8."""

MAX_FIXED = 2**23 - 1
"""Greatest fixed-point coordinate, in steps."""

SH_STEPS = (8, 16)
"""Bytes to whose multiples harmonics of degree 1, and of higher degrees, are rounded, so that they pack well."""

XYZW = [1, 2, 3, 0]
"""Order of the file's components among wxyz."""


GZIP = 16 + zlib.MAX_WBITS
"""``wbits`` of a packer that writes a gzip stream."""


class Packer(Protocol):
    """What packs a stream piece by piece, as ``zlib.compressobj`` does."""

    def compress(self, data: bytes, /) -> bytes:
        """The bytes of the stream that ``data`` complete."""

    def flush(self) -> bytes:
        """The rest of the stream."""


class PackedPlanes(NamedTuple):
    """The planes of a file.

    Attributes:
        facts: the header's count, SH degree and fractional bits.
        planes: positions, alphas, colours, scales, rotations and harmonics.
        clamped: by what they are, how many values lay beyond the format's range and were clamped (0 of most files), and
            of how many.
    """

    facts: tuple[int, int, int]
    planes: list[bytes]
    clamped: dict[str, tuple[int, int]]


def pack_planes(splats: ParsedSplats) -> PackedPlanes:
    """Pack stored values; quaternions must be of unit length and logits finite.

    Raises:
        ParseError: if there are more Gaussians than readers take, or a coordinate is 2^22 or larger.
    """
    count, bases = splats.sh.shape[:2]
    if count > MAX_COUNT:
        raise ParseError(f"{count} Gaussians; .spz readers take at most {MAX_COUNT}, write .ply")
    bits = _fractional_bits(splats.means)
    rest = splats.sh[:, 1:]
    steps = np.where(np.arange(rest.shape[1]) < 3, *SH_STEPS).astype(np.float32)[:, None]
    values: dict[str, Callable[[slice], Floats]] = {
        "colours": lambda rows: splats.sh[rows, 0] * np.float32(COLOUR_SCALE) + np.float32(127.5),
        "scales": lambda rows: (splats.log_scales[rows] + 10) * 16,
        "harmonics": lambda rows: np.rint((rest[rows] * 128 + 128) / steps) * steps,
    }
    sizes = {"colours": 3 * count, "scales": 3 * count, "harmonics": rest.size}
    packed = {what: _as_bytes(values[what], count, size) for what, size in sizes.items()}
    planes = [
        _fixed24(splats.means, bits), opacity_bytes(splats.logits).tobytes(), packed["colours"][0],
        packed["scales"][0], _pack_quats(splats.quats), packed["harmonics"][0],
    ]  # fmt: skip
    clamped = {what: (beyond, sizes[what]) for what, (_, beyond) in packed.items()}
    return PackedPlanes((count, math.isqrt(bases) - 1, bits), planes, clamped)


def _as_bytes(values: Callable[[slice], Floats], count: int, size: int) -> tuple[bytes, int]:
    """The values of ``count`` rows, ``size`` in all, rounded to bytes, and how many of them were clamped.

    Blocks of rows that a processor's cache holds are made one at a time.
    """
    result, beyond, width = np.empty(size, np.uint8), 0, size // max(count, 1)
    for start in range(0, count if size else 0, BLOCK):
        block = values(slice(start, start + BLOCK)).reshape(-1)
        # A miss of up to the range's last step is a matter of rounding.
        if block.min() < -1 or block.max() > 256:
            beyond += int(((block < -1) | (block > 256)).sum())
        result[start * width : start * width + len(block)] = np.minimum(np.maximum(np.rint(block), 0), 255)
    return result.tobytes(), beyond


def pack_gzip(
    facts: tuple[int, int, int], flags: int, planes: Sequence[bytes], packer: Packer | None = None
) -> list[bytes]:
    """A file of version 3, in parts: the header and the planes in one gzip stream.

    Args:
        facts: the header's count, SH degree and fractional bits.
        flags: the header's flags.
        planes: the contents.
        packer: makes the gzip stream, without a date in it; by default Python's own zlib.
    """
    packer = packer or zlib.compressobj(wbits=GZIP)  # writes no date, so equal scenes give equal bytes
    header = HEADER.pack(MAGIC, 3, *facts, flags, 0)
    return [*(packer.compress(part) for part in (header, *planes)), packer.flush()]


def _fractional_bits(means: Floats) -> int:
    """The number of fractional bits that the largest coordinate leaves; a ParseError if it leaves none."""
    largest = float(np.abs(means).max(initial=0))
    bits = min(MAX_FRACTIONAL_BITS, math.floor(math.log2(MAX_FIXED / largest)) if largest > 0 else MAX_FRACTIONAL_BITS)
    if bits < 1:
        raise ParseError(f"a coordinate of {largest:.3g}; .spz files hold less than {2**22}, write .ply")
    return bits


def _fixed24(means: Floats, bits: int) -> bytes:
    # Exact in single precision: a power of two changes the exponent alone, and 24 bits hold what is left.
    fixed = np.rint(means * np.float32(2**bits)).astype("<i4")  # (N, 3)
    return np.ascontiguousarray(fixed[..., None].view(np.uint8)[..., :3]).tobytes()


def _pack_quats(quats: Floats) -> bytes:
    """Words whose top 2 bits say which of x y z w was dropped; sign and magnitude of the others follow in order."""
    words = np.empty(len(quats), "<u4")
    for start in range(0, len(quats), BLOCK):
        rows = slice(start, start + BLOCK)
        largest, three = drop_largest(quats[rows, XYZW])
        magnitude = np.minimum(np.rint(np.abs(three) / BOUND * MAGNITUDE), MAGNITUDE).astype(np.uint32)
        first, second, third = (magnitude | (three < 0).astype(np.uint32) << 9).T
        words[rows] = largest.astype(np.uint32) << 30 | first << 20 | second << 10 | third
    return words.tobytes()
