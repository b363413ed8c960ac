"""Named steps, each with a time limit, a process group and a log of its own; a failing step does not stop the others.

    python gpu/steps.py check [--out FOLDER] [--dry]     proves the CUDA path, in 8 minutes
    python gpu/steps.py train [--out FOLDER] [--dry] [--minutes 10]

``FOLDER`` gets NAME.log for each step, steps.jsonl with a line for each, and now.json, written every minute while a
step runs. The table of all steps is printed last. ``--dry`` runs the same steps, small, on the CPU. Untested on
hardware.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

GRACE_SECONDS = 20.0
"""Seconds between asking a step to end (SIGTERM) and ending it."""

NOTE_SECONDS = 60.0
"""Seconds between two notes of what runs."""

DRY_PATIENCE = 10
"""Factor on the time limits of a check without a GPU."""


@dataclass(frozen=True)
class Step:
    """A command and the seconds it may take."""

    name: str
    command: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How a step ended: ``ok``, ``failed`` with its exit code, or ``timeout``; its duration and last line."""

    name: str
    state: str
    code: int
    seconds: float
    last: str


def check_steps(out: Path, *, dry: bool) -> list[Step]:
    """The steps that prove the CUDA path, the most telling first."""
    device, flags = ("cpu" if dry else "cuda"), ("--dry",) if dry else ()
    warm = f"from hgs_toolkit.rendering import warm_up; warm_up({device!r})"

    def pytest(name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rs", f"tests/gpu/test_{name}.py")

    def script(name: str) -> tuple[str, ...]:
        return (sys.executable, f"gpu/{name}.py", "--out", str(out / f"{name}.json"), *flags)

    steps = [
        Step("kernels", (sys.executable, "-c", warm), 190),
        # After the kernels, so that it measures an image.
        Step("doctor", (sys.executable, "-m", "hgs_toolkit.cli", "doctor", "--json-progress"), 30),
        Step("parity", pytest("parity"), 80),
        Step("training", pytest("training"), 60),
        Step("commands", pytest("commands"), 120),
        Step("memory", script("memory"), 60),
        Step("bench", script("bench"), 30),
        Step("report", (sys.executable, "gpu/report.py", str(out), *flags), 20),
    ]
    # A busy machine without a GPU is no measure of time.
    return [replace(step, seconds=DRY_PATIENCE * step.seconds) for step in steps] if dry else steps


def train_steps(out: Path, *, dry: bool, minutes: float) -> list[Step]:
    """One piece of training, and what is taken home."""
    flags = ("--dry",) if dry else ()
    seconds = 60 * minutes
    return [
        Step("train", (sys.executable, "gpu/train.py", str(out), "--minutes", f"{minutes:g}", *flags), seconds + 120),
        Step("collect", (sys.executable, "gpu/collect.py", str(out), "--out", str(out / "collected")), 60),
    ]


def run_steps(steps: Sequence[Step], out: Path, note: Callable[[str], object] = print) -> list[Outcome]:
    """Run ``steps`` one after the other, whatever becomes of each."""
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for step in steps:
        note(f"{step.name}: at most {step.seconds:.0f} s")
        outcomes.append(run_step(step, out))
        with open(out / "steps.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcomes[-1])) + "\n")
    note(table(outcomes))
    return outcomes


def run_step(step: Step, out: Path) -> Outcome:
    """Run one step in a process group of its own; past its time the whole group is ended."""
    log, started, state = out / f"{step.name}.log", time.monotonic(), "ok"
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            step.command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
        try:
            while process.poll() is None:
                left = step.seconds - (time.monotonic() - started)
                if left <= 0:
                    state = "timeout"
                    break
                _write_now(out, step, time.monotonic() - started, log)
                _wait(process, min(left, NOTE_SECONDS))
        finally:
            _end(process)
    code = process.wait()
    if state == "ok" and code != 0:
        state = "failed"
    return Outcome(step.name, state, code, round(time.monotonic() - started, 2), last_line(log))


def table(outcomes: Sequence[Outcome]) -> str:
    """A line a step: name, state, seconds, the last line of its log."""
    return "\n".join(f"{o.name:10} {o.state:8} {o.seconds:8.1f} s  {o.last[:100]}" for o in outcomes)


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _write_now(out: Path, step: Step, seconds: float, log: Path) -> None:
    temporary = out / "now.json.tmp"
    temporary.write_text(json.dumps({"step": step.name, "seconds": round(seconds), "last": last_line(log)}))
    temporary.replace(out / "now.json")


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the step's group to end, then end it."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        _wait(process, GRACE_SECONDS)
        if process.poll() is not None:
            return


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "train"))
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--minutes", type=float, default=8.0)
    arguments = parser.parse_args()
    if arguments.dry:
        os.environ["HGS_GPU_DRY"] = "1"  # tests/gpu: the CPU stands in for the GPU
    out = (arguments.out or Path("build") / f"gpu_{arguments.what}").resolve()
    steps = check_steps(out, dry=arguments.dry)
    if arguments.what == "train":
        steps = train_steps(out, dry=arguments.dry, minutes=arguments.minutes)
    return 0 if all(outcome.state == "ok" for outcome in run_steps(steps, out)) else 1


if __name__ == "__main__":
    sys.exit(main())
