# SPDX-License-Identifier: Apache-2.0
"""The header of a .ply: text that names a table of numbers for each element.

The sizes that it promises are compared with the file's before anything is allocated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .stored import ParseError

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

BOM = b"\xef\xbb\xbf"
"""UTF-8's mark at the start of a text, which some editors add to an ASCII file; nothing is said by it."""

MAX_ROWS = 10**12
"""Rows of a table above which a header is taken for broken."""


@dataclass
class Element:
    """A table.

    Attributes:
        name: what the header calls it.
        count: number of rows.
        columns: the header's type of each column by name; of a list, that of its length.
        lists: the names of those that are lists.
    """

    name: str
    count: int
    columns: dict[str, str]
    lists: set[str] = field(default_factory=set)

    @property
    def has_lists(self) -> bool:
        """Whether a column is a list, so that rows differ in their lengths."""
        return bool(self.lists)

    @property
    def numbers(self) -> dict[str, str]:
        """The columns that are no lists."""
        return {name: kind for name, kind in self.columns.items() if name not in self.lists}

    def dtype(self, order: str) -> np.dtype[np.void]:
        """The type of a row."""
        return np.dtype([(name, order + TYPES[kind]) for name, kind in self.columns.items()])


@dataclass(frozen=True)
class PlyHeader:
    """What a header says.

    Attributes:
        order: NumPy's letter of the byte order; empty for text.
        elements: the tables, by name, in the order of the file.
        comments: the texts of the comments.
        data_start: offset of the first byte of data.
        start: offset of the header's first byte, behind a byte order mark if there is one.
    """

    order: str
    elements: dict[str, Element]
    comments: list[str]
    data_start: int
    start: int = 0

    def element(self, name: str) -> Element:
        """The element of that name; raises a ParseError if the file has none."""
        if name not in self.elements:
            raise ParseError(f"it has no element '{name}'; expected a Gaussian splat .ply")
        return self.elements[name]

    def table_start(self, name: str) -> int | None:
        """Offset of the table ``name``; None if rows of text or lists come before or in it."""
        start = self.data_start
        for element in self.elements.values():
            if not self.order or element.has_lists:
                return None
            if element.name == name:
                break
            start += element.count * element.dtype(self.order).itemsize
        return start


def read_header(path: Path) -> PlyHeader:
    """The header of ``path``.

    Raises:
        ParseError: if the header is broken, or promises more than the file's size allows.
    """
    with open(path, "rb") as file:
        header_start = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(header_start)
        lines = _header_lines(file, header_start)
        start = file.tell()
    kinds = [line.split()[1:2] for line in lines if line.startswith("format ")]
    if len(kinds) != 1 or not kinds[0] or kinds[0][0] not in BYTE_ORDERS:
        raise ParseError(f"it has no line 'format' of a known kind; expected one of: {', '.join(BYTE_ORDERS)}")
    comments = [line.removeprefix("comment").strip() for line in lines if line.startswith("comment")]
    header = PlyHeader(BYTE_ORDERS[kinds[0][0]], _elements(lines), comments, start, header_start)
    _check_size(header, path.stat().st_size - start)
    return header


def _check_size(header: PlyHeader, available: int) -> None:
    # In an ascii file, a value takes at least a digit and a blank, and a list at least its length.
    widths = (
        element.count * (element.dtype(header.order).itemsize if header.order else 2 * len(element.columns))
        for element in header.elements.values()
    )
    needed = sum(widths) - (not header.order)
    if available < needed:
        raise ParseError(f"it is truncated: its header promises at least {needed} bytes of data, {available} follow")


def _header_lines(file: BinaryIO, begin: int) -> list[str]:
    """The lines of the header, which begins where ``file`` is; afterwards that is at the first byte of data."""
    start = file.read(MAX_HEADER)
    end = re.search(rb"end_header\r?\n?", start)
    if not start.startswith(b"ply") or end is None:
        raise ParseError("it is no .ply file or its header is broken; expected 'ply' ... 'end_header'")
    file.seek(begin + end.end())
    return start[: end.start()].decode("ascii", "replace").splitlines()


def _elements(lines: list[str]) -> dict[str, Element]:
    elements: dict[str, Element] = {}
    current = None
    for line in lines:
        words = line.split()
        if words[:1] == ["element"]:
            if len(words) != 3 or not re.fullmatch("[0-9]{1,13}", words[2]) or int(words[2]) > MAX_ROWS:
                raise ParseError(f"it has a broken header: the line '{line}' names no element and its number of rows")
            current = elements[words[1]] = Element(words[1], int(words[2]), {})
        elif words[:1] == ["property"]:
            is_list = words[1:2] == ["list"]
            if current is None or len(words) != (5 if is_list else 3) or words[-1] in current.columns:
                raise ParseError(f"it has a broken header: the line '{line}' is no property of its own")
            if any(kind not in TYPES for kind in words[1:-1] if kind != "list"):
                raise ParseError(f"it has a broken header: the line '{line}' names an unknown type")
            current.columns[words[-1]] = words[2 if is_list else 1]
            if is_list:
                current.lists.add(words[-1])
    return elements
