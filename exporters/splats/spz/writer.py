"""The writer of .spz, version 3 or 4.

Version 3, which every reader that was tried opens, is the default. Version 4 also declares the axes. The axes are RUB,
which is ``y_up``, unless the option ``frame`` names another frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from isal import isal_zlib

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.spz.axes import FRAME, axes_record
from hgs_toolkit.exporters.splats.stored import StoredSplats, splats_of, tell_clamped
from hgs_toolkit.parsing.spz_layout import ANTIALIASED, EXTENDED, HEADER, MAGIC, STREAM, TABLE_START
from hgs_toolkit.parsing.spz_packing import GZIP, pack_gzip, pack_planes
from hgs_toolkit.parsing.stored import ParsedSplats, ParseError

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

SUFFIX = ".spz"

VERSIONS = (3, 4)
"""Versions that are written, the default first."""

DEFLATE_LEVEL = 2
"""Effort of ISA-L: a tenth of zlib's time for at most 5 % more bytes of real scenes, and fewer of random ones."""

ZSTD_LEVEL = 12
"""Effort of the compressor; higher levels take far longer for a few per cent."""


def write_spz(path: Path, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> None:
    """Write one scene; values beyond the format's range are clamped and counted in the log.

    Raises:
        FormatError: as :func:`pack_spz` does.
    """
    packed = pack_spz(scene, options)
    for what, (beyond, size) in packed.clamped.items():
        tell_clamped(beyond, size, what, SUFFIX)
    with open(path, "wb") as file:
        file.writelines(packed.parts)


class PackedSpz(NamedTuple):
    """The bytes of an .spz, in parts, and how many values were clamped, as PackedPlanes counts them."""

    parts: list[bytes]
    clamped: dict[str, tuple[int, int]]


def pack_spz(scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> PackedSpz:
    """Pack one scene; values beyond the format's range are clamped.

    Raises:
        FormatError: if there are more Gaussians than readers take, a coordinate is 2^22 or larger, or no such version
            is written.
    """
    if options.spz_version not in VERSIONS:
        raise FormatError(f"version {options.spz_version} of .spz is not written; expected 3 or 4")
    frame = options.frame or FRAME
    try:
        facts, planes, clamped = pack_planes(ParsedSplats(*splats_of(scene, frame).parts))
    except ParseError as error:
        raise FormatError(str(error)) from error
    flags = ANTIALIASED if options.antialiased else 0
    if options.spz_version == 3:
        parts = pack_gzip(facts, flags, planes, isal_zlib.compressobj(level=DEFLATE_LEVEL, wbits=GZIP))
    else:
        parts = _streams(facts, flags, planes, axes_record(frame))
    return PackedSpz(parts, clamped)


def _streams(facts: tuple[int, int, int], flags: int, planes: Sequence[bytes], extension: bytes) -> list[bytes]:
    """Version 4: the header, an extension, the table of sizes and a stream for each plane that is not empty."""
    filled = [plane for plane in planes if plane]
    packed = [zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plane) for plane in filled]
    table = HEADER.size + TABLE_START.size + len(extension)
    sizes = [STREAM.pack(len(small), len(plane)) for small, plane in zip(packed, filled, strict=True)]
    header = HEADER.pack(MAGIC, 4, *facts, flags | EXTENDED, len(filled)) + TABLE_START.pack(table)
    return [header, extension, *sizes, *packed]
