"""The container of every .ply: a text header, then one table of numbers for each element.

The header's sizes are compared with the file's before anything is allocated. Binary tables are read some thousand rows
at a time; plyfile reads ascii files, and those with lists before or in the wanted table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import BLOCK

MAX_HEADER = 128 * 1024
"""Bytes at the start of a file within which its header must end."""

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
"""NumPy types by the names that headers use."""

BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
"""NumPy byte orders by the names that headers use; empty for text."""

MAX_ROWS = 10**12
"""Rows of a table above which a header is taken for broken."""

Rows = NDArray[np.void]


@dataclass
class Element:
    """A table: its number of rows and, by name, the header's type of each column (of a list, that of its length)."""

    name: str
    count: int
    columns: dict[str, str]
    has_lists: bool = False

    def dtype(self, order: str) -> np.dtype[np.void]:
        """The type of a row."""
        return np.dtype([(name, order + TYPES[kind]) for name, kind in self.columns.items()])


@dataclass(frozen=True)
class PlyFile:
    """A .ply file whose header was read and compared with the file's size."""

    path: Path
    order: str
    elements: dict[str, Element]
    comments: list[str]
    data_start: int

    @classmethod
    def open(cls, path: Path) -> PlyFile:
        """Read the header of ``path``.

        Raises:
            FormatError: if the header is broken, or promises more than the file's size allows.
        """
        with open(path, "rb") as file:
            lines = _header_lines(path, file)
            start = file.tell()
        kinds = [line.split()[1:2] for line in lines if line.startswith("format ")]
        if len(kinds) != 1 or not kinds[0] or kinds[0][0] not in BYTE_ORDERS:
            raise FormatError(f"{path} has no line 'format' of a known kind; expected one of: {', '.join(BYTE_ORDERS)}")
        comments = [line.removeprefix("comment").strip() for line in lines if line.startswith("comment")]
        ply = cls(path, BYTE_ORDERS[kinds[0][0]], _elements(path, lines), comments, start)
        ply._check_size()
        return ply

    def element(self, name: str) -> Element:
        """The element of that name; raises a FormatError if the file has none."""
        if name not in self.elements:
            raise FormatError(f"{self.path} has no element '{name}'; expected a Gaussian splat .ply")
        return self.elements[name]

    def blocks(self, name: str) -> Iterator[tuple[slice, Rows]]:
        """The rows of an element, BLOCK at a time, each time with the slice of the rows.

        Raises:
            FormatError: if a value cannot be read, or the file ends early.
        """
        wanted, before = self.element(name), 0
        for element in self.elements.values():
            if not self.order or element.has_lists:
                yield slice(0, wanted.count), self._by_plyfile(name)
                return
            if element is wanted:
                break
            before += element.count * element.dtype(self.order).itemsize
        dtype = wanted.dtype(self.order)
        with open(self.path, "rb") as file:
            file.seek(self.data_start + before)
            for start in range(0, wanted.count, BLOCK):
                rows = slice(start, min(start + BLOCK, wanted.count))
                block = np.fromfile(file, dtype, rows.stop - start)
                if len(block) < rows.stop - start:
                    raise FormatError(f"{self.path} is truncated: row {start + len(block)} of '{name}' is missing")
                yield rows, block

    def rows(self, name: str) -> Rows:
        """All rows of an element at once; raises as :meth:`blocks`."""
        blocks = [block for _, block in self.blocks(name)]
        return np.concatenate(blocks) if blocks else np.empty(0, self.element(name).dtype(self.order))

    def _by_plyfile(self, name: str) -> Any:
        try:
            return PlyData.read(str(self.path))[name].data
        except (PlyParseError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise FormatError(f"{self.path} is not a readable .ply file: {error}") from error

    def _check_size(self) -> None:
        available = self.path.stat().st_size - self.data_start
        # In an ascii file, a value takes at least a digit and a blank, and a list at least its length.
        widths = (
            element.count * (element.dtype(self.order).itemsize if self.order else 2 * len(element.columns))
            for element in self.elements.values()
        )
        needed = sum(widths) - (not self.order)
        if available < needed:
            raise FormatError(
                f"{self.path} is truncated: its header promises at least {needed} bytes of data, {available} follow"
            )


def _header_lines(path: Path, file: BinaryIO) -> list[str]:
    """The lines of the header; afterwards ``file`` is at the first byte of data."""
    start = file.read(MAX_HEADER)
    end = re.search(rb"end_header\r?\n?", start)
    if not start.startswith(b"ply") or end is None:
        raise FormatError(f"{path} is no .ply file or its header is broken; expected 'ply' ... 'end_header'")
    file.seek(end.end())
    return start[: end.start()].decode("ascii", "replace").splitlines()


def _elements(path: Path, lines: list[str]) -> dict[str, Element]:
    elements: dict[str, Element] = {}
    current = None
    for line in lines:
        words = line.split()
        if words[:1] == ["element"]:
            if len(words) != 3 or not re.fullmatch("[0-9]{1,13}", words[2]) or int(words[2]) > MAX_ROWS:
                raise FormatError(f"{path}: the header's line '{line}' names no element and its number of rows")
            current = elements[words[1]] = Element(words[1], int(words[2]), {})
        elif words[:1] == ["property"]:
            is_list = words[1:2] == ["list"]
            if current is None or len(words) != (5 if is_list else 3) or words[-1] in current.columns:
                raise FormatError(f"{path}: the header's line '{line}' is no property of its own")
            if any(kind not in TYPES for kind in words[1:-1] if kind != "list"):
                raise FormatError(f"{path}: the header's line '{line}' names an unknown type")
            current.columns[words[-1]] = words[2 if is_list else 1]
            current.has_lists |= is_list
    return elements


def degree_of(path: Path, columns: dict[str, str]) -> int:
    """The degree of the harmonics in the f_rest columns.

    Raises:
        FormatError: if no degree has that many columns, or they are not numbered from 0.
    """
    count = sum(name.startswith("f_rest_") for name in columns)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(count)
    if degree is None or not columns.keys() >= {f"f_rest_{i}" for i in range(count)}:
        raise FormatError(f"{path} has {count} f_rest columns; expected none, or f_rest_0 up to 9, 24 or 45 of them")
    return degree
