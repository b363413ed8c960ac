# SPDX-License-Identifier: Apache-2.0
"""Bounds on what headers promise, and streams of gzip and Zstandard that unpack to no more."""

from __future__ import annotations

import importlib
import io
import zlib
from typing import Any, TypeGuard

from .stored import ParseError

MAX_EXPANSION = 100
"""Bytes of content for each byte of a file, above which the file is taken for a decompression bomb."""

FREE_EXPANSION = 2**24
"""Bytes of content that any file may have, however small it is."""

MAX_TRAILER = 2**20
"""Bytes that may follow the promised content: the extensions of other programs."""

MIN_WINDOW = 2**23
"""Bytes of the window that every Zstandard decoder must offer; only larger content gets a larger one."""

ZSTANDARD = ("zstandard", "compression.zstd")
"""Modules that unpack Zstandard: of the package index, and of Python 3.14."""


class NoZstandardError(ParseError):
    """This Python has no module that unpacks Zstandard."""


def most_content(size: int) -> int:
    """The number of bytes that a file of ``size`` bytes may unpack to."""
    return max(MAX_EXPANSION * size, FREE_EXPANSION)


def check_promise(needed: int, size: int) -> None:
    """Raise a ParseError if a file of ``size`` bytes promises more content, ``needed`` bytes, than it may have."""
    if needed > most_content(size):
        raise ParseError(
            f"{needed} bytes of content promised by a file of {size}; taken for a decompression bomb, a trap"
        )


def is_count(value: object, least: int, most: int) -> TypeGuard[int]:
    """Whether ``value``, from a file's JSON, is a whole number from ``least`` to ``most``."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class Gunzip:
    """A gzip stream that is read from its start, a given number of bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest, self._inflater = data, zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            ParseError: if there are fewer, or the stream is broken.
        """
        data = self._upto(count)
        if len(data) < count:
            raise ParseError(f"it is truncated: {count} bytes promised, {len(data)} follow")
        return data

    def finish(self) -> bytes:
        """The short rest of the stream, which is compared with its checksum; raises a ParseError if they differ."""
        rest = self._upto(MAX_TRAILER)
        if not self._inflater.eof:
            raise ParseError("it is truncated, or holds far more than it promises")
        return rest

    def _upto(self, count: int) -> bytes:
        if not count:
            return b""  # zlib takes 0 for "no limit"
        try:
            data = self._inflater.decompress(self._rest, count)
        except zlib.error as error:
            raise ParseError(f"its gzip stream is broken: {error}") from error
        self._rest = self._inflater.unconsumed_tail
        return data


def unzstd(data: bytes, count: int) -> bytes:
    """The ``count`` bytes that a Zstandard frame holds.

    Raises:
        NoZstandardError: if this Python cannot unpack Zstandard.
        ParseError: if they are fewer or more, or the frame is broken.
    """
    module = _zstandard()
    try:
        if module.__name__ == "zstandard":
            window = max(MIN_WINDOW, 1 << count.bit_length())
            with module.ZstdDecompressor(max_window_size=window).stream_reader(io.BytesIO(data)) as reader:
                content = bytearray(count)
                view, done = memoryview(content), 0
                while done < count and (step := reader.readinto(view[done:])):
                    done += step
                excess = len(reader.read(1))
        else:
            content = module.ZstdDecompressor().decompress(data, count + 1)
            done, excess = min(len(content), count), len(content) > count
    except module.ZstdError as error:
        raise ParseError(f"a Zstandard stream is broken: {error}") from error
    if done < count or excess:
        raise ParseError(f"a Zstandard stream holds {'more' if excess else 'fewer'} than the {count} bytes promised")
    return bytes(content)


def _zstandard() -> Any:
    for name in ZSTANDARD:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise NoZstandardError("it is packed with Zstandard, which this Python cannot unpack")
