"""How long Blender takes for many Gaussians: import, a step of the sliders of Grade and Levels, and how much memory.

    PYTHONPATH=. .venv-bpy45/bin/python benchmarks/bench_blender_import.py [--count 1000000]

A .ply of random Gaussians in five levels is written, imported with its display by the extension's code, and compared
with what was written. A step is what a slider in a panel costs: the input is set and the object evaluated anew, as
the viewport shows it. Seconds are the clock's, and in brackets the processor's, all threads together, which other work
on the machine does not lengthen.
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

Seconds = tuple[float, float]
"""Of the clock and of the processor."""

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
    parser.add_argument("--rounds", type=int, default=5)
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
        imported = [import_one(addon, path) for _ in range(arguments.rounds)]
        wanted = addon["core.files.reading"].read_splats(path)
        check(addon["data"], imported[-1][1].data, wanted)
    print(f"Blender {bpy.app.version_string}, {arguments.count:,} Gaussians, medians of {arguments.rounds}:")
    print(f"import {in_words([row for row, _ in imported])}")
    obj = imported[-1][1]
    modifiers = {"grade": addon["edits.grade"].add_grade(obj), "levels": addon["ui.levels"].add_levels(obj)}
    evaluate()
    for text, (kind, name, way) in SLIDERS.items():
        value = addon["compat"].get_input(modifiers[kind], name)
        steps = []
        for step in range(1, arguments.rounds + 1):
            moved = value + way * step / arguments.rounds
            steps.append(seconds_of(lambda: addon["compat"].set_input(modifiers[kind], name, moved)))  # noqa: B023
        print(f"{text}: {in_words(steps)} a step")
    print(f"peak memory {peak_memory():.2f} GB ({started:.2f} GB before the first import)")


def import_one(addon: dict[str, Any], path: Path) -> tuple[Seconds, Any]:
    """Seconds of an import into an empty file, and the object."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    made = []

    def work() -> None:
        splats = addon["core.files.reading"].read_splats(path)
        made.append(bpy.data.objects.new("many", addon["data"].splat_data("many", splats)))
        addon["nodes.display"].add_display(made[0])
        bpy.context.scene.collection.objects.link(made[0])

    return seconds_of(work), made[0]


def seconds_of(change: Callable[[], None]) -> Seconds:
    """How long it takes until a change is evaluated."""
    start, used = time.perf_counter(), time.process_time()
    change()
    evaluate()
    return time.perf_counter() - start, time.process_time() - used


def in_words(rows: list[Seconds]) -> str:
    """Medians."""
    clock, processor = np.median(rows, axis=0)
    return f"{clock:.2f} s ({processor:.2f} s)"


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
