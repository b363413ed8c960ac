"""Broken files end in a sentence for the user: mutations of good ones, with a fixed seed, through every reader."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from blender_addon.core.files.read_glb import EXTENSION, read_glb
from blender_addon.core.files.read_hgs import read_hgs
from blender_addon.core.files.read_ply import read_ply
from blender_addon.core.files.read_splat import read_splat
from blender_addon.core.files.read_spz import read_spz
from blender_addon.core.files.write_ply import write_ply
from blender_addon.core.splats import ActivatedSplats, SplatError, splats_from_stored

COUNT = 30
MUTATIONS = 150

EXTREMES = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff")
"""Counts that are too large, a lowest and a highest integer, NaN and minus infinity."""


def _splats() -> ActivatedSplats:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal((COUNT, *shape)).astype(np.float32)

    return splats_from_stored(
        normal(3), normal(3) - 3, normal(4), normal(4, 3), normal(), frame="y_up",
        level=np.repeat([0, 1], [5, COUNT - 5]).astype(np.int32),
        parent=np.concatenate([np.full(5, -1), np.arange(COUNT - 5) // 5]).astype(np.int32),
    )  # fmt: skip


def make_hgs(path: Path) -> None:
    splats, header, data = _splats(), {"__metadata__": {"hgs": '{"seed": 1}'}}, b""
    entries: dict[str, object] = dict(header)
    arrays = {
        "means": splats.position, "log_scales": np.log(splats.scale), "quats": splats.rotation,
        "sh": np.concatenate([splats.base[:, None, :3], splats.harmonics], 1), "opacity_logits": splats.base[:, 3],
        "level": splats.level, "parent": splats.parent,
    }  # fmt: skip
    for name, array in arrays.items():
        assert array is not None
        offsets = [len(data), len(data) + array.nbytes]
        kind = "I32" if array.dtype == np.int32 else "F32"
        entries[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make_ply(path: Path) -> None:
    write_ply(path, _splats())


def make_splat(path: Path) -> None:
    random = np.random.default_rng(1)
    rows = np.zeros(COUNT, "3f4,3f4,8u1")
    rows["f0"], rows["f1"], rows["f2"] = random.random((COUNT, 3)), 0.1, random.integers(0, 255, (COUNT, 8))
    rows.tofile(path)


def spz_planes(version: int) -> tuple[bytes, list[bytes]]:
    random = np.random.default_rng(version)
    planes = [random.integers(0, 255, COUNT * size, np.uint8).tobytes() for size in (9, 1, 3, 3, 4, 9)]
    return struct.pack("<4sIIBBBB", b"NGSP", version, COUNT, 1, 12, 0, 6 if version == 4 else 0), planes


def make_spz(path: Path) -> None:
    """Version 4, whose header lies open; of version 3 see below."""
    header, planes = spz_planes(4)
    packed = [zstandard.ZstdCompressor().compress(plane) for plane in planes]
    table = b"".join(struct.pack("<QQ", len(a), len(b)) for a, b in zip(packed, planes, strict=True))
    path.write_bytes(header + struct.pack("<I12x", 32) + table + b"".join(packed))


def make_glb(path: Path) -> None:
    views: list[object] = []
    accessors: list[object] = []
    splats, data = _splats(), b""
    columns = {
        "POSITION": splats.position, f"{EXTENSION}:SCALE": splats.scale, f"{EXTENSION}:ROTATION": splats.rotation,
        f"{EXTENSION}:OPACITY": splats.base[:, 3:], f"{EXTENSION}:SH_DEGREE_0_COEF_0": splats.base[:, :3],
    }  # fmt: skip
    for column in columns.values():
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": column.nbytes})
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[column.shape[1]]
        accessors.append({"bufferView": len(accessors), "componentType": 5126, "count": COUNT, "type": kind})
        data += column.tobytes()
    attributes = {name: index for index, name in enumerate(columns)}
    primitive = {"mode": 0, "attributes": attributes, "extensions": {EXTENSION: {"kernel": "ellipse"}}}
    document = {
        "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, "translation": [1, 2, 3]}],
        "meshes": [{"primitives": [primitive]}], "buffers": [{"byteLength": len(data)}], "bufferViews": views,
        "accessors": accessors,
    }  # fmt: skip
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], ActivatedSplats]]] = {
    "hgs": (make_hgs, read_hgs), "ply": (make_ply, read_ply), "splat": (make_splat, read_splat),
    "spz": (make_spz, read_spz), "glb": (make_glb, read_glb),
}  # fmt: skip


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """One of: the end cut off, bytes changed, an extreme number somewhere, digits of a header changed, bytes lost."""
    damaged, kind = bytearray(data), random.integers(6)
    # Headers are where it matters: every second place is among the first bytes.
    place = int(random.integers(min(len(data), 1500) if random.random() < 0.5 else len(data)))
    if kind == 0:
        del damaged[place:]
    elif kind == 1:
        for _ in range(8):
            damaged[int(random.integers(len(data)))] = int(random.integers(256))
    elif kind == 2:
        damaged[place : place + 4] = EXTREMES[int(random.integers(len(EXTREMES)))]
    elif kind == 3:
        digits = [index for index, byte in enumerate(data[:3000]) if 48 <= byte < 58]
        for _ in range(2):
            damaged[digits[int(random.integers(len(digits)))] if digits else place] = int(random.integers(45, 58))
    elif kind == 4:
        del damaged[place : place + int(random.integers(1, 40))]
    else:
        words = (b"null", b"-1", b"[]", b"1e99", b"{}", b'"x"', b"true", b"NaN", b"99999999999999999999")
        damaged[place : place + 1] = words[int(random.integers(len(words)))]
    return bytes(damaged)


def read_or_refuse(path: Path, read: Callable[[Path], ActivatedSplats]) -> bool:
    """Whether a file was refused; what was read is sound."""
    try:
        splats = read(path)
    except SplatError:
        return True
    for array in (splats.position, splats.scale, splats.rotation, splats.base, splats.harmonics):
        assert len(array) == len(splats) > 0
        assert np.isfinite(array).all()
    if splats.parent is not None:
        assert (splats.parent < len(splats)).all()
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"a.{kind}"
    make(path)
    assert not read_or_refuse(path, read), "the file is good before it is damaged"
    data, random = path.read_bytes(), np.random.default_rng(len(kind) + ord(kind[0]))
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(data, random))
        refused += read_or_refuse(path, read)
    assert refused > MUTATIONS // 10
    assert [each.name for each in tmp_path.iterdir()] == [path.name], "reading writes nothing"


def test_mutations_inside_a_gzip_stream(tmp_path: Path) -> None:
    header, planes = spz_planes(3)
    data, random, path = header + b"".join(planes), np.random.default_rng(3), tmp_path / "a.spz"
    path.write_bytes(gzip.compress(data))
    assert not read_or_refuse(path, read_spz)
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(gzip.compress(mutated(data, random), 1))
        refused += read_or_refuse(path, read_spz)
    assert refused > MUTATIONS // 10


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = struct.pack("<4sIIBBBB", b"NGSP", 3, 2**31, 0, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + bytes(10**6)))
    with pytest.raises(SplatError, match="trap"):
        read_spz(tmp_path / "a.spz")


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_counted_or_no_number(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"a.{kind}"
    make(path)
    data = path.read_bytes()
    if kind == "spz":  # all of its values are whole numbers, which cannot be NaN
        assert np.isfinite(read(path).position).all()
        return
    value = np.float32(np.nan).tobytes()
    start = {"splat": 0, "hgs": 8 + struct.unpack_from("<Q", data)[0]}.get(kind, data.find(b"end_header") + 11)
    if kind == "glb":
        start = 28 + struct.unpack_from("<I", data, 12)[0]
    path.write_bytes(data[:start] + value + data[start + 4 :])
    with pytest.raises(SplatError, match=r"1 values are NaN or infinite"):
        read(path)
