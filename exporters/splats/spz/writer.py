"""The writer of .spz, version 3 or 4.

Version 3, which every reader that was tried opens, is the default. Version 4 also declares the axes. The axes are RUB,
which is ``y_up``, unless the option ``frame`` names another frame.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.packing.quaternions import BOUND, drop_largest
from hgs_toolkit.exporters.splats.spz.axes import FRAME, axes_record
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats, opacity_bytes, splats_of
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing.spz_layout import (
    ANTIALIASED,
    COLOUR_SCALE,
    EXTENDED,
    HEADER,
    MAGIC,
    MAGNITUDE,
    STREAM,
    TABLE_START,
    Bytes,
)

logger = logging.getLogger(__name__)

VERSIONS = (3, 4)
"""Versions that are written, the default first."""

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

ZSTD_LEVEL = 12
"""Effort of the compressor; higher levels take far longer for a few per cent."""


def write_spz(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene; values beyond the format's range are clamped and counted in the log.

    Raises:
        FormatError: if there are more Gaussians than readers take, a coordinate is 2^22 or larger, or no such version
            is written.
    """
    if options.spz_version not in VERSIONS:
        raise FormatError(f"version {options.spz_version} of .spz is not written; expected 3 or 4")
    frame = options.frame or FRAME
    splats = splats_of(scene, frame)
    if len(splats) > MAX_COUNT:
        raise FormatError(f"{len(splats)} Gaussians; .spz readers take at most {MAX_COUNT}, write .ply or .sog")
    bits = _fractional_bits(splats.means)
    planes = [
        _fixed24(splats.means, bits), opacity_bytes(splats.logits).tobytes(),
        _clamped(splats.sh[:, 0] * COLOUR_SCALE + 127.5, "colours"), _clamped((splats.log_scales + 10) * 16, "scales"),
        _pack_quats(splats.quats), _pack_harmonics(splats),
    ]  # fmt: skip
    flags = ANTIALIASED if options.metadata and options.metadata.antialiased else 0
    facts = (len(splats), splats.sh_degree, bits)
    with open(path, "wb") as file:
        file.writelines(_packed(facts, flags, planes) if options.spz_version == 3 else
                        _streams(facts, flags, planes, axes_record(frame)))  # fmt: skip


def _packed(facts: tuple[int, int, int], flags: int, planes: Sequence[bytes]) -> list[bytes]:
    """Version 3: the header and the planes in one gzip stream, of which ``facts`` are count, SH degree and bits."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # writes no date, so equal scenes give equal bytes
    header = HEADER.pack(MAGIC, 3, *facts, flags, 0)
    return [*(packer.compress(part) for part in (header, *planes)), packer.flush()]


def _streams(facts: tuple[int, int, int], flags: int, planes: Sequence[bytes], extension: bytes) -> list[bytes]:
    """Version 4: the header, an extension, the table of sizes and a stream for each plane that is not empty."""
    filled = [plane for plane in planes if plane]
    packed = [zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plane) for plane in filled]
    table = HEADER.size + TABLE_START.size + len(extension)
    sizes = [STREAM.pack(len(small), len(plane)) for small, plane in zip(packed, filled, strict=True)]
    header = HEADER.pack(MAGIC, 4, *facts, flags | EXTENDED, len(filled)) + TABLE_START.pack(table)
    return [header, extension, *sizes, *packed]


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


def _pack_harmonics(splats: StoredSplats) -> bytes:
    """Bytes of the higher coefficients (N, K - 1, 3) in steps of 1/128, rounded to multiples of SH_STEPS."""
    rest = splats.sh[:, 1:]
    steps = np.where(np.arange(rest.shape[1]) < 3, *SH_STEPS)[:, None]
    values = np.round((rest * 128 + 128) / steps) * steps
    return _clamped(values, "harmonics") if rest.size else b""
