"""``hgs train --processes N``: the command starts itself N times on this machine, and the processes train together.

Process 0 speaks, as if it ran alone. The words of the others go to files and are read only where one of them fails
first. They meet through a file in a temporary folder, so that no port has to be free.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from hgs_toolkit.errors import ConfigError, HgsError, PeerLostError

RENDEZVOUS = "HGS_RENDEZVOUS"
"""Environment variable with the URL of the file through which the processes meet."""

PEER_LOST = 75
"""Exit code of a process that ended because another one did; it has said nothing."""

PATIENCE = 60.0
"""Seconds that process 0 has to end by itself, saving included, after another one has failed."""

POLL = 0.1
"""Seconds between two looks at the processes."""


def is_launched() -> bool:
    """Whether this process is one of those that ``--processes`` started."""
    return RENDEZVOUS in os.environ


def words_of(context: typer.Context, *left_out: str) -> list[str]:
    """The options that a command was given, as words of a command line, without those called ``left_out``."""
    words = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in left_out or source is None or source.name != "COMMANDLINE":
            continue
        value, option = context.params[name], parameter.opts[0]
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [word for one in (value if isinstance(value, list | tuple) else [value]) for word in (option, one)]
    return [str(word) for word in words]


def run_processes(words: Sequence[str], count: int) -> int:
    """Run ``hgs`` with ``words`` in ``count`` processes that train together; returns the exit code of process 0.

    Ctrl-C and SIGTERM are handed on to all of them. After the failure of one, the others are ended.

    Raises:
        HgsError: about the process that failed, if that is not process 0, which speaks for itself.
        ConfigError: if there are more processes than cores.
    """
    cores = os.cpu_count() or 1
    if count > cores:
        raise ConfigError(f"--processes {count}; expected at most {cores}, one for each core of this machine")
    with tempfile.TemporaryDirectory(prefix="hgs-train-") as name:
        folder = Path(name)
        processes = _start_all(words, count, folder)
        with _handing_on_signals(processes):
            failed = _wait(processes)
            has_spoken = _end(processes) and processes[0].returncode != PEER_LOST
        if failed is None or has_spoken:
            return processes[0].returncode
        culprits = [rank for rank in (failed, *range(count)) if processes[rank].returncode not in (0, PEER_LOST)]
        raise HgsError(_epitaph(culprits[0] if culprits else failed, processes, folder))


@contextmanager
def as_one_of_several() -> Iterator[None]:
    """What a launched process does besides its work: it ends with its launcher, and quietly when another is lost."""
    if is_launched():
        threading.Thread(target=_stop_with_the_launcher, daemon=True).start()
    try:
        yield
    except PeerLostError:
        if is_launched():
            raise typer.Exit(PEER_LOST) from None
        raise


def _stop_with_the_launcher() -> None:
    """Wait for the end of stdin, which the launcher holds open while it lives, then stop as after Ctrl-C."""
    while os.read(0, 1):
        pass
    signal.raise_signal(signal.SIGINT)


def _start_all(words: Sequence[str], count: int, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start the processes; none stays behind if one cannot be started or Ctrl-C comes in between."""
    processes = list[subprocess.Popen[bytes]]()
    try:
        for rank in range(count):
            processes.append(_start(words, rank, count, folder))
    except BaseException:
        for process in processes:
            process.kill()
        raise
    return processes


def _start(words: Sequence[str], rank: int, count: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start process ``rank`` in a session of its own: the terminal's Ctrl-C reaches the launcher alone."""
    threads = str(max(1, (os.cpu_count() or 1) // count))
    environment = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads} | os.environ | {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        RENDEZVOUS: (folder / "meeting").as_uri(),
    }  # fmt: skip
    command = [sys.executable, "-m", "hgs_toolkit.cli", *words]
    settings: dict[str, Any] = {"stdin": subprocess.PIPE, "env": environment, "start_new_session": os.name == "posix"}
    if rank == 0:
        return subprocess.Popen(command, **settings)
    with _words_file(folder, rank).open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, **settings)


def _words_file(folder: Path, rank: int) -> Path:
    return folder / f"process{rank}.txt"


@contextmanager
def _handing_on_signals(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Send SIGINT and SIGTERM of this process to all ``processes`` while this is open."""

    def hand_on(number: int, _: object) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended well (None) or one has failed (its rank)."""
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code not in (None, 0):
                return rank
        if None not in codes:
            return None
        time.sleep(POLL)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Let process 0 end by itself, which may be saving, then kill what is left; returns whether it did."""
    limit = time.monotonic() + PATIENCE
    while processes[0].poll() is None and time.monotonic() < limit:
        time.sleep(POLL)
    ended = processes[0].returncode is not None
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
    return ended and processes[0].returncode >= 0


def _epitaph(rank: int, processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> str:
    """One sentence about the end of process ``rank``."""
    code, lines = processes[rank].returncode, list[str]()
    if rank:
        lines = _words_file(folder, rank).read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if said:
        return f"process {rank} of {len(processes)}: {said[-1]}"
    if code < 0:
        reason = "was ended by " + signal.Signals(-code).name
    else:
        reason = f"ended with exit code {code}" + (f" ({lines[-1]})" if lines else "")
    return f"process {rank} of {len(processes)} {reason}; --resume goes on from what was saved last"
