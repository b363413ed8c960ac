"""How fast Gaussians are drawn on this CPU: the kernels against the dense reference, one thread against two.

    python benchmarks/bench_rasterizer.py [--json results.json] [--threads 1 2] [--repeats 7] [--no-reference]

Forward and backward with gradients to everything but the cameras. Wall and CPU time are the least of all repeats: on
a busy machine wall time says little about the code. The reference draws two strips of the image, from which
its cost for all rows follows; it runs on one thread, like the kernels it is compared with.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hgs_toolkit.cameras import frontal
from hgs_toolkit.rendering import rasterize, warm_up


@dataclass(frozen=True)
class Case:
    """A batch of scenes, one camera each."""

    scenes: int
    gaussians: int
    size: int
    scale: float
    with_reference: bool = False

    @property
    def name(self) -> str:
        return f"{self.scenes} x {self.size}^2, {self.gaussians} Gaussians each"


CASES = (
    Case(1, 20_000, 256, 0.01, with_reference=True),
    Case(8, 5_000, 64, 0.02, with_reference=True),
    Case(16, 10_000, 64, 0.015),
    Case(1, 150_000, 512, 0.005),
)

STRIPS = (2, 8)
"""Rows of the image that the reference draws."""


@dataclass
class Times:
    """Milliseconds."""

    forward_wall: float
    forward_cpu: float
    backward_wall: float
    backward_cpu: float

    @property
    def wall(self) -> float:
        return self.forward_wall + self.backward_wall

    @property
    def cpu(self) -> float:
        return self.forward_cpu + self.backward_cpu


def make_inputs(case: Case) -> dict[str, Tensor]:
    """A ball of Gaussians that fills most of the image."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.scenes, case.gaussians)
    camera = frontal(focal=1.4).expand(case.scenes, 1)
    inputs = {
        "means": torch.randn(*shape, 3, generator=generator) * 0.35,
        "quats": torch.randn(*shape, 4, generator=generator),
        "scales": (torch.randn(*shape, 3, generator=generator) * 0.5).exp() * case.scale,
        "opacities": torch.rand(*shape, generator=generator),
        "colors": torch.rand(*shape, 3, generator=generator),
        "backgrounds": torch.rand(case.scenes, 1, 3, generator=generator),
    }
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    return leaves | {"viewmats": camera.viewmats, "Ks": camera.pixel_intrinsics(case.size, case.size)}


def measure(inputs: dict[str, Tensor], width: int, height: int, backend: str, repeats: int) -> Times:
    """The least times of ``repeats`` rounds."""
    rounds = []
    for _ in range(repeats):
        leaves = [value for value in inputs.values() if value.requires_grad]
        (image, alpha), wall, cpu = timed(
            lambda: rasterize(**inputs, width=width, height=height, backend=backend)  # type: ignore[arg-type]
        )
        weights = [torch.ones_like(image), torch.ones_like(alpha)]
        _, back_wall, back_cpu = timed(lambda: torch.autograd.grad([image, alpha], leaves, weights))  # noqa: B023
        rounds.append((wall, cpu, back_wall, back_cpu))
    return Times(*(min(values) for values in zip(*rounds, strict=True)))


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """The function's value, and wall and CPU milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = function()
    return value, (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def measure_reference(inputs: dict[str, Tensor], case: Case) -> Times:
    """The reference on two strips of the image: a fixed cost and one per row, extrapolated to all rows."""
    few, more = (measure_strip(inputs, case, rows) for rows in STRIPS)
    grow = (case.size - STRIPS[0]) / (STRIPS[1] - STRIPS[0])
    return Times(*(a + (b - a) * grow for a, b in zip(asdict(few).values(), asdict(more).values(), strict=True)))


def measure_strip(inputs: dict[str, Tensor], case: Case, rows: int) -> Times:
    """The reference on the ``rows`` in the middle of the image."""
    strip = dict(inputs)
    strip["Ks"] = inputs["Ks"].clone()
    strip["Ks"][..., 1, 2] -= (case.size - rows) / 2
    return measure(strip, case.size, rows, "torch", repeats=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--json", type=Path, help="append the figures to this file, one JSON object a line")
    options = parser.parse_args()
    warm_up()

    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}; milliseconds wall (CPU)")
    for case in CASES:
        inputs = make_inputs(case)
        record: dict[str, object] = {"case": case.name, "date": time.strftime("%Y-%m-%d")}
        print(f"\n{case.name}")
        results: dict[str, Times] = {}
        for threads in options.threads:
            torch.set_num_threads(threads)
            results[f"cpu, {threads} threads"] = measure(inputs, case.size, case.size, "cpu", options.repeats)
        if case.with_reference and not options.no_reference:
            torch.set_num_threads(1)
            results["reference, 1 thread"] = measure_reference(inputs, case)
        fastest = next(iter(results.values()))
        for name, times in results.items():
            print(
                f"  {name:20} forward {times.forward_wall:8.1f} ({times.forward_cpu:8.1f})  "
                f"backward {times.backward_wall:8.1f} ({times.backward_cpu:8.1f})  "
                f"ratio {times.wall / fastest.wall:7.2f} ({times.cpu / fastest.cpu:7.2f})"
            )
            record[name] = asdict(times)
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
