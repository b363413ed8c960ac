"""What every command shares: notes on stderr, results on stdout, JSON lines for programs, errors as exit codes.

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
import math
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hgs_toolkit.cli.progress import Task, plain_lines, terminal_bar
from hgs_toolkit.errors import ConfigError, HgsError

PLAIN_WIDTH = 200
"""Width in characters of a table that goes to a file or a pipe."""

JsonProgress = Annotated[
    bool,
    typer.Option("--json-progress", help="Write one JSON object a line on stdout, for scripts.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist already.", show_default=False)]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything that is random.")]


class Reporter:
    """Reports what a command does and has written; commands write to the terminal through it alone.

    Attributes:
        json_lines: whether stdout carries JSON events (``--json-progress``) in place of text.
        quiet: whether nothing is reported at all, as by all processes of a distributed run but the first.
        files: every file reported so far.
    """

    def __init__(self, json_lines: bool = False, quiet: bool = False) -> None:
        self.json_lines, self.quiet = json_lines, quiet
        self.files: list[Path] = []
        self._warned: set[str] = set()
        self._locks = ExitStack()
        self._made: list[Path] = []

    def claim(self, out: Path, part: str = "") -> None:
        """Claim the output ``out``, a file or folder, until the command ends; to be called before any work.

        Other processes are kept from writing it (``part`` as in :func:`hgs_toolkit.cli.locks.locked`), and folders that
        the command made for it are removed if it fails before anything is in them.

        Raises:
            HgsError: if another process writes ``out``, or the folder it belongs to cannot be made.
        """
        from hgs_toolkit.cli.folders import missing_folders
        from hgs_toolkit.cli.locks import locked

        self._made += missing_folders(out)
        self._locks.enter_context(locked(out, part))

    def release(self, *, failed: bool = False) -> None:
        """Give every claim back; after a failure, remove the folders that were made and stayed empty."""
        self._locks.close()
        if failed and self._made:
            from hgs_toolkit.cli.folders import remove_empty_folders

            remove_empty_folders(self._made)

    def event(self, kind: str, /, **facts: Any) -> None:
        """Write one JSON object to stdout, in JSON mode only."""
        if self.json_lines:
            from hgs_toolkit.files import without_nan

            self._print(json.dumps(without_nan({"event": kind} | facts), default=str))

    def note(self, text: str, level: str = "info") -> None:
        """Write one line for the user to stderr; a warning that was given before is not repeated."""
        if level == "warning":
            if text in self._warned:
                return
            self._warned.add(text)
        self.event("note", level=level, text=text)
        if not (self.json_lines or self.quiet):
            typer.echo(text if level == "info" else f"{level}: {text}", err=True)

    def file(self, path: str | Path, **facts: Any) -> None:
        """Report a finished file: its path on stdout, or in JSON mode an event with its size in bytes."""
        path = Path(path)
        self.event("file", path=str(path), bytes=path.stat().st_size, **facts)
        self.files.append(path)
        if not self.json_lines:
            self._print(str(path))

    def result(self, text: str, /, **facts: Any) -> None:
        """Write an answer to stdout: ``text``, or in JSON mode an event with ``facts``."""
        self.event("result", **facts)
        if not self.json_lines:
            self._print(text)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None,
        objects: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        """Write an answer in rows and columns to stdout; in JSON mode one event with a list of objects.

        Args:
            columns: headings; in JSON mode the keys.
            rows: the cells.
            title: heading of the table.
            objects: the rows of JSON mode, with numbers where ``rows`` holds their texts; made of ``rows`` by default.
        """
        self.event("result", title=title, rows=objects or [dict(zip(columns, row, strict=True)) for row in rows])
        if self.json_lines or self.quiet:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        try:
            Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)
        except BrokenPipeError:
            _drop_stdout()

    @contextmanager
    def progress(self, text: str, total: float | None = None) -> Iterator[Task]:
        """Show progress: a bar in a terminal (a moving one where ``total`` is unknown), plain lines in a log."""
        if self.json_lines or self.quiet:
            task = Task(self.event, text, total, bar=None)
            task.update(0)
            yield task
        elif not sys.stderr.isatty():
            self.note(f"{text} ...")
            task = Task(self.event, text, total, bar=None)
            with plain_lines(task, self.note):
                yield task
        else:
            with terminal_bar() as bar:
                yield Task(self.event, text, total, bar)

    def fail(self, message: str) -> None:
        """Write the sentence that ends a failed command to stderr, and as an event."""
        self.event("error", text=message, files=self.files)
        if not self.quiet:
            typer.echo(f"error: {message}", err=True)

    def _print(self, text: str | bytes) -> None:
        """Write a line to stdout. Where its reader has gone (``hgs sample ... | head -1``) the work still goes on."""
        if self.quiet:
            return
        try:
            typer.echo(text)
        except UnicodeEncodeError:  # the name of a file need not be text; programs get the bytes that it is
            self._print(os.fsencode(text))
        except BrokenPipeError:
            _drop_stdout()


@contextmanager
def reporting(json_lines: bool = False, quiet: bool = False) -> Iterator[Reporter]:
    """Run a command's body: an error becomes one sentence and exit code 1.

    The traceback follows only where the environment says ``HGS_DEBUG=1``.
    """
    report = Reporter(json_lines, quiet)
    failed = True
    try:
        with _logs_to(report):
            yield report
        report.event("done", files=report.files)
        failed = False
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BaseException as error:
        if _is_closed_pipe(error) or isinstance(error, SystemExit | GeneratorExit):
            raise
        in_event = json_lines and not isinstance(error, KeyboardInterrupt)  # the event lists the files already
        report.fail(describe_error(error, () if in_event else report.files))
        if debugging():
            traceback.print_exc()
        raise typer.Exit(1) from None
    finally:
        report.release(failed=failed)


def describe_error(error: BaseException, files: Sequence[Path] = ()) -> str:
    """One sentence about ``error`` for the person who hit it."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; " + (str(error) or (f"already there: {_listed(files)}" if files else "nothing was written"))
    there = f"; already there: {_listed(files)}" if files else ""
    if isinstance(error, HgsError):
        return " ".join(str(error).split()) + there
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}{there}"
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


def parse_bytes(text: str, option: str) -> int:
    """ "500k" -> 500000: a number of bytes, with k, M or G for powers of 1000 if wanted.

    Raises:
        ConfigError: naming ``option``, if it is no such number or below 1.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]?)B?\s*", text)
    size = float(match[1]) * 1000.0 ** " KMG".index(match[2].upper() or " ") if match else 0.0
    if not math.isfinite(size) or round(size) < 1:
        raise ConfigError(f"{option} '{text:.40}' is no size; expected a number of bytes such as 500k or 2M")
    return round(size)


def facts_text(facts: Mapping[str, object]) -> str:
    """``name: value`` lines with the values in one column."""
    width = max(map(len, facts), default=0) + 2
    return "\n".join(f"{name + ':':<{width}}{value}" for name, value in facts.items())


def _listed(files: Sequence[Path], limit: int = 5) -> str:
    names = ", ".join(map(str, files[:limit]))
    return names if len(files) <= limit else f"{names} and {len(files) - limit} more"


def _drop_stdout() -> None:
    """Send the rest of stdout to nowhere, also what the interpreter flushes when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _is_closed_pipe(error: BaseException) -> bool:
    """Whether the reader of stderr has gone: typer ends quietly then."""
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
        self.said: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Report a message; where the same is true of many files, the second says so and the others are silent."""
        level, args = record.levelname.lower(), record.args
        if not (isinstance(args, tuple) and args and isinstance(args[0], Path)) or self.report.json_lines:
            self.report.note(record.getMessage(), level)
            return
        said = f"{record.msg} {args[1:]}"
        self.said[said] = self.said.get(said, 0) + 1
        if self.said[said] == 1:
            self.report.note(record.getMessage(), level)
        elif self.said[said] == 2:
            self.report.note(f"{args[0]}: the same; it is not said again of the files that follow", level)
