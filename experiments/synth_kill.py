"""A dataset made twice: in peace, and with workers killed (SIGKILL) at random moments. Are the bytes the same?

Also watches the workers' memory, which must stay flat. Minutes to hours, by ``--count``.

    python experiments/synth_kill.py --count 10000 --kills 20
    python experiments/synth_kill.py --count 500 --kills 3 --engine ray
    python experiments/synth_kill.py --count 2500 --views 8 --kills 0     # memory only
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import warm_up
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.synthesis import Workforce, check, synthesize_dataset
from hgs_toolkit.synthesis.plan import read_plan

PAGE = os.sysconf("SC_PAGE_SIZE")

MEMORY_SECONDS = 2.0

RECORDS = "shards/[0-9]*.json"


def main() -> None:
    options = parse()
    warm_up()
    with tempfile.TemporaryDirectory(dir=options.out) as name:
        work = Path(name)
        model = options.model or untrained_model(work / "model.safetensors", options.preset)
        _, memory, seconds = run(work / "quiet", model, options)
        print(f"in peace: {options.count * options.views} images in {seconds:.0f} s")
        print(f"memory of the largest worker, MB, by shards done: {table(memory)}", flush=True)
        if not options.kills:
            return
        killed, _, seconds = run(work / "killed", model, options, kills=options.kills)
        print(f"with {killed} workers killed: {seconds:.0f} s")
        report = check(work / "killed")
        same = contents(work / "quiet") == contents(work / "killed")
        print(f"check: {report.images} images, {report.files} files, problems: {report.problems or 'none'}")
        print(f"unfinished files left: {len(list((work / 'killed').rglob('.tmp-*')))}")
        print(f"bytes the same: {same}")
        assert same
        assert not report.problems


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--format", default="wds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--preset", default="critters64", help="an untrained model of this preset is used")
    parser.add_argument("--model", type=Path, help="a model in its place")
    parser.add_argument("--out", type=Path, help="folder for the datasets, removed at the end")
    return parser.parse_args()


def untrained_model(path: Path, preset: str) -> Path:
    config = load_preset(preset)
    torch.manual_seed(0)
    save_model(path, Generator(config.generator), config)
    return path


def run(
    folder: Path, model: Path, options: argparse.Namespace, kills: int = 0
) -> tuple[int, list[tuple[int, float]], float]:
    """Workers killed, (shards done, MB of the largest worker) over time, seconds."""
    values = {"count": options.count, "views": options.views, "size": options.size, "format": options.format}
    stop, memory, struck = threading.Event(), list[tuple[int, float]](), list[int]()
    threads = [
        threading.Thread(target=strike, args=(stop, options.engine, folder, kills, struck)),
        threading.Thread(target=watch, args=(stop, options.engine, folder, memory)),
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        workforce = Workforce(options.engine, options.workers)
        synthesize_dataset(folder, model, values, workforce=workforce)
    finally:
        seconds = time.monotonic() - began
        stop.set()
        for thread in threads:
            thread.join()
    return len(struck), memory, seconds


def strike(stop: threading.Event, engine: str, folder: Path, kills: int, struck: list[int]) -> None:
    """Kill ``kills`` workers, each at a random place of the run and a random moment of a shard."""
    rng = random.Random(0)
    for place in sorted(rng.uniform(0.0, 0.95) for _ in range(kills)):
        while shards_done(folder) < place and not stop.is_set():
            stop.wait(0.1)
        stop.wait(rng.uniform(0.0, 1.0))
        while not stop.is_set():
            victims = worker_pids(engine)
            if victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                struck.append(1)
                break
            stop.wait(0.05)


def shards_done(folder: Path) -> float:
    """Share of the dataset's shards that have a record."""
    plan = folder / "plan.json"
    return len(list(folder.glob(RECORDS))) / read_plan(plan).shards if plan.exists() else 0.0


def watch(stop: threading.Event, engine: str, folder: Path, memory: list[tuple[int, float]]) -> None:
    """Note the largest worker's resident memory beside the number of shards that are done."""
    while not stop.wait(MEMORY_SECONDS):
        sizes = [resident_mb(pid) for pid in worker_pids(engine)]
        shards = len(list(folder.glob(RECORDS)))
        memory.append((shards, max(sizes, default=0.0)))


def worker_pids(engine: str) -> list[int]:
    """Processes that make shards."""
    if engine == "local":
        return [child.pid for child in multiprocessing.active_children() if child.pid is not None]
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_actor(entry)]


def is_actor(entry: Path) -> bool:
    try:
        return (entry / "cmdline").read_bytes().startswith(b"ray::RayWorker")
    except OSError:
        return False


def resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    except (OSError, IndexError):
        return 0.0


def table(memory: list[tuple[int, float]], rows: int = 12) -> str:
    """A dozen of the measurements."""
    step = max(1, len(memory) // rows)
    return ", ".join(f"{shards} shards {size:.0f}" for shards, size in memory[::step])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    main()
