"""The reader of .ksplat, the format of the web viewer GaussianSplats3D, in all its compression levels.

After a header of 4096 bytes and one of 1024 for each section follow the sections. A section holds buckets of
neighbours, whose centres are floats, and rows of Gaussians. Level 0 has floats. Levels 1 and 2 have positions of 16
bits relative to the centre of the bucket, half floats for sizes and rotations, and harmonics as half floats (1) or
bytes (2).
Colour and opacity are four bytes. Within a degree, harmonics are channel-major. The frame is that of the .ply, unless
``frame`` names another.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import check_promise
from hgs_toolkit.exporters.splats.reading import Doubles, Reading, reading_of
from hgs_toolkit.exporters.splats.stored import Floats, StoredSplats, logits_of_bytes
from hgs_toolkit.parsing.stored import SH_C0

FRAME = "rdf"

HEADER_BYTES, SECTION_BYTES = 4096, 1024

HEADER = struct.Struct("<BBxxIIIIHxx12xff")
"""Version (two bytes), sections with room and in use, Gaussians with room and in use, compression level, and the least
and greatest harmonic of level 2."""

SECTION = struct.Struct("<IIIIfHxxIIIIH")
"""Gaussians in use and with room, Gaussians of a full bucket, buckets, side of a bucket, bytes of a bucket, half the
number of steps across a bucket, bytes, full and partly filled buckets, SH degree."""

KINDS = (("<f4", "<f4"), ("<f2", "<f2"), ("<f2", "u1"))
"""NumPy types of sizes and rotations, and of harmonics, by the compression level."""

STEPS = 32767
"""Half the number of steps across a bucket where the section does not say."""

SH_BOUND = 1.5
"""Magnitude of harmonics up to which bytes reach where the header does not say."""

MAX_SECTIONS = 10_000
"""Greatest number of sections that is read; programs write one."""

BYTES_PER_GAUSSIAN = 4 * 14
"""Bytes of one Gaussian in memory, without higher harmonics."""


@dataclass(frozen=True)
class Header:
    """What the file states for all its sections.

    Attributes:
        sections: number of section headers.
        level: compression level, 0 to 2.
        bounds: least and greatest harmonic of level 2.
    """

    sections: int
    level: int
    bounds: tuple[float, float]

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the header at the start of ``data``; raises a FormatError unless it is one of a known version."""
        if len(data) < HEADER_BYTES:
            raise FormatError(f"it has {len(data)} bytes; the header of a .ksplat alone has {HEADER_BYTES}")
        major, minor, sections, _, _, _, level, low, high = HEADER.unpack_from(data)
        if major != 0 or minor < 1 or level >= len(KINDS):
            raise FormatError(f"it is version {major}.{minor} of compression level {level}; expected 0.1 and 0 to 2")
        room = (len(data) - HEADER_BYTES) // SECTION_BYTES
        if not 1 <= sections <= min(room, MAX_SECTIONS):
            raise FormatError(f"it promises {sections} sections; its size allows 1 to {min(room, MAX_SECTIONS)}")
        return cls(sections, level, (low or -SH_BOUND, high or SH_BOUND))


@dataclass(frozen=True)
class Section:
    """The first byte of a section's data, and what its header states, in the header's order."""

    start: int
    count: int
    room: int
    bucket_size: int
    buckets: int
    side: float
    bucket_bytes: int
    steps: int
    size: int
    full: int
    partial: int
    degree: int

    def check(self, available: int, row: int) -> int:
        """The end of the section's data; raises a FormatError if that is beyond ``available``, or counts disagree."""
        end = self.start + 4 * self.partial + self.bucket_bytes * self.buckets + row * self.room
        if self.degree > 3 or self.count > self.room or self.full + self.partial > self.buckets:
            raise FormatError(
                f"a section has {self.count} Gaussians of SH degree {self.degree}, room for {self.room}, and "
                f"{self.full} full and {self.partial} other ones of {self.buckets} buckets"
            )
        if end > available:
            raise FormatError(f"it is truncated: a section ends at byte {end}, the file at {available}")
        if self.buckets and self.bucket_bytes < 12:
            raise FormatError(f"a bucket has {self.bucket_bytes} bytes; expected 12 or more")
        return end


def read_ksplat(path: Path) -> Reading:
    """Read one scene.

    Raises:
        FormatError: if the file is truncated, is no .ksplat, or its sizes contradict each other.
    """
    data = path.read_bytes()
    try:
        header = Header.parse(data)
        sections = _sections(data, header)
        degree = max((section.degree for section in sections), default=0)
        total = sum(section.count for section in sections)
        check_promise(total * (BYTES_PER_GAUSSIAN + 12 * sh_bases(degree)), len(data))
        splats, means, done = StoredSplats.empty(total, sh_bases(degree)), np.empty((total, 3)), 0
        splats.sh[:] = 0
        for section in sections:
            rows = slice(done, done + section.count)
            with np.errstate(all="ignore"):  # values that are not finite are counted later
                means[rows] = _unpack(data, header, section, StoredSplats(*(part[rows] for part in splats.parts)))
            done += section.count
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    return reading_of(path, splats, FRAME, means)


def _row_type(level: int, degree: int) -> np.dtype[Any]:
    """The type of a row."""
    number, harmonic = KINDS[level]
    return np.dtype([
        ("means", "<f4" if level == 0 else "<u2", 3), ("scales", number, 3), ("quats", number, 4), ("rgba", "u1", 4),
        ("sh", harmonic, 3 * (sh_bases(degree) - 1)),
    ])  # fmt: skip


def _sections(data: bytes, header: Header) -> list[Section]:
    """The sections that hold Gaussians, whose bounds lie in the file."""
    start = HEADER_BYTES + SECTION_BYTES * header.sections
    found = []
    for index in range(header.sections):
        section = Section(start, *SECTION.unpack_from(data, HEADER_BYTES + SECTION_BYTES * index))
        start = section.check(len(data), _row_type(header.level, min(section.degree, 3)).itemsize)
        if section.count:
            found.append(section)
    return found


def _unpack(data: bytes, header: Header, section: Section, target: StoredSplats) -> Doubles:
    """Fill ``target`` with the rows of a section; returns the centres (N, 3)."""
    first = section.start + 4 * section.partial + section.bucket_bytes * section.buckets
    rows = np.frombuffer(data, _row_type(header.level, section.degree), section.count, first)
    scales = rows["scales"].astype(np.float32)
    if bool((scales < 0).any()):
        raise FormatError("it has a negative standard deviation")
    target.log_scales[:] = np.log(np.maximum(scales, np.finfo(np.float32).tiny))
    target.quats[:] = rows["quats"]
    target.sh[:, 0] = (rows["rgba"][:, :3] / np.float32(255) - np.float32(0.5)) / np.float32(SH_C0)
    target.logits[:] = logits_of_bytes(rows["rgba"][:, 3])
    _put_harmonics(rows["sh"], header, section.degree, target.sh)
    if header.level == 0:
        return rows["means"].astype(np.float64)
    step = section.side / 2 / (section.steps or STEPS)
    means: Doubles = (rows["means"].astype(np.float64) - (section.steps or STEPS)) * step + _centres(data, section)
    return means


def _centres(data: bytes, section: Section) -> Doubles:
    """The centre (N, 3) of each Gaussian's bucket: first the full buckets in turn, then those partly filled."""
    sizes = np.frombuffer(data, "<u4", section.partial, section.start).astype(np.int64)
    filled = np.concatenate([np.full(section.full, section.bucket_size, np.int64), sizes])
    if (section.full and section.bucket_size > section.count) or bool((filled > section.count).any()):
        raise FormatError(f"a bucket has more than the {section.count} Gaussians of its section")
    ends = np.cumsum(filled)
    if not len(ends) or ends[-1] < section.count:
        raise FormatError(f"its buckets hold {ends[-1] if len(ends) else 0} of the {section.count} Gaussians")
    raw = np.frombuffer(data, np.uint8, section.bucket_bytes * section.buckets, section.start + 4 * section.partial)
    centres = np.ascontiguousarray(raw.reshape(section.buckets, section.bucket_bytes)[:, :12]).view("<f4")  # (B, 3)
    index = np.searchsorted(ends, np.arange(section.count), side="right")
    return centres[index].astype(np.float64)


def _put_harmonics(values: NDArray[Any], header: Header, degree: int, sh: Floats) -> None:
    """Fill ``sh`` (N, K, 3) with the higher coefficients (N, 3 (K' - 1)) of a section."""
    numbers = values.astype(np.float32)
    if header.level == 2:
        low, high = (np.float32(bound) for bound in header.bounds)
        numbers = low + numbers / np.float32(255) * (high - low)
    done = 0
    for l_ in range(1, degree + 1):
        width = 2 * l_ + 1
        part = numbers[:, done : done + 3 * width].reshape(-1, 3, width)  # channel-major within a degree
        sh[:, sh_bases(l_ - 1) : sh_bases(l_)] = part.transpose(0, 2, 1)
        done += 3 * width
