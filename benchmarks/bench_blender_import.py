"""How long Blender takes to import Gaussians; run with a Python that has bpy, from the checkout.

    PYTHONPATH=. .venv-bpy45/bin/python benchmarks/bench_blender_import.py [--count 500000]

A .ply of random Gaussians in five levels is written, imported through the packed extension's code, and compared with
what was written. The yardstick is numpy reading the same bytes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500_000)
    arguments = parser.parse_args(sys.argv[1:])
    names = ("data", "core.splats", "core.files.write_ply")
    addon = {name: importlib.import_module(f"blender_addon.{name}") for name in names}
    splats = random_splats(addon["core.splats"], arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.ply"
        addon["core.files.write_ply"].write_ply(path, splats)
        rows = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            np.fromfile(path, np.uint8)
            plain = time.perf_counter() - start
            bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
            start = time.perf_counter()
            read = addon["data"].read_splats(path)
            middle = time.perf_counter()
            data = addon["data"].splat_data("many", read)
            rows.append((middle - start, time.perf_counter() - middle, plain))
        check(addon["data"], data, splats)
    reading, filling, plain = np.median(rows, axis=0)
    print(f"Blender {bpy.app.version_string}, {arguments.count:,} Gaussians, medians of {ROUNDS}:")
    print(f"reading {reading:.2f} s, attributes {filling:.2f} s, together {reading + filling:.2f} s")
    print(f"{(reading + filling) / plain:.0f} times as long as reading the bytes alone ({plain:.3f} s)")


def random_splats(module: Any, count: int) -> Any:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal((count, *shape), np.float32)

    level = np.sort(np.searchsorted([0.003, 0.015, 0.06, 0.25], random.random(count))).astype(np.int32)
    first = np.searchsorted(level, np.arange(6))
    parent = np.full(count, -1, np.int32)
    for index in range(1, 5):
        here = slice(first[index], first[index + 1])
        parent[here] = random.integers(first[index - 1], first[index], first[index + 1] - first[index])
    return module.splats_from_stored(
        normal(3), normal(3) - 4, normal(4), normal(1, 3), normal(), level=level, parent=parent, frame="y_up"
    )


def check(importing: Any, data: Any, splats: Any) -> None:
    """Exact counts in every level, attributes within 1e-6 of the file's."""
    assert (np.bincount(importing.get_values(data, "level")) == np.bincount(splats.level)).all()
    assert (importing.get_values(data, "parent") == splats.parent).all()
    for name, wanted in (("position", splats.position), ("scale", splats.scale), ("radiance:base", splats.base)):
        error = np.abs(importing.get_values(data, name) - wanted).max()
        assert error <= 1e-6, (name, error)


if __name__ == "__main__":
    main()
