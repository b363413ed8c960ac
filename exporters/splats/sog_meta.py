"""The ``meta.json`` of a .sog, whose entries are checked before anything is allocated, and the positions.

This much is read without torch.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import check_promise, is_count
from hgs_toolkit.exporters.splats.offsets import NO_OFFSET, Offset, offset_of
from hgs_toolkit.exporters.splats.packing.codebooks import CODES
from hgs_toolkit.exporters.splats.packing.webp import webp_to_pixels
from hgs_toolkit.files import BOUNDED_PACKINGS

if TYPE_CHECKING:
    from hgs_toolkit.exporters.splats.stored import Floats

PALETTE = 65536
"""Greatest number of entries of a palette, which the two bytes of a label tell apart."""

META = "meta.json"

FRAME = "rdf"
"""Frame of the positions unless the file names another: that of the .ply."""

LARGEST = float(np.finfo(np.float32).max)

MODEL, ANTIALIASED = "model", "antialiased"
"""Entry of the JSON that says how the Gaussians are drawn, and its value for Mip-Splatting's way."""

MAX_GAUSSIANS = 16380**2
"""Greatest number of Gaussians: the pixels of the largest image."""


@dataclass(frozen=True)
class Meta:
    """A checked ``meta.json``.

    Attributes:
        values: the whole document.
        count: number of Gaussians.
        bands: degree of the harmonics, 0 to 3.
        frame: world frame of the positions.
        offset: point of the world, in that frame, relative to which the positions are given.
        antialiased: whether the Gaussians were trained for antialiased rendering.
    """

    values: dict[str, Any]
    count: int
    bands: int
    frame: str
    offset: Offset
    antialiased: bool

    @classmethod
    def parse(cls, data: bytes) -> Meta:
        """Read the JSON ``data``; raises a FormatError unless it is of version 2 and has the required entries."""
        try:
            values = json.loads(data)
            version_, count = values.get("version"), values.get("count")
            higher = values.get("shN") or {"bands": 0}
            asset = values.get("asset") or {}
            bands, frame, offset = higher.get("bands"), asset.get("frame", FRAME), asset.get("offset")
        except (ValueError, AttributeError, RecursionError) as error:
            raise FormatError(f"{META} is no JSON object of a .sog file: {error}") from error
        if version_ != 2:
            raise FormatError(f"{META} says version {version_!r}; expected 2 (convert older files with SuperSplat)")
        if not is_count(count, 1, MAX_GAUSSIANS) or not is_count(bands, 0, 3):
            raise FormatError(f"{META} says {count!r} Gaussians and SH degree {bands!r}; expected 1 or more and 0 to 3")
        placed = isinstance(offset, list) and len(offset) == 3 and all(map(_is_finite, offset))
        where = offset_of(np.array(offset, np.float64)) if placed else NO_OFFSET
        drawn = values.get(MODEL) == ANTIALIASED
        return cls(values, count, bands, frame if frame in ("rdf", "y_up") else FRAME, where, drawn)

    def names(self, part: str, files: int) -> list[str]:
        """The names of the ``files`` images of one part."""
        names = self._of(part, "files")
        if not isinstance(names, list) or len(names) != files or not all(isinstance(name, str) for name in names):
            raise FormatError(f"{META} names {names!r} as images of '{part}'; expected {files} names")
        return names

    def book(self, part: str) -> Floats:
        """The codebook of one part, filled up to 256 entries with copies of its last one."""
        values = self.numbers(part, "codebook").astype(np.float32)
        if not 0 < len(values) <= CODES:
            raise FormatError(f"{META} has a codebook of {len(values)} for '{part}'; expected {CODES}")
        return np.pad(values, (0, CODES - len(values)), mode="edge")

    def numbers(self, part: str, entry: str) -> NDArray[np.float64]:
        """The list of numbers that is the ``entry`` of one part.

        They are doubles: the bounds of positions are logarithms, whose last digits are metres for a survey.
        """
        values = self._of(part, entry)
        if not isinstance(values, list) or not all(map(_is_finite, values)):
            raise FormatError(f"{META}: '{entry}' of '{part}' is no list of finite numbers")
        return np.array(values, np.float64)

    def _of(self, part: str, entry: str) -> Any:
        try:
            return self.values[part][entry]
        except (KeyError, TypeError) as error:
            raise FormatError(f"{META} lacks '{entry}' of '{part}'") from error


def _is_finite(value: object) -> bool:
    """Whether ``value``, from a file's JSON, is a number that float32 holds."""
    return isinstance(value, int | float) and abs(value) < LARGEST


def take_means(meta: Meta, load: Callable[[str], bytes]) -> NDArray[np.float64]:
    """The centres (N, 3) in double precision; ``load`` returns the bytes of the file of a name."""
    low, high = (meta.numbers("means", bound) for bound in ("mins", "maxs"))
    if len(low) != 3 or len(high) != 3:
        raise FormatError(f"{META} has {len(low)} and {len(high)} bounds of positions; expected 3 each")
    lower, upper = (webp_to_pixels(load(name), name, meta.count)[:, :3] for name in meta.names("means", 2))
    logs = low + (lower + upper.astype(np.float64) * 256) / 65535 * (high - low)
    with np.errstate(over="ignore"):  # a position that overflows becomes infinite, which is counted later
        means: NDArray[np.float64] = np.sign(logs) * np.expm1(np.abs(logs))
    return means


@contextmanager
def opened_bundle(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive ``path``, opened as a context in which its faults are FormatErrors that name it."""
    try:
        with zipfile.ZipFile(path) as bundle:
            yield bundle
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, UnicodeError) as error:
        raise FormatError(f"{path} is not a readable .sog archive: {error}") from error


def read_member(bundle: zipfile.ZipFile, name: str, size: int) -> bytes:
    """The content of a file in the archive, whose promised size is first compared with that of the archive."""
    try:
        info = bundle.getinfo(name)
    except KeyError:
        raise FormatError(f"the archive lacks {name}") from None
    check_promise(info.file_size, size)
    if info.compress_size > size:  # zipfile would allocate so many bytes
        raise FormatError(f"{name} is said to take {info.compress_size} bytes of an archive of {size}")
    if info.compress_type not in BOUNDED_PACKINGS:
        raise FormatError(f"{name} is packed by method {info.compress_type}; expected it stored or deflated")
    try:
        with bundle.open(info) as member:
            return member.read(info.file_size)  # no more, whatever it unpacks to
    except zlib.error as error:
        raise FormatError(f"{name} cannot be unpacked: {error}") from error
