# SPDX-License-Identifier: Apache-2.0
"""Stored values as the planes of an .spz of version 3 or 4, and a file of version 3 made of them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .quaternions import BOUND, drop_largest
from .spz_layout import COLOUR_SCALE, HEADER, MAGIC, MAGNITUDE, Bytes
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


class PackedPlanes(NamedTuple):
    """The planes of a file.

    Attributes:
        facts: the header's count, SH degree and fractional bits.
        planes: positions, alphas, colours, scales, rotations and harmonics.
        clamped: by what they are, how many values lay beyond the format's range and were clamped, of how many.
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
    clamped: dict[str, tuple[int, int]] = {}

    def as_bytes(values: NDArray[np.floating], what: str) -> bytes:
        # A miss of up to the range's last step is a matter of rounding.
        if beyond := int(((values < -1) | (values > 256)).sum()):
            clamped[what] = beyond, values.size
        steps: Bytes = np.round(values).clip(0, 255).astype(np.uint8)
        return steps.tobytes()

    bits = _fractional_bits(splats.means)
    rest = splats.sh[:, 1:]
    steps = np.where(np.arange(rest.shape[1]) < 3, *SH_STEPS)[:, None]
    planes = [
        _fixed24(splats.means, bits), opacity_bytes(splats.logits).tobytes(),
        as_bytes(splats.sh[:, 0] * COLOUR_SCALE + 127.5, "colours"),
        as_bytes((splats.log_scales + 10) * 16, "scales"), _pack_quats(splats.quats),
        as_bytes(np.round((rest * 128 + 128) / steps) * steps, "harmonics") if rest.size else b"",
    ]  # fmt: skip
    return PackedPlanes((count, math.isqrt(bases) - 1, bits), planes, clamped)


def pack_gzip(facts: tuple[int, int, int], flags: int, planes: Sequence[bytes]) -> list[bytes]:
    """A file of version 3, in parts: the header and the planes in one gzip stream."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # writes no date, so equal scenes give equal bytes
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
    fixed = np.round(means.astype(np.float64) * 2**bits).astype("<i4")  # (N, 3)
    return np.ascontiguousarray(fixed[..., None].view(np.uint8)[..., :3]).tobytes()


def _pack_quats(quats: Floats) -> bytes:
    """Words whose top 2 bits say which of x y z w was dropped; sign and magnitude of the others follow in order."""
    largest, three = drop_largest(quats[:, XYZW])
    magnitude = np.round(np.abs(three) / BOUND * MAGNITUDE).clip(0, MAGNITUDE).astype(np.uint32)
    fields = magnitude | (three < 0).astype(np.uint32) << 9
    first, second, third = fields.T
    words: NDArray[np.uint32] = (largest.astype(np.uint32) << 30 | first << 20 | second << 10 | third).astype("<u4")
    return words.tobytes()
