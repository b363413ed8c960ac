"""The container of every .ply: a text header, then one table of numbers for each element.

The header's sizes are compared with the file's before anything is allocated. Binary tables are read some thousand rows
at a time; plyfile reads ascii files, and those with lists before or in the wanted table.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.parsing import ply_columns
from hgs_toolkit.parsing.ply import Element, PlyHeader, read_header
from hgs_toolkit.parsing.stored import ParseError

Rows = NDArray[np.void]

FRAME_COMMENT, OFFSET_COMMENT = "frame ", "hgs_offset "
"""Starts of the comments that state the world frame, and the offset of the coordinates."""

RENDER_MODE_COMMENT, ANTIALIASED = "SplatRenderMode: ", "mip"
"""Start of the comment in which SuperSplat states the way of rendering, and its name of the antialiased one."""


@dataclass(frozen=True)
class PlyFile:
    """A .ply file whose header was read and compared with the file's size."""

    path: Path
    header: PlyHeader

    @classmethod
    def open(cls, path: Path) -> PlyFile:
        """Read the header of ``path``.

        Raises:
            FormatError: if the header is broken, or promises more than the file's size allows.
        """
        with _errors_name(path):
            return cls(path, read_header(path))

    @property
    def elements(self) -> dict[str, Element]:
        """The tables by name."""
        return self.header.elements

    @property
    def comments(self) -> list[str]:
        """The texts of the comments."""
        return self.header.comments

    def element(self, name: str) -> Element:
        """The element of that name; raises a FormatError if the file has none."""
        with _errors_name(self.path):
            return self.header.element(name)

    def blocks(self, name: str) -> Iterator[tuple[slice, Rows]]:
        """The rows of an element, BLOCK at a time, each time with the slice of the rows.

        Raises:
            FormatError: if a value cannot be read, or the file ends early.
        """
        wanted, table = self.element(name), self.header.table_start(name)
        if table is None:
            yield slice(0, wanted.count), self._by_plyfile(name)
            return
        dtype = wanted.dtype(self.header.order)
        with open(self.path, "rb") as file:
            file.seek(table)
            for start in range(0, wanted.count, BLOCK):
                rows = slice(start, min(start + BLOCK, wanted.count))
                block = np.fromfile(file, dtype, rows.stop - start)
                if len(block) < rows.stop - start:
                    raise FormatError(f"{self.path} is truncated: row {start + len(block)} of '{name}' is missing")
                yield rows, block

    def rows(self, name: str) -> Rows:
        """All rows of an element at once; raises as :meth:`blocks`."""
        blocks = [block for _, block in self.blocks(name)]
        return np.concatenate(blocks) if blocks else np.empty(0, self.element(name).dtype(self.header.order))

    def _by_plyfile(self, name: str) -> Any:
        try:
            # plyfile knows no byte order mark, and leaves a text that it opens over a file unclosed.
            marked = self.header.start > 0
            source = io.BytesIO(self.path.read_bytes()[self.header.start :]) if marked else str(self.path)
            return PlyData.read(source)[name].data
        except (PlyParseError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise FormatError(f"{self.path} is not a readable .ply file: {error}") from error


def degree_of(path: Path, columns: dict[str, str]) -> int:
    """The degree of the harmonics in the f_rest columns.

    Raises:
        FormatError: if no degree has that many columns, or they are not numbered from 0.
    """
    with _errors_name(path):
        return ply_columns.degree_of(columns)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Turn "it is ..." of the shared parser into a FormatError that says so of ``path``."""
    try:
        yield
    except ParseError as error:
        raise FormatError(f"{path} {str(error).removeprefix('it ')}") from error
