"""How long the exact engine of the Blender extension takes (numpy alone), beside the toolkit's compiled rasteriser.

python benchmarks/bench_exact_engine.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the extension is found

import hgs_toolkit as hgs
from blender_addon.core.projection import Lens, in_camera, project
from blender_addon.core.rasterizing import rasterize
from blender_addon.core.splats import splats_from_stored
from hgs_toolkit.cameras import frontal
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import PARAMETERS, GaussianHierarchy
from hgs_toolkit.sampling import sample

REPEATS = 3


def best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of REPEATS calls, after one that does not count."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def shell(count: int) -> GaussianHierarchy:
    """Small leaves on a ball, as a captured scene has them."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, count, *shape, generator=generator)

    places = torch.nn.functional.normalize(normal(3), dim=-1) * 0.5
    return GaussianHierarchy(places, -5.3 + 0.5 * normal(3), normal(4), normal(1, 3), 2 * normal())


def main() -> None:
    camera = frontal()
    to_camera = np.linalg.inv(camera.cam_to_world.reshape(4, 4).double().numpy())
    print("| scene | picture | numpy, s | compiled, s | ratio |\n|---|---|---|---|---|")
    for name, scene in (("sample of the shipped model", sample(load_model(), [7])), ("ball", shell(200_000))):
        splats = splats_from_stored(*(getattr(scene, part)[0].numpy() for part in PARAMETERS), frame="y_up")
        for size in (256, 1024):
            lens = Lens(size, size, 2 * size, 2 * size, size / 2, size / 2)
            numpy = best(lambda: rasterize(project(in_camera(splats, to_camera), lens), size, size))  # noqa: B023
            compiled = best(lambda: hgs.render(scene, camera, size, size, backend="cpu"))  # noqa: B023
            print(f"| {name}, {len(splats):,} | {size}² | {numpy:.2f} | {compiled:.3f} | {numpy / compiled:.0f} |")


if __name__ == "__main__":
    main()
