"""The reader of .rad files of this toolkit and of Spark's own tools; the layout is described in the writer.

The leaves are read, which are the Gaussians of the scene. The inner nodes, which stand for the leaves below them, are
left out, and one line of the log says so.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, SH_C0, sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import check_promise, is_count
from hgs_toolkit.exporters.splats.offsets import parse_offset
from hgs_toolkit.exporters.splats.rad.encodings import BYTES, Bounds, bytes_a_value, decoded, rotations
from hgs_toolkit.exporters.splats.rad.writer import (
    ALIGNMENT,
    CHUNK_MAGIC,
    FILE_MAGIC,
    FRAME,
    FRAME_COMMENT,
    MAX_NODES,
    OFFSET_COMMENT,
    RAW_DEFLATE,
    VERSION,
)
from hgs_toolkit.exporters.splats.reading import NO_OFFSET, Reading, reading_of
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats

logger = logging.getLogger(__name__)

WIDTHS = {
    "center": 3, "alpha": 1, "rgb": 3, "scales": 3, "orientation": 3, "child_count": 1, "sh1": 9, "sh2": 15, "sh3": 21,
}  # fmt: skip
"""Numbers of one Gaussian in each property that is read."""

REQUIRED = ("center", "alpha", "rgb", "scales", "orientation")
"""Properties that every chunk has; their sizes bound the number of nodes."""

LARGEST = float(np.finfo(np.float32).max)
"""Greatest bound of a property."""

MAX_HEADER = 2**26
"""Greatest size of a JSON header in bytes; the file's header has 30 bytes for each chunk of 65,536 Gaussians."""

Json = dict[str, Any]


def read_rad(path: Path) -> Reading:
    """Read the Gaussians of a tree in the order of the file, without its merged nodes, as a flat scene.

    Raises:
        FormatError: if the file is truncated, sizes contradict each other, a property is missing or in an unknown
            encoding, or the chunks are files of their own.
    """
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            header = _described(file, FILE_MAGIC, size)
            degree, start = _checked(header), file.tell()
            chunks = [_chunk(file, start, entry, size) for entry in _ranges(header, size - start)]
        if (total := sum(chunk.count for chunk in chunks)) != header["count"]:
            raise FormatError(f"its chunks hold {total} Gaussians; {header['count']} promised")
        check_promise(sum(chunk.promised for chunk in chunks), size)
        with np.errstate(all="ignore"):  # values that are not finite are counted later
            parts = [chunk.leaves(degree) for chunk in chunks]
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    splats = StoredSplats(*(np.concatenate(columns) for columns in zip(*(part.parts for part in parts), strict=True)))
    if merged := total - len(splats):
        logger.info("%s: %d Gaussians read; %d nodes that stand for several were left out", path, len(splats), merged)
    comment = str(header.get("comment", ""))
    frame, offset = FRAME_COMMENT.search(comment), OFFSET_COMMENT.search(comment)
    stated = parse_offset(offset[1]) if offset else NO_OFFSET
    return reading_of(path, splats, frame[1] if frame else FRAME, offset=stated)


@dataclass(frozen=True)
class _Property:
    """A property as it lies in the file."""

    data: bytes
    encoding: str
    deflated: bool
    bounds: Bounds


@dataclass(frozen=True)
class _Chunk:
    """The nodes of one chunk, not unpacked yet."""

    count: int
    properties: Mapping[str, _Property]

    @property
    def promised(self) -> int:
        """The number of bytes that its properties unpack to."""
        return sum(self._length(name) for name in self.properties)

    def leaves(self, degree: int) -> StoredSplats:
        """The nodes that have no children, which are the Gaussians of the scene.

        Raises:
            FormatError: if a property is missing, before anything is allocated, or its values are broken.
        """
        for name in (*REQUIRED, *(f"sh{l_}" for l_ in range(1, degree + 1))):
            self._property(name)
        rows = np.ones(self.count, bool)
        if "child_count" in self.properties:  # a file without tree has none
            rows = self._values("child_count")[:, 0] == 0
        scales = self._values("scales")[rows].astype(np.float32)
        if not self.properties["scales"].encoding.startswith("ln_"):
            scales = np.log(scales)
        sh = [(self._values("rgb")[rows].astype(np.float32) - np.float32(0.5)) / np.float32(SH_C0)]
        sh += [self._values(f"sh{l_}")[rows].astype(np.float32) for l_ in range(1, degree + 1)]
        return StoredSplats(
            means=self._values("center")[rows].astype(np.float32),
            # Some programs write flat Gaussians with a size of 0; the smallest normal number has a finite logarithm.
            log_scales=np.where(np.isneginf(scales), np.log(np.finfo(np.float32).tiny), scales),
            quats=rotations(self._property("orientation").encoding, self._raw("orientation"), self.count)[rows],
            sh=np.concatenate(sh, axis=1).reshape(-1, sh_bases(degree), 3),
            logits=_logits(self._values("alpha")[rows, 0].astype(np.float32)),
        )

    def _values(self, name: str) -> NDArray[Any]:
        found = self._property(name)
        return decoded(found.encoding, self._raw(name), self.count, found.bounds)

    def _property(self, name: str) -> _Property:
        if name not in self.properties:
            raise FormatError(f"it lacks the property '{name}'")
        found = self.properties[name]
        meant = {"ln": "scales", "oct88r8": "orientation"}.get(found.encoding.split("_")[0], name)
        if name != meant:
            raise FormatError(f"its property '{name}' is encoded as '{found.encoding}', which is for {meant}")
        return found

    def _length(self, name: str) -> int:
        return self.count * WIDTHS[name] * bytes_a_value(self.properties[name].encoding)

    def _raw(self, name: str) -> bytes:
        """The unpacked bytes of a property, whose number must fit that of the nodes."""
        found, length = self._property(name), self._length(name)
        data = found.data
        if found.deflated:
            try:
                data = zlib.decompressobj(RAW_DEFLATE).decompress(data, length + 1)  # one more shows an excess
            except zlib.error as error:
                raise FormatError(f"its property '{name}' is broken: {error}") from error
        if len(data) != length:
            amount = "more" if len(data) > length else "fewer"
            raise FormatError(f"its property '{name}' has {amount} than the {length} bytes of {self.count} nodes")
        return data


def _described(file: BinaryIO, magic: bytes, end: int) -> Json:
    """Read a JSON header after its magic number and length, ending before ``end``; ``file`` is then behind it."""
    start = file.read(8)
    if start[:4] != magic or len(start) < 8:
        raise FormatError(f"it has no {magic.decode()} where one is expected; it is truncated or no .rad file")
    (length,) = struct.unpack("<I", start[4:])
    if length > min(end - file.tell(), MAX_HEADER):
        raise FormatError(f"a header of {length} bytes is promised, {end - file.tell()} follow")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a header is no JSON: {error}") from error
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise FormatError(f"a header is not of version {VERSION}")
    file.seek(-length % ALIGNMENT, 1)
    return header


def _checked(header: Json) -> int:
    """The degree of the harmonics that can be read; raises a FormatError if the header contradicts the format."""
    degree = header.get("maxSh", 0)
    if header.get("type") != "gsplat" or not is_count(header.get("count"), 1, MAX_NODES) or not is_count(degree, 0, 3):
        raise FormatError(f"its header says {header.get('count')!r} nodes of type {header.get('type')!r} and SH degree "
                          f"{degree!r}; expected 'gsplat', 1 or more, and 0 to 3")  # fmt: skip
    if degree and header.get("shCodeCount"):
        logger.warning("harmonics by a common table cannot be read; the colours are those of degree 0")
        return 0
    return degree


def _ranges(header: Json, following: int) -> list[tuple[int, int]]:
    """Offset and length of each chunk; raises a FormatError unless all fit into the bytes that follow the header."""
    entries = header.get("chunks")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError("its header has no list of chunks")
    if any(entry.get("filename") for entry in entries):
        raise FormatError("its chunks are files of their own; expected a .rad that holds them")
    ranges = [(entry.get("offset"), entry.get("bytes")) for entry in entries]
    if not all(is_count(offset, 0, following) and is_count(length, 1, following - offset) for offset, length in ranges):
        raise FormatError(f"a chunk lies beyond the {following} bytes that follow the header; it is truncated")
    if sum(length for _, length in ranges) > following:
        raise FormatError("its chunks overlap")
    return ranges


def _chunk(file: BinaryIO, start: int, span: tuple[int, int], size: int) -> _Chunk:
    """The chunk whose offset from ``start`` and length are ``span``."""
    file.seek(start + span[0])
    end = start + sum(span)
    header = _described(file, CHUNK_MAGIC, end)
    payload = file.tell() + 8  # behind its length, which follows from the properties
    count, entries = header.get("count"), header.get("properties")
    if not is_count(count, 1, MAX_NODES) or not isinstance(entries, list):
        raise FormatError(f"a chunk says it has {count!r} nodes; expected 1 or more and a list of properties")
    properties: dict[str, _Property] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("encoding"), str):
            raise FormatError("a property of a chunk has no encoding")
        if isinstance(name := entry.get("property"), str) and name in WIDTHS:
            properties[name] = _property(file, payload, end, entry)
    chunk = _Chunk(count, properties)
    check_promise(chunk.promised, size)
    return chunk


def _property(file: BinaryIO, payload: int, end: int, entry: Json) -> _Property:
    offset, length, encoding = entry.get("offset"), entry.get("bytes"), entry["encoding"]
    space = max(end - payload, 0)
    if not is_count(offset, 0, space) or not is_count(length, 0, space - offset):
        raise FormatError(f"the property '{entry['property']}' lies beyond its chunk; it is truncated")
    bounds: Any = (entry.get("min", 0.0), entry.get("max")) if encoding in BYTES else (0.0, 1.0)
    if not all(isinstance(bound, int | float) and abs(bound) < LARGEST for bound in bounds):
        raise FormatError(f"the property '{entry['property']}' has the bounds {bounds}; expected two numbers")
    if (compression := entry.get("compression")) not in (None, "gz"):
        raise FormatError(f"the property '{entry['property']}' is compressed by {compression!r}; expected 'gz' or none")
    file.seek(payload + offset)
    return _Property(file.read(length), encoding, compression == "gz", bounds)


def _logits(alphas: Floats) -> Floats:
    """The logits of opacities, within +-MAX_OPACITY_LOGIT; NaN for an opacity that is not finite."""
    opacities = np.where(np.isfinite(alphas), alphas.clip(0, 1), np.float32(np.nan))
    logits: Floats = np.log(opacities) - np.log1p(-opacities)
    return logits.clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
