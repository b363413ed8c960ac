"""Damaged files of every format that is read: a clear error or a scene, quickly and in little memory.

What counts as memory is what NumPy and Python allocate (tracemalloc): readers build their arrays there before they hand
them on. A file may cost ten times its own size, and a fixed amount for headers, tables and image libraries.
"""

from __future__ import annotations

import gzip
import io
import logging
import random
import signal
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from hgs_toolkit.errors import HgsError
from hgs_toolkit.exporters import FORMATS, export, load
from hgs_toolkit.exporters.options import Format
from tests.exporters.accuracy import reference_scene

USD = [row for row in FORMATS if row.suffix.startswith(".usd")]
"""Each reading starts a process, so that their mutations are fewer."""

READABLE = [row for row in FORMATS if row.reader and row.writer and row not in USD]

ALL_MUTATIONS = 20_000
FEW_MUTATIONS = 150

PACKED = (".spz", ".sog")

SECONDS = 5
TIMES_FILE = 10
FIXED_BYTES = 2**18

HEADER = 400
"""Bytes at the start (and end: a zip's directory) that every second mutation is aimed at."""

EXTREMES = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\0\0\0\x80")
"""0, -1, the greatest integer, infinity, NaN, the least integer."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """``data`` after one to four changes, or cut short."""
    if chance.random() < 0.1:
        return data[: chance.randrange(len(data))]
    result = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        near_header = chance.random() < 0.5
        at = chance.randrange(min(HEADER, len(result))) if near_header else chance.randrange(len(result))
        if chance.random() < 0.2:
            at = len(result) - 1 - at
        kind = chance.randrange(5)
        if kind == 0:
            result[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            result[at] = chance.randrange(256)
        elif kind == 2:
            result[at : at + 4] = chance.choice(EXTREMES)
        elif kind == 3:
            result[at:at] = chance.randbytes(chance.randint(1, 16))
        else:
            del result[at : at + chance.randint(1, 16)]
    return bytes(result)


def mutated_content(suffix: str, data: bytes, chance: random.Random) -> bytes:
    """``data`` with its unpacked content damaged and packed again: checksums do not give it away."""
    if suffix == ".spz":
        return gzip.compress(mutated(gzip.decompress(data), chance), 1)
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    name = chance.choice(sorted(files))
    files[name] = mutated(files[name], chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail what is inside if it takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(path: Path) -> str | None:
    """What the reader says against the file; None where it takes it. Anything but an HgsError is a crash."""
    try:
        with at_most(SECONDS):
            load(path)
    except HgsError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{path} crashed its reader: {type(error).__name__}: {error}") from error
    return None


def check(row: Format, count: int, folder: Path) -> None:
    """Read ``count`` mutations of a file of that format, of packed ones every second below the packing."""
    chance = random.Random(row.suffix)
    path, target = folder / f"whole{row.suffix}", folder / f"mutated{row.suffix}"
    export(reference_scene(1, 1000), path)
    data = path.read_bytes()
    load(path)  # imports and first allocations are not the mutations' fault
    refused = 0
    tracemalloc.start()
    try:
        for index in range(count):
            packed = row.suffix in PACKED and index % 2
            target.write_bytes(mutated_content(row.suffix, data, chance) if packed else mutated(data, chance))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            message = refusal(target)
            assert message is None or target.name in message, f"the error does not name the file: {message}"
            refused += message is not None
            used = tracemalloc.get_traced_memory()[1] - before
            size = target.stat().st_size + sum(file.stat().st_size for file in folder.glob("lods-*/*/*"))
            assert used <= TIMES_FILE * size + FIXED_BYTES, f"{used} bytes allocated for a file of {size}"
    finally:
        tracemalloc.stop()
    assert refused > count // 20, "the mutations hardly damaged anything"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Readers may warn of what they skip; thousands of records would be kept otherwise."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize("row", READABLE, ids=lambda row: row.suffix)
def test_a_few_damaged_files_are_refused_or_read(row: Format, tmp_path: Path) -> None:
    check(row, FEW_MUTATIONS, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize("row", READABLE, ids=lambda row: row.suffix)
def test_twenty_thousand_damaged_files_are_refused_or_read(row: Format, tmp_path: Path) -> None:
    check(row, -(-ALL_MUTATIONS // len(READABLE)), tmp_path)


@pytest.mark.parametrize("row", USD, ids=lambda row: row.suffix)
def test_a_few_damaged_files_of_usd_are_refused_or_read(row: Format, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    check(row, 10, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("row", USD, ids=lambda row: row.suffix)
def test_damaged_files_of_usd_are_refused_or_read(row: Format, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    check(row, 120, tmp_path)
