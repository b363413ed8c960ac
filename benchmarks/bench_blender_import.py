"""How long Blender takes for many Gaussians: import, a step of the sliders of Grade and Levels, and how much memory.

    PYTHONPATH=. .venv-bpy45/bin/python benchmarks/bench_blender_import.py [--count 1000000]

A .ply of random Gaussians in five levels is written, imported with its display by the extension's code, and compared
with what was written. A step is what a slider in a panel costs: the input is set and the object evaluated anew, as
the viewport shows it. The yardstick of the import is numpy reading the same bytes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

ROUNDS = 5

SLIDERS = {
    "Grade, Exposure": ("grade", "Exposure", 1.0),
    "Grade, Curves": ("grade", "Curves", -0.5),
    "Levels, Level 4 Opacity": ("levels", "Level 4 Opacity", -0.5),
    "Levels, Grow": ("levels", "Grow", -0.5),
}
"""What is measured: the modifier, its input, and how far it is moved in all rounds together."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args(sys.argv[1:])
    names = (
        "compat", "data", "core.splats", "core.files.write_ply", "core.files.reading", "edits.grade", "nodes.display",
        "ui.levels",
    )  # fmt: skip
    addon = {name: importlib.import_module(f"blender_addon.{name}") for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.ply"
        pid = os.fork()  # so that the memory for making them does not count
        if pid == 0:
            addon["core.files.write_ply"].write_ply(path, random_splats(addon["core.splats"], arguments.count))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        started = peak_memory()
        imported = [import_one(addon, path) for _ in range(ROUNDS)]
        wanted = addon["core.files.reading"].read_splats(path)
        check(addon["data"], imported[-1][1].data, wanted)
    seconds, plain = np.median([row for row, _ in imported], axis=0)
    print(f"Blender {bpy.app.version_string}, {arguments.count:,} Gaussians, medians of {ROUNDS}:")
    print(f"import {seconds:.2f} s, {seconds / plain:.0f} times as long as reading the bytes alone ({plain:.3f} s)")
    obj = imported[-1][1]
    modifiers = {"grade": addon["edits.grade"].add_grade(obj), "levels": addon["ui.levels"].add_levels(obj)}
    evaluate()
    for text, (kind, name, way) in SLIDERS.items():
        value = addon["compat"].get_input(modifiers[kind], name)
        steps = []
        for step in range(1, ROUNDS + 1):
            moved = value + way * step / ROUNDS
            steps.append(seconds_of(lambda: addon["compat"].set_input(modifiers[kind], name, moved)))  # noqa: B023
        print(f"{text}: {np.median(steps):.2f} s a step")
    print(f"peak memory {peak_memory():.2f} GB ({started:.2f} GB before the first import)")


def import_one(addon: dict[str, Any], path: Path) -> tuple[tuple[float, float], Any]:
    """Seconds of an import into an empty file and of reading the bytes alone, and the object."""
    start = time.perf_counter()
    np.fromfile(path, np.uint8)
    plain = time.perf_counter() - start
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    start = time.perf_counter()
    splats = addon["core.files.reading"].read_splats(path)
    obj = bpy.data.objects.new("many", addon["data"].splat_data("many", splats))
    addon["nodes.display"].add_display(obj)
    bpy.context.scene.collection.objects.link(obj)
    return (time.perf_counter() - start, plain), obj


def seconds_of(change: Callable[[], None]) -> float:
    """How long it takes until a change is evaluated."""
    start = time.perf_counter()
    change()
    evaluate()
    return time.perf_counter() - start


def evaluate() -> None:
    """Let Blender evaluate what has changed."""
    bpy.context.view_layer.update()


def peak_memory() -> float:
    """Greatest memory that this process has had so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


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
