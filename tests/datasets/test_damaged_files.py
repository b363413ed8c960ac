"""Damaged meshes, camera files and archives: one sentence or a model, quickly and in little memory."""

from __future__ import annotations

import logging
import random
import signal
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import trimesh

from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.textured_mesh import load_textured_mesh
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.errors import HgsError
from tests.datasets.photographs import Photographs, colmap, colmap_binary, gaussian_splatting, nerfstudio
from tests.exporters.splats.mutations import at_most, mutated

FEW, MANY = 6, 100

TIMES_FILE, FIXED_BYTES = 10, 5 * 2**16
"""Bytes that reading may allocate: so many times the files, and what libraries need for any file."""


def mesh_file(suffix: str, **options: object) -> Callable[[Path], Path]:
    """Writes a ball into a folder; returns the file."""

    def make(folder: Path) -> Path:
        data = trimesh.creation.icosphere(2).export(file_type=suffix, **options)
        path = folder / f"m.{suffix}"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


def camera_file(write: Callable[[Photographs, Path], None], name: str) -> Callable[[Path], Path]:
    """Writes photographs and their cameras into a folder; returns the file of cameras."""

    def make(folder: Path) -> Path:
        write(Photographs.take(), folder)
        return next(folder.rglob(name))

    return make


def archive(folder: Path) -> Path:
    """A set in a zip."""
    with open_writer(folder / "set.zip") as writer:
        for _ in range(4):
            writer.add(np.zeros((16, 16, 3), np.uint8), np.eye(5, dtype=np.float32).reshape(-1))
    return folder / "set.zip"


def read_mesh(folder: Path) -> None:
    load_textured_mesh(find_meshes(folder, "")[0])


def read_cameras(folder: Path) -> None:
    read_scenes(folder)


def read_set(folder: Path) -> None:
    check_dataset(folder / "set.zip")


Case = tuple[Callable[[Path], Path], Callable[[Path], None]]


def read_eagerly(folder: Path) -> None:
    """A reader that allocates what no file of some kilobytes should cost."""
    np.ones(2**20, np.uint8)


CASES: dict[str, Case] = {
    "obj": (mesh_file("obj"), read_mesh),
    "glb": (mesh_file("glb"), read_mesh),
    "glb by Draco": (mesh_file("glb", extension_draco=True), read_mesh),
    "stl": (mesh_file("stl"), read_mesh),
    "off": (mesh_file("off"), read_mesh),
    "ply": (mesh_file("ply"), read_mesh),
    "dae": (mesh_file("dae"), read_mesh),
    "transforms.json": (camera_file(nerfstudio, "transforms.json"), read_cameras),
    "cameras.json": (camera_file(gaussian_splatting, "cameras.json"), read_cameras),
    "cameras.bin": (camera_file(colmap_binary, "cameras.bin"), read_cameras),
    "images.bin": (camera_file(colmap_binary, "images.bin"), read_cameras),
    "images.txt": (camera_file(colmap("PINHOLE"), "images.txt"), read_cameras),
    "zip": (archive, read_set),
}


def damage(case: Case, count: int, folder: Path, seed: str) -> tuple[int, int, float]:
    """Read ``count`` damaged files; returns how many were refused, read, and the most memory over the file's size."""
    make, read = case
    path, chance = make(folder), random.Random(seed)
    data, refused, largest = path.read_bytes(), 0, 0.0
    read(folder)  # imports and first allocations are not the damage's fault
    for _ in range(3):
        path.write_bytes(mutated(data, chance))
        with suppress(HgsError):
            read(folder)
    tracemalloc.start()
    try:
        for _ in range(count):
            path.write_bytes(mutated(data, chance))
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            was_refused, used = _read_once(read, folder)
            if used > TIMES_FILE * size:  # costs once what the interpreter keeps: modules, its table of strings
                was_refused, used = _read_once(read, folder)
            assert used <= TIMES_FILE * size, f"{used} bytes beyond the fixed ones for {size} bytes of files"
            refused += was_refused
            largest = max(largest, used / max(size, 1))
    finally:
        tracemalloc.stop()
    return refused, count - refused, largest


def _read_once(read: Callable[[Path], None], folder: Path) -> tuple[bool, int]:
    """Whether the files were refused, and the bytes that reading allocated beyond FIXED_BYTES."""
    tracemalloc.reset_peak()
    before, refused = tracemalloc.get_traced_memory()[0], False
    try:
        with at_most(90):
            read(folder)
    except HgsError:
        refused = True
    return refused, tracemalloc.get_traced_memory()[1] - before - FIXED_BYTES


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.filterwarnings("ignore")  # libraries warn of what they stumble over
@pytest.mark.parametrize("name", CASES)
def test_a_few_damaged_files_are_refused_or_read(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    if name == "glb by Draco":
        pytest.importorskip("DracoPy")
    damage(CASES[name], FEW, tmp_path, name)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_many_damaged_files_are_refused_or_read(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    if name == "glb by Draco":
        pytest.importorskip("DracoPy")
    damage(CASES[name], MANY, tmp_path, name)


def test_a_reader_that_takes_a_megabyte_for_some_kilobytes_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="bytes beyond the fixed ones"):
        damage((mesh_file("off"), read_eagerly), 1, tmp_path, "eager")
