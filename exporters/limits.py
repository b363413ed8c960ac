"""Bounds on what a file may unpack to, so that no header can make a reader allocate more.

A reader first compares what the file promises with the file's size (:func:`check_promise`), then unpacks in steps that
stop at what was promised.
"""

from __future__ import annotations

import io
import zlib
from typing import TypeGuard

import zstandard

from hgs_toolkit.errors import FormatError

MAX_EXPANSION = 100
"""Bytes of content for each byte of a file, above which the file is taken for a decompression bomb."""

BLOCK = 4096
"""Rows that are worked on at a time: a megabyte with all harmonics, which a processor's cache holds."""

FREE_EXPANSION = 2**24
"""Bytes of content that any file may have, however small it is."""

MAX_TRAILER = 2**20
"""Bytes that may follow the promised content: the extensions of other programs."""

MIN_WINDOW = 2**23
"""Bytes of the window that every Zstandard decoder must offer; only larger content gets a larger one."""


def most_content(size: int) -> int:
    """The number of bytes that a file of ``size`` bytes may unpack to."""
    return max(MAX_EXPANSION * size, FREE_EXPANSION)


def check_promise(needed: int, size: int) -> None:
    """Raise a FormatError if a file of ``size`` bytes promises more content, ``needed`` bytes, than it may have."""
    if needed > most_content(size):
        raise FormatError(f"{needed} bytes of content promised by a file of {size}; taken for a decompression bomb")


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
            FormatError: if there are fewer, or the stream is broken.
        """
        data = self._upto(count)
        if len(data) < count:
            raise FormatError(f"it is truncated: {count} bytes promised, {len(data)} follow")
        return data

    def finish(self) -> bytes:
        """The short rest of the stream, which is compared with its checksum; raises a FormatError if they differ."""
        rest = self._upto(MAX_TRAILER)
        if not self._inflater.eof:
            raise FormatError("it is truncated, or holds far more than it promises")
        return rest

    def _upto(self, count: int) -> bytes:
        if not count:
            return b""  # zlib takes 0 for "no limit"
        try:
            data = self._inflater.decompress(self._rest, count)
        except zlib.error as error:
            raise FormatError(f"its gzip stream is broken: {error}") from error
        self._rest = self._inflater.unconsumed_tail
        return data


def unzstd(data: bytes, count: int) -> bytes:
    """The ``count`` bytes that a Zstandard frame holds.

    Raises:
        FormatError: if they are fewer or more, or the frame is broken.
    """
    window = max(MIN_WINDOW, 1 << count.bit_length())
    try:
        with zstandard.ZstdDecompressor(max_window_size=window).stream_reader(io.BytesIO(data)) as reader:
            content = bytearray(count)
            view, done = memoryview(content), 0
            while done < count and (step := reader.readinto(view[done:])):
                done += step
            excess = len(reader.read(1))
    except zstandard.ZstdError as error:
        raise FormatError(f"a Zstandard stream is broken: {error}") from error
    if done < count or excess:
        raise FormatError(f"a Zstandard stream holds {'more' if excess else 'fewer'} than the {count} bytes promised")
    return bytes(content)
