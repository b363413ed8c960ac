"""How long and how much memory a mesh takes, step by step, and the compiled gridding against its torch twin.

    python benchmarks/bench_mesh.py [--gaussians 200000] [--resolution 256] [--threads 2] [--json results.json]

The scene is a bumpy ball of discs. Figures are wall times of one run with compiled kernels; memory is the peak
of the whole process. The targets are 15 s and 2 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the solids are those of the tests

from hgs_toolkit.exporters.meshes.color import ColorField, paint_vertices
from hgs_toolkit.exporters.meshes.density import on_grid, sum_on_grid, sum_torch
from hgs_toolkit.exporters.meshes.grid import FLOOR, fit_grid
from hgs_toolkit.exporters.meshes.isosurface import isosurface, select_parts
from hgs_toolkit.exporters.meshes.meshing import build_mesh
from hgs_toolkit.exporters.meshes.poisson import find_walls, surface_at
from hgs_toolkit.exporters.meshes.settings import MeshSettings
from hgs_toolkit.exporters.meshes.simplify import decimate
from hgs_toolkit.exporters.meshes.visible import visible_gaussians
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.meshes import shapes


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def steps(scene: GaussianHierarchy, settings: MeshSettings) -> dict[str, float]:
    """Seconds of each step of the surface method."""
    splats = visible_gaussians(scene)
    grid = fit_grid(splats, settings.resolution)
    seconds = {}
    field, seconds["field"] = timed(lambda: surface_at(find_walls(splats, grid)))
    whole, seconds["triangles"] = timed(lambda: isosurface(field.values, field.surface, grid))
    whole, seconds["parts"] = timed(lambda: select_parts(whole, "largest", fill=True))
    made, seconds["decimation"] = timed(lambda: decimate(whole, settings.triangles))
    _, seconds["colours"] = timed(lambda: paint_vertices(made, ColorField(splats, field.weights, grid)))
    return seconds


def gridding(scene: GaussianHierarchy, settings: MeshSettings) -> dict[str, float]:
    """Seconds of one density by each backend, on a grid of half the resolution."""
    splats = visible_gaussians(scene)
    grid = fit_grid(splats, settings.resolution // 2)
    opacities = splats.opacities[:, None]
    centres, precisions, reach = map(torch.from_numpy, on_grid(splats, grid, FLOOR))
    _, numba = timed(lambda: sum_on_grid(splats, opacities, grid))
    _, twin = timed(lambda: sum_torch(centres, precisions, reach, torch.from_numpy(opacities), grid.shape))
    return {"numba": numba, "torch": twin, "ratio": twin / numba}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="append the figures to this file, one JSON object a line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scene = shapes.cover(shapes.BUMPY, options.gaussians)
    build_mesh(shapes.cover(shapes.BUMPY, 1000), MeshSettings(resolution=32))  # compiles
    settings = MeshSettings(resolution=options.resolution)
    before = peak_gigabytes()
    _, surface = timed(lambda: build_mesh(scene, settings))
    peak = peak_gigabytes()
    _, shell = timed(lambda: build_mesh(scene, MeshSettings("shell", options.resolution)))
    record = {
        "gaussians": options.gaussians, "resolution": options.resolution, "threads": options.threads,
        "surface_s": surface, "shell_s": shell, "peak_gb": peak, "peak_before_gb": before,
        "steps_s": steps(scene, settings), "gridding_s": gridding(scene, settings),
    }  # fmt: skip
    print(json.dumps(record, indent=2))
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
