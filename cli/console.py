"""What every command shares: progress on stderr, results on stdout, JSON lines for programs, errors as exit codes.

A command wraps its body in :func:`reporting`::

    def shrink(path: Path, force: Force = False, json_progress: JsonProgress = False) -> None:
        with reporting(json_progress) as report:
            with report.progress("shrinking", total=10) as task:
                ...
                task.advance()
            report.file(path)

Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage (typer's own).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hgs_toolkit.errors import HgsError

if TYPE_CHECKING:
    from rich.progress import Progress

JSON_INTERVAL = 0.1
"""Least seconds between two progress events of one task in JSON mode; the last one always comes."""

PLAIN_WIDTH = 200
"""Columns of a table whose reader is a file or a pipe."""

JsonProgress = Annotated[
    bool,
    typer.Option("--json-progress", help="Write one JSON object a line on stdout, for scripts.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist already.", show_default=False)]
Device = Annotated[str, typer.Option("--device", help="Where to compute: auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything that is drawn at random.")]

T = TypeVar("T")


class Task:
    """One running piece of work; made by :meth:`Reporter.progress`."""

    def __init__(self, report: Reporter, text: str, total: float | None, bar: Progress | None) -> None:
        self.report, self.text, self.total, self.done = report, text, total, 0.0
        self._bar = bar
        self._id = bar.add_task(text, total=total) if bar else None
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
        """``items`` as they come, each a step."""
        for item in items:
            yield item
            self.advance()

    def _emit(self, *, force: bool) -> None:
        now = time.monotonic()
        if force or now - self._last_event >= JSON_INTERVAL:
            self._last_event = now
            self.report.event("progress", text=self.text, done=self.done, total=self.total)


class Reporter:
    """Says what a command does and made; the only thing commands write to the terminal with.

    Attributes:
        json_lines: whether stdout carries JSON events (``--json-progress``) in place of text.
        files: every file reported so far.
    """

    def __init__(self, json_lines: bool = False) -> None:
        self.json_lines = json_lines
        self.files: list[Path] = []

    def event(self, kind: str, /, **facts: Any) -> None:
        """One JSON object on stdout; nothing outside JSON mode."""
        if self.json_lines:
            typer.echo(json.dumps({"event": kind} | facts, default=str))

    def note(self, text: str, level: str = "info") -> None:
        """One line for the human, on stderr."""
        self.event("note", level=level, text=text)
        if not self.json_lines:
            typer.echo(text if level == "info" else f"{level}: {text}", err=True)

    def file(self, path: str | Path, **facts: Any) -> None:
        """A finished file: its path is a line on stdout, an event with its size in bytes in JSON mode."""
        path = Path(path)
        self.files.append(path)
        self.event("file", path=str(path), bytes=path.stat().st_size, **facts)
        if not self.json_lines:
            typer.echo(path)

    def result(self, text: str, /, **facts: Any) -> None:
        """An answer: ``text`` on stdout, ``facts`` as the event in JSON mode."""
        self.event("result", **facts)
        if not self.json_lines:
            typer.echo(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
        """An answer in rows and columns, on stdout; in JSON mode one event with a list of objects."""
        self.event("result", title=title, rows=[dict(zip(columns, row, strict=True)) for row in rows])
        if self.json_lines:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)

    @contextmanager
    def progress(self, text: str, total: float | None = None) -> Iterator[Task]:
        """A progress bar on stderr (a moving one where ``total`` is unknown), removed at the end; a line in a log."""
        if self.json_lines or not sys.stderr.isatty():
            if not self.json_lines:
                self.note(f"{text} ...")
            task = Task(self, text, total, bar=None)
            task.update(0)
            yield task
            return
        with _progress_bar() as bar:
            yield Task(self, text, total, bar)

    def fail(self, message: str) -> None:
        """The sentence that ends a failed command, on stderr and as an event."""
        self.event("error", text=message, files=self.files)
        typer.echo(f"error: {message}", err=True)


@contextmanager
def reporting(json_lines: bool = False) -> Iterator[Reporter]:
    """Run a command's body: what goes wrong becomes one sentence and exit code 1.

    The traceback follows only where the environment says ``HGS_DEBUG=1``.
    """
    report = Reporter(json_lines)
    try:
        with _logs_to(report):
            yield report
        report.event("done", files=report.files)
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BaseException as error:
        if _is_closed_pipe(error) or isinstance(error, SystemExit | GeneratorExit):
            raise
        report.fail(describe_error(error, report.files))
        if debugging():
            traceback.print_exc()
        raise typer.Exit(1) from None


def _progress_bar() -> Progress:
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


def describe_error(error: BaseException, files: Sequence[Path] = ()) -> str:
    """One sentence about ``error`` for the person who hit it."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; " + (f"already there: {_listed(files)}" if files else "nothing was written")
    if isinstance(error, HgsError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}" + (f"; already there: {_listed(files)}" if files else "")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error):
        return "not enough memory; use a smaller size, fewer scenes at once or another device"
    first_line = (str(error).strip().splitlines() or [""])[0]
    return f"internal error ({type(error).__name__}: {first_line}); HGS_DEBUG=1 shows where, please report it"


def debugging() -> bool:
    """Whether ``HGS_DEBUG`` asks for tracebacks and debug logs."""
    return os.environ.get("HGS_DEBUG", "0") not in ("", "0")


def format_bytes(size: float) -> str:
    """1536 -> "1.5 kB": powers of 1000, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def facts_text(facts: Mapping[str, object]) -> str:
    """``name: value`` lines with the values in one column."""
    width = max(map(len, facts), default=0) + 2
    return "\n".join(f"{name + ':':<{width}}{value}" for name, value in facts.items())


def _listed(files: Sequence[Path], limit: int = 5) -> str:
    names = ", ".join(map(str, files[:limit]))
    return names if len(files) <= limit else f"{names} and {len(files) - limit} more"


def _is_closed_pipe(error: BaseException) -> bool:
    """Whether the reader of our output went away (``hgs info x | head -1``): typer ends quietly then."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


@contextmanager
def _logs_to(report: Reporter) -> Iterator[None]:
    """Show the library's log lines through ``report`` while a command runs."""
    logger, handler = logging.getLogger("hgs_toolkit"), _ReportHandler(report)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debugging() else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _ReportHandler(logging.Handler):
    def __init__(self, report: Reporter) -> None:
        super().__init__()
        self.report = report

    def emit(self, record: logging.LogRecord) -> None:
        self.report.note(record.getMessage(), record.levelname.lower())
