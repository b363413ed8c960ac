"""Progress of running work: a bar in a terminal, a plain line every few seconds elsewhere, JSON events for programs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

JSON_INTERVAL = 0.1
"""Seconds between two progress events of one task in JSON mode, at least; the last event always comes."""

PLAIN_INTERVAL = 5.0
"""Seconds between two plain progress lines of one task."""

T = TypeVar("T")


class Task:
    """One running piece of work; made by :meth:`~hgs_toolkit.cli.console.Reporter.progress`."""

    def __init__(self, event: Callable[..., None], text: str, total: float | None, bar: Progress | None) -> None:
        self.text, self.total, self.done = text, total, 0.0
        self._event, self._bar = event, bar
        self._id = bar.add_task(text, total=total) if bar else None
        self._start = time.monotonic()
        self._last_event = -JSON_INTERVAL

    def advance(self, steps: float = 1, text: str | None = None) -> None:
        """Move on by ``steps``; ``text`` replaces the description."""
        self.update(self.done + steps, text=text)

    def update(self, done: float, total: float | None = None, text: str | None = None) -> None:
        """Set how much is done, and the total if it was not known before."""
        self.done, self.total, self.text = done, total or self.total, text or self.text
        if self._bar and self._id is not None:
            self._bar.update(self._id, completed=done, total=self.total, description=self.text)
        self._emit(force=done == self.total)

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """``items`` as they come; each counts as a step."""
        for item in items:
            yield item
            self.advance()

    def line(self) -> str:
        """The state in words: ``drawing: 12 of 120, 8 s, about 70 s left``."""
        seconds = time.monotonic() - self._start
        if not self.total:
            return f"{self.text}: {seconds:.0f} s"
        left = f", about {seconds / self.done * (self.total - self.done):.0f} s left" if self.done else ""
        return f"{self.text}: {self.done:g} of {self.total:g}, {seconds:.0f} s{left}"

    def _emit(self, *, force: bool) -> None:
        now = time.monotonic()
        if force or now - self._last_event >= JSON_INTERVAL:
            self._last_event = now
            self._event("progress", text=self.text, done=self.done, total=self.total)


@contextmanager
def plain_lines(task: Task, say: Callable[[str], None]) -> Iterator[None]:
    """Say ``task.line()`` every :data:`PLAIN_INTERVAL` seconds while this is open, from a thread."""
    finished = threading.Event()

    def run() -> None:
        while not finished.wait(PLAIN_INTERVAL):
            say(task.line())

    thread = threading.Thread(target=run, name="hgs-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def terminal_bar() -> Any:
    """A progress bar on stderr, which disappears at the end."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # A piped stdout must stay one: rich would otherwise send what is printed to stderr.
        redirect_stdout=sys.stdout.isatty(),
    )
