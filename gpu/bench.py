"""The times of the paper's table on this machine: one image of 256 and of 512 pixels, eager and as a CUDA graph.

    python gpu/bench.py --out bench.json [--dry]

The paper says 2.7 ms at 256 and 3.0 ms at 512 pixels for rendering (Hyun & Heo 2024). Untested on hardware.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.rendering import rasterize

CASES = ((256, 87_296, 2.7), (512, 349_440, 3.0))
"""Pixels, Gaussians of the paper's models, milliseconds it reports."""

DRY_CASES = ((32, 500, 2.7),)
REPEATS = 20


def draw_function(size: int, count: int, device: torch.device) -> Callable[[], torch.Tensor]:
    """A function that draws one image of ``count`` random Gaussians."""
    generator = torch.Generator().manual_seed(0)
    means = (0.4 * torch.randn(1, count, 3, generator=generator)).clamp(-1, 1).to(device)
    quats = torch.randn(1, count, 4, generator=generator).to(device)
    ones = torch.ones(1, count, 3, device=device)
    camera = frontal().to(device)
    viewmats, Ks = camera.viewmats[None], camera.pixel_intrinsics(size, size)[None]
    return lambda: rasterize(means, quats, 0.008 * ones, 0.5 * ones[..., 0], ones, viewmats, Ks, size, size)[0]


def milliseconds(draw: Callable[[], object], device: torch.device) -> float:
    """Median time of one call, waiting for the device."""
    times = []
    for _ in range(REPEATS + 3):
        started = time.perf_counter()
        draw()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[3:])


def as_graph(draw: Callable[[], object]) -> Callable[[], object] | str:
    """``draw`` as a CUDA graph, or why that is not possible."""
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            draw()
    except RuntimeError as error:  # gsplat reads the number of intersections back, which a graph cannot
        return str(error).splitlines()[0]
    return graph.replay


def measure(size: int, count: int, paper: float, device: torch.device) -> dict[str, Any]:
    """A row of the table."""
    draw = draw_function(size, count, device)
    with torch.no_grad():
        row: dict[str, Any] = {
            "size": size,
            "gaussians": count,
            "paper_ms": paper,
            "eager_ms": milliseconds(draw, device),
        }
        if device.type == "cuda":
            graph = as_graph(draw)
            row["graph_ms"] = graph if isinstance(graph, str) else milliseconds(graph, device)
    return row


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.dry else "cuda")
    name = "CPU, dry" if arguments.dry else torch.cuda.get_device_name()
    rows = [measure(*case, device) for case in (DRY_CASES if arguments.dry else CASES)]
    arguments.out.write_text(json.dumps({"device": name, "torch": torch.__version__, "rows": rows}, indent=1))
    for row in rows:
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
