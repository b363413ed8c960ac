# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that runs beside Blender: it is started once, polled, and never waited for.

Nothing here knows Blender. Two threads move the program's output into queues, so that it can never block on a full
pipe; everything else happens in :meth:`Job.poll`, which a timer or a modal operator calls a few times a second.
The program writes JSON objects on stdout, one a line, as ``hgs COMMAND --json-progress`` does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any

MAX_LINE = 16 * 1024
"""Bytes that are read of a line at once: a program that never ends one must not fill the memory."""

TAIL_LINES = 20
"""Last lines of stderr that are kept for the report of a failure."""

MAX_QUEUE = 4000
"""Lines of stdout between two polls; more are dropped, oldest first, since only the newest progress matters."""

MAX_FILES = 100_000
"""Files of one job that are remembered."""

GRACE_SECONDS = 5.0
"""Seconds from the polite signal, at which ``hgs`` removes unfinished files, to the one that cannot be refused."""

MAX_NUMBER = 1e15
"""Bound on progress and totals; whole numbers up to it are exact."""

EXECUTABLE = "hgs"


class State(Enum):
    """What became of a job."""

    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


class JobError(Exception):
    """A program that could not be started; the message says which and what to do."""


def find_executable(preferred: str = "") -> str:
    """The path of ``hgs``: ``preferred`` where it is given, otherwise the one on PATH.

    Raises:
        JobError: if there is none, or it is not a program.
    """
    if preferred.strip():
        wanted = os.path.expanduser(preferred.strip())
        found = shutil.which(wanted)
        if found is None:
            raise JobError(
                f"{wanted} is no program that can be run; correct the path of hgs in the add-on's preferences"
            )
        return found
    found = shutil.which(EXECUTABLE)
    if found is None:
        raise JobError(
            "the program 'hgs' is not on PATH; install hgs_toolkit (pip install hgs_toolkit) or give its path in the "
            "add-on's preferences"
        )
    return found


@dataclass
class Job:
    """One run of a program.

    Attributes:
        argv: program and arguments; handed over as a list, so no shell reads them and spaces are harmless.
        timeout: seconds after which it is stopped; None never.
        clock: where the time comes from.
        state: what :meth:`poll` last found.
        text: what it works at, or, at the end, how it ended.
        done, total: progress; ``total`` is None where unknown.
        files: files it said it wrote, in order.
        notes: the newest messages for the human.
    """

    argv: Sequence[str]
    timeout: float | None = None
    clock: Callable[[], float] = time.monotonic
    grace: float = GRACE_SECONDS
    state: State = State.RUNNING
    text: str = "starting"
    done: float = 0.0
    total: float | None = None
    files: list[Path] = field(default_factory=list)
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    def __post_init__(self) -> None:
        self._error = ""
        self._outcome = State.CANCELLED
        self._deadline: float | None = None
        self._lines: deque[bytes] = deque(maxlen=MAX_QUEUE)
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._process = _start(self.argv)
        self._started = self.clock()
        self._readers = [
            threading.Thread(target=_drain, args=(pipe, queue), daemon=True)
            for pipe, queue in ((self._process.stdout, self._lines), (self._process.stderr, self._tail))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def running(self) -> bool:
        """Whether the program is still there."""
        return self.state in (State.RUNNING, State.STOPPING)

    @property
    def fraction(self) -> float:
        """Progress in 0..1; 0 while the total is unknown."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else 0.0

    def poll(self) -> State:
        """Read what the program has said, stop it when its time is up, and notice its end. Returns at once."""
        if not self.running:
            return self.state
        # Asked before the queue is emptied: what a finished program wrote is then certainly in it.
        code = self._process.poll()
        finished = code is not None and not any(reader.is_alive() for reader in self._readers)
        while self._lines:
            self._read(self._lines.popleft())
        now = self.clock()
        if code is not None and (finished or self._out_of_patience(now)):
            self._finish(code)
        elif self.state is State.RUNNING and self.timeout is not None and now - self._started > self.timeout:
            self._stop(State.TIMED_OUT)
        elif self.state is State.STOPPING and code is None and self._out_of_patience(now):
            _signal(self._process, force=True)
        return self.state

    def cancel(self) -> None:
        """Ask the program to stop; :meth:`poll` insists if it does not."""
        if self.state is State.RUNNING:
            self._stop(State.CANCELLED)

    def close(self) -> None:
        """Kill the program if it still runs: for when Blender ends or the add-on is disabled."""
        if self._process.poll() is None:
            _signal(self._process, force=True)
            self._process.wait()
        if self.running:
            self._outcome, self.state = State.CANCELLED, State.STOPPING
            self._finish(self._process.returncode)

    def _stop(self, outcome: State) -> None:
        self._outcome, self.state = outcome, State.STOPPING
        self._deadline = self.clock() + self.grace
        self.text = "stopping"
        _signal(self._process, force=False)

    def _out_of_patience(self, now: float) -> bool:
        """Whether the grace is over, for a program asked to stop, or for one whose children hold its pipes open."""
        if self._deadline is None:
            self._deadline = now + self.grace
        return now > self._deadline

    def _finish(self, code: int) -> None:
        if any(reader.is_alive() for reader in self._readers):
            _signal(self._process, force=True)  # children that outlived it
        if self.state is State.STOPPING:
            self.state = self._outcome
            seconds = f" after {self.timeout:g} seconds" if self.timeout and self._outcome is State.TIMED_OUT else ""
            self.text = f"{self.state.value}{seconds}; files written: {len(self.files)}"
        elif code == 0:
            self.state, self.text = State.DONE, f"{len(self.files)} files"
        else:
            self.state, self.text = State.FAILED, self._error or self._last_words(code)

    def _last_words(self, code: int) -> str:
        """The end of stderr, for programs that fail without an error event."""
        lines = [line.decode("utf-8", "replace").strip() for line in self._tail]
        words = next((line for line in reversed(lines) if line), "it said nothing")
        return f"{Path(self.argv[0]).name} ended with code {code}: {words}"

    def _read(self, line: bytes) -> None:
        """Take in one line of stdout; what is not an event of ours is passed over."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        kind, text = event.get("event"), event.get("text")
        if kind == "progress":
            self._progress(event)
        elif kind == "file" and isinstance(event.get("path"), str) and len(self.files) < MAX_FILES:
            self.files.append(Path(event["path"]))
        elif kind == "note" and isinstance(text, str):
            self.notes.append(text)
        elif kind == "error" and isinstance(text, str):
            self._error = text

    def _progress(self, event: dict[str, Any]) -> None:
        self.done = _number(event.get("done")) or 0.0
        self.total = _number(event.get("total"))
        if isinstance(event.get("text"), str) and self.state is State.RUNNING:
            self.text = event["text"]


def _number(value: object) -> float | None:
    """``value`` if it is a finite number: JSON as Python reads it knows NaN and Infinity too."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < MAX_NUMBER else None


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a process group of its own, so that its children can be ended with it."""
    apart: dict[str, Any] = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
        if os.name == "nt"
        else {"start_new_session": True}
    )
    try:
        return subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **apart
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JobError(
            f"cannot run {argv[0]}: {reason}; correct the path of hgs in the add-on's preferences"
        ) from error


def _drain(pipe: IO[bytes], queue: deque[bytes]) -> None:
    """Move lines from ``pipe`` into ``queue`` until the other side closes it."""
    with pipe:
        while line := pipe.readline(MAX_LINE):
            queue.append(line)


def _signal(process: subprocess.Popen[bytes], *, force: bool) -> None:
    """End the process and its children: politely, or for certain."""
    try:
        if os.name == "nt":
            # Blender has no console to send Ctrl-Break from: on Windows there is only the hard way.
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        pass  # it ended meanwhile
