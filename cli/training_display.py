"""What ``hgs train`` shows of a run, and how it is asked to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hgs_toolkit.cli.console import Reporter
from hgs_toolkit.cli.progress import PLAIN_INTERVAL

if TYPE_CHECKING:
    from hgs_toolkit.training.loop import RunProgress

Show = Callable[["RunProgress"], None]

SHOWN = (
    "loss_d", "loss_g", "real", "fake", "r1", "r2", "pixels", "perceptual", "divergence", "grad_d", "grad_g", "knn",
)  # fmt: skip
"""Scalars of the live display in their order; those that the recipe does not have are left out."""


@contextmanager
def stop_flag(report: Reporter) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop after this step; the second one interrupts at once."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt("--resume goes on from what was saved last, if anything was")
        asked = True
        report.note("stopping after this step, the state is being saved")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def display(report: Reporter, title: str) -> Iterator[Show]:
    """Show a run: as JSON events, as a live panel in a terminal, or elsewhere as a line every few seconds."""
    import sys

    if report.json_lines:
        yield lambda progress: _show_event(report, progress)
    elif sys.stderr.isatty():
        yield from _live_panel(title)
    else:
        yield _PlainLines(report).show


def _show_event(report: Reporter, progress: RunProgress) -> None:
    report.event(
        "progress", text="training", done=progress.kimg, total=progress.total_kimg, step=progress.step,
        images_per_second=progress.images_per_second, seconds_left=progress.seconds_left,
        stage=progress.stage, plan_seconds_left=progress.plan_seconds_left, **progress.stats,
    )  # fmt: skip
    if progress.tick:
        report.event("tick", **progress.tick)


class _PlainLines:
    """A line for each tick, and one every few seconds in between."""

    def __init__(self, report: Reporter) -> None:
        self.report, self.last = report, time.monotonic()

    def show(self, progress: RunProgress) -> None:
        """Show where the run is."""
        now = time.monotonic()
        if progress.tick or now - self.last >= PLAIN_INTERVAL:
            self.last = now
            self.report.note(f"{headline(progress)}  {figures(progress.tick or progress.stats)}")


def _live_panel(title: str) -> Iterator[Show]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:

        def show(progress: RunProgress) -> None:
            bar = ProgressBar(progress.total_kimg, min(progress.kimg, progress.total_kimg))
            lines = Group(bar, Text(headline(progress)), Text(figures(progress.stats), style="dim"))
            live.update(Panel(lines, title=f"training {title}", title_align="left"))

        yield show


def headline(progress: RunProgress) -> str:
    """``step 120  1.92 of 100 kimg  14.2 img/s  1 h 55 min left``; for a plan also its stage and time left."""
    before = f"{progress.stage}: " if progress.stage else ""
    whole = progress.plan_seconds_left
    after = f", {_duration(whole)} of the whole plan" if whole is not None else ""
    return (
        f"{before}step {progress.step}  {progress.kimg:.2f} of {progress.total_kimg:g} kimg  "
        f"{progress.images_per_second:.1f} img/s  {_duration(progress.seconds_left)} left{after}"
    )


def figures(values: dict[str, Any]) -> str:
    """The scalars worth watching, and any measured KID."""
    names = [name for name in SHOWN if name in values] + [name for name in values if name.startswith("kid_")]
    return "  ".join(f"{name} {values[name]:.3g}" for name in names)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
