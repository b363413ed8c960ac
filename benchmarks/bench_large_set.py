"""How soon training on a large set begins, and what reading images costs a step with worker threads and without.

    python benchmarks/bench_large_set.py make set.zip --count 70000 [--resolution 64]
    python benchmarks/bench_large_set.py start set.zip [--preset critters64-at64] [--memory 2]
    python benchmarks/bench_large_set.py steps set.zip [--preset critters64-at64] [--steps 12]

``start`` runs ``hgs train`` until its first step is reported, and prints seconds by the clock and of the process on the
CPU. ``steps`` takes turns with 0, 1 and 2 workers in one process; every step reads images that no one read before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hgs_toolkit.datasets.critters.drawing import critter
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import encode_png
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fitting import fitted
from hgs_toolkit.training.inputs.prefetching import Prefetcher
from hgs_toolkit.training.trainer import Trainer

BASES = 64
"""Number of critters that the images repeat."""

NOISE = 6
"""Largest change of a colour by an image's own noise, of 255."""


def make(path: Path, count: int, resolution: int) -> None:
    """Write ``count`` different images: critters, each time with noise of their own."""
    labels = PosePrior().sample(count, torch.Generator().manual_seed(0)).labels.numpy()
    bases = [critter(0, index).render(labels[index], resolution).rgba for index in range(BASES)]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, NOISE, (resolution // 4, resolution, 3), np.uint8)
    with open_writer(path) as writer:
        for index in range(count):
            pixels = bases[index % BASES].copy()
            pixels[: resolution // 4, :, :3] += np.roll(noise, index, axis=1) + np.uint8(index // BASES % 200)
            writer.add(encode_png(pixels), labels[index])


def start(path: Path, preset: str, memory: float) -> None:
    """Print how long ``hgs train`` takes to its first step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "hgs_toolkit.cli", "train", "--data", str(path), "--out", f"{folder}/run",
            "--preset", preset, "--set", f"training.memory_gib={memory}", "--json-progress",
        ]  # fmt: skip
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            event = next(event for event in map(json.loads, process.stdout) if event.get("step"))
            seconds, ticks = time.monotonic() - began, Path(f"/proc/{process.pid}/stat").read_text().split()[13:15]
            process.kill()
    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    print(f"step {event['step']} of {preset} after {seconds:.1f} s by the clock, {cpu:.1f} s of the CPU")


def steps(path: Path, preset: str, count: int, memory: float) -> None:
    """Print the median of a step by the clock and of the CPU with 0, 1 and 2 workers, in turns."""
    config = load_preset(preset)
    data = open_dataset(path, config.generator.resolution, int(memory * 2**30), disk_cache=True)
    config = fitted(config, data)
    trainer = Trainer(config, World())
    clocks: dict[int, list[float]] = {0: [], 1: [], 2: []}
    usage: dict[int, list[float]] = {0: [], 1: [], 2: []}
    readers = {
        workers: Prefetcher(
            data, replace(config, training=replace(config.training, workers=workers)), 10_000 * (workers + 1), World()
        )
        for workers in clocks
    }
    interval = config.training.penalty_interval
    for turn in range(count + 1):
        for workers, reader in readers.items():
            with_penalty = [time.monotonic(), time.process_time()]
            for step in range(turn * interval, (turn + 1) * interval):
                trainer.train_step(data, reader.take(10_000 * (workers + 1) + step))
            if turn:  # the first one warms up
                clocks[workers].append((time.monotonic() - with_penalty[0]) / interval)
                usage[workers].append((time.process_time() - with_penalty[1]) / interval)
    for workers in clocks:
        clock, cpu = float(np.median(clocks[workers])), float(np.median(usage[workers]))
        ratio = np.median(np.array(clocks[workers]) / np.array(clocks[0]))
        print(
            f"{workers} workers: {clock:.3f} s a step by the clock ({ratio:.3f} of 0 workers), {cpu:.3f} s of the CPU"
        )
        readers[workers].__exit__(None, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "start", "steps"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--count", type=int, default=70_000)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--preset", default="critters64-at64")
    parser.add_argument("--memory", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.what == "make":
        make(arguments.path, arguments.count, arguments.resolution)
    elif arguments.what == "start":
        start(arguments.path, arguments.preset, arguments.memory)
    else:
        steps(arguments.path, arguments.preset, arguments.steps, arguments.memory)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most")


if __name__ == "__main__":
    main()
