"""Damaged files of every format that is read: what the readers say, how long they take and what they allocate.

    python -m tests.exporters.splats.mutations [--count 20000] [--usd 400] [--seed 0]

reads so many files in one run, those of USD apart (each reading starts a process), and prints a row for each kind
of file.

What counts as memory is what NumPy and Python allocate (tracemalloc): readers build their arrays there before they hand
them on. A file may cost ten times its own size, and a fixed amount for headers, tables and image libraries.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import os
import random
import signal
import struct
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from plyfile import PlyData, PlyElement

from hgs_toolkit.errors import HgsError
from hgs_toolkit.exporters.splat_format import SplatFormat
from hgs_toolkit.exporters.table import FORMATS, export, load
from tests.exporters.splats.accuracy import reference_scene
from tests.exporters.splats.ksplat_files import write_ksplat

USD = [row for row in FORMATS if row.suffix.startswith(".usd")]
"""Each reading starts a process, so that their mutations are fewer."""

READABLE = [row for row in FORMATS if row.reader and row not in USD]

KINDS = {".spz": 2, ".ply": 4, ".ksplat": 3, ".hgs": 2, ".glb": 2}
"""Number of kinds of files of a format, see :func:`make`; of the others there is one."""

CASES = [(row, kind) for row in READABLE for kind in range(KINDS.get(row.suffix, 1))]

PACKED = (".spz", ".sog", ".rad")

SECONDS = 5
"""Of processor time, in the reader's processes together."""

WALL_SECONDS = 90
"""After which one that waits counts as hung; the reader itself gives USD's process a minute."""

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
    if suffix == ".spz" and data.startswith(b"NGSP"):
        return mutated(data, chance)
    if suffix == ".spz":
        return gzip.compress(mutated(gzip.decompress(data), chance), 1)
    if suffix == ".rad":
        return _mutated_columns(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    name = chance.choice(sorted(files))
    files[name] = mutated(files[name], chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def _mutated_columns(data: bytes, chance: random.Random) -> bytes:
    """A .rad of one chunk with one of its columns damaged, all of them without compression."""

    def described(data: bytes) -> tuple[dict[str, Any], bytes]:
        (length,) = struct.unpack_from("<I", data, 4)
        return json.loads(data[8 : 8 + length]), data[8 + length + -length % 8 :]

    def joined(magic: bytes, header: dict[str, Any], rest: bytes) -> bytes:
        text = json.dumps(header).encode()
        return magic + struct.pack("<I", len(text)) + text + bytes(-len(text) % 8) + rest

    header, chunk = described(data)
    inner, payload = described(chunk)
    damaged, columns = chance.randrange(len(inner["properties"])), bytearray()
    for index, entry in enumerate(inner["properties"]):
        column = zlib.decompress(payload[8 + entry["offset"] :][: entry["bytes"]], wbits=-15)
        column = mutated(column, chance) if index == damaged else column
        del entry["compression"]
        entry.update(offset=len(columns), bytes=len(column))
        columns += column
    chunk = joined(b"RADC", inner, struct.pack("<Q", len(columns)) + columns)
    header["chunks"] = [{"offset": 0, "bytes": len(chunk)}]
    return joined(b"RAD0", header, chunk)


class Hang(BaseException):
    """Longer than allowed; no child of Exception or OSError, which a reader turns into its own error."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail what is inside if it takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"longer than {seconds} s")

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
        with at_most(WALL_SECONDS):
            load(path)
    except HgsError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{path} crashed its reader: {type(error).__name__}: {error}") from error
    return None


@dataclass
class Tally:
    """What became of a format's mutations: processor seconds, bytes beyond FIXED_BYTES as multiples of the file."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    largest: float = 0.0


def make(row: SplatFormat, path: Path, kind: int = 0) -> None:
    """Write a whole file of that format.

    The kinds are versions 3 and 4 of .spz; floats, doubles, text, and discs with colours and a filter of .ply; the
    three levels of .ksplat; .hgs and .glb without and with four levels of a tree.
    """
    scene = reference_scene(1, 1000)
    if row.suffix == ".ksplat":
        order = scene.means[0, :, 0].argsort()
        spread = scene.means[:, order] * scene.means.new_tensor([1.0, 0.2, 0.2])
        write_ksplat(path, scene.replace(means=spread), kind)
        return
    if row.suffix in (".hgs", ".glb") and kind:
        level = torch.arange(1000) * 4 // 1000
        scene = scene.replace(level=level, parent=torch.where(level > 0, torch.arange(1000) - 250, -1))
    if row.suffix == "meta.json":
        export(scene, path.with_suffix(".sog"))
        with zipfile.ZipFile(path.with_suffix(".sog")) as bundle:
            bundle.extractall(path.parent)
        (path.parent / "meta.json").replace(path)
        return
    extras = bool(kind) and row.suffix == ".glb"
    export(scene, path, extras=extras, spz_version=4 if kind and row.suffix == ".spz" else 3)
    if row.suffix == ".ply" and kind:
        _rewrite_ply(path, kind)


def _rewrite_ply(path: Path, kind: int) -> None:
    """A .ply as text or with columns that other programs write."""
    data = PlyData.read(path)
    table = data["vertex"].data
    columns = {name: np.array(table[name]) for name in table.dtype.names}
    if kind == 1:
        columns = {name: values.astype(np.float64) for name, values in columns.items()}
    if kind == 3:
        columns = {name: values for name, values in columns.items() if name != "scale_2" and not name.startswith("f_")}
        columns |= {name: np.arange(1000).astype(np.uint8) for name in ("red", "green", "blue")}
        columns["filter_3D"] = np.full(1000, 0.01, np.float32)
    table = np.empty(1000, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    PlyData([PlyElement.describe(table, "vertex")], text=kind == 2, byte_order="<").write(path)


def check(row: SplatFormat, count: int, folder: Path, kind: int = 0, seed: int = 0) -> Tally:
    """Read ``count`` mutations of a file of that format and kind, of packed ones every second below the packing.

    Raises:
        Hang: if a reading does not end.
        AssertionError: at a crash, too much processor time or memory, or an error that does not name the file.
    """
    chance, tally = random.Random(f"{row.suffix}{kind or ''}{seed or ''}"), Tally()
    path, target = folder / f"whole{row.suffix}", folder / f"mutated{row.suffix}"
    make(row, path, kind)
    data = path.read_bytes()
    load(path)  # imports and first allocations are not the mutations' fault
    tracemalloc.start()
    try:
        for index in range(count):
            packed = row.suffix in PACKED and index % 2
            target.write_bytes(mutated_content(row.suffix, data, chance) if packed else mutated(data, chance))
            _check_one(target, tally)
    finally:
        tracemalloc.stop()
    assert tally.refused > count // 20, "the mutations hardly damaged anything"
    return tally


def _check_one(target: Path, tally: Tally) -> None:
    """Read one damaged file and count it."""
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], sum(os.times()[:4])  # user, system, and those of children
    message = refusal(target)
    seconds = sum(os.times()[:4]) - start
    assert seconds <= SECONDS, f"{seconds:.1f} s of processor time"
    tally.slowest = max(tally.slowest, seconds)
    used = tracemalloc.get_traced_memory()[1] - before
    assert message is None or target.name in message, f"the error does not name the file: {message}"
    tally.read += message is None
    tally.refused += message is not None
    beside = (file for pattern in ("lods-*/*/*", "tiles-*/*") for file in target.parent.glob(pattern))
    size = target.stat().st_size + sum(file.stat().st_size for file in beside)
    assert used <= TIMES_FILE * size + FIXED_BYTES, f"{used} bytes allocated for a file of {size}"
    tally.largest = max(tally.largest, (used - FIXED_BYTES) / max(size, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="over all readers but those of USD")
    parser.add_argument("--usd", type=int, default=400, help="over .usdc and .usda")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)  # readers may warn of what they skip
    print("| format | mutations | read | refused | slowest | most memory / file |\n|---|---|---|---|---|---|")
    for cases, total in ((CASES, args.count), ([(row, 0) for row in USD], args.usd)):
        for row, kind in cases:
            count = -(-total // len(cases))
            with tempfile.TemporaryDirectory() as folder:
                tally = check(row, count, Path(folder), kind, args.seed)
            print(f"| `{row.suffix}` {kind or ''} | {count} | {tally.read} | {tally.refused} | {tally.slowest:.2f} s | "
                  f"{max(tally.largest, 0):.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
