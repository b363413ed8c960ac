"""Worker processes of this machine."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from hgs_toolkit.errors import HgsError
from hgs_toolkit.synthesis.engines.schedule import Done, Drawn, Event, Failed, Lost
from hgs_toolkit.synthesis.maker import Job, ShardMaker, make_ready

MESSAGE_SECONDS = 0.2
"""Seconds between two progress messages of a worker, at least."""

SHUTDOWN_SECONDS = 5.0
"""Seconds that a worker has to end by itself before it is killed."""


class LocalPool:
    """Spawned processes, each with a pipe of its own, so that the death of one touches no other.

    They are spawned, not forked: a fork would inherit the locks of torch's and numpy's thread pools.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = multiprocessing.get_context("spawn")
        self._numbers = itertools.count()
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}

    def start(self) -> int:
        """See :class:`WorkerPool`."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._job), daemon=True)
        process.start()
        theirs.close()
        number = next(self._numbers)
        self._workers[number] = (process, ours)
        return number

    def pids(self) -> list[int]:
        """The living workers' process ids."""
        return [process.pid for process, _ in self._workers.values() if process.pid is not None]

    def submit(self, worker: int, shard: int) -> None:
        """See :class:`WorkerPool`; a worker that has just died is reported by the next :meth:`wait`."""
        with contextlib.suppress(OSError):
            self._workers[worker][1].send(shard)

    def wait(self) -> Sequence[Event]:
        """See :class:`WorkerPool`."""
        pipes = {pipe: number for number, (_, pipe) in self._workers.items()}
        return [self._receive(pipes[pipe]) for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]

    def stop(self) -> None:
        """See :class:`WorkerPool`."""
        for process, pipe in self._workers.values():
            pipe.close()
            process.terminate()
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for process, _ in self._workers.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._workers.clear()

    def _receive(self, number: int) -> Event:
        process, pipe = self._workers[number]
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            # The pipe's other end closes with its process; a process that dies while sending leaves half a message.
            process.join()
            pipe.close()
            del self._workers[number]
            return Lost(number, _describe_exit(process.exitcode))
        if kind == "drawn":
            return Drawn(number, value)
        if kind == "done":
            return Done(number, *value)
        return Failed(number, value)


class InlinePool:
    """A pool without workers: this process makes the shards itself, one after the other; for debugging.

    torch uses one thread meanwhile, as in a worker: the bits of a matrix product can depend on the number of threads.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._threads = torch.get_num_threads()
        self._maker: ShardMaker | None = None
        self._shard = -1

    def start(self) -> int:
        """See :class:`WorkerPool`."""
        return 0

    def submit(self, worker: int, shard: int) -> None:  # noqa: ARG002
        """See :class:`WorkerPool`."""
        self._shard = shard

    def wait(self) -> Sequence[Event]:
        """See :class:`WorkerPool`; makes the shard."""
        self._maker = self._maker or make_ready(self._job)
        return [Done(0, *self._maker.make(self._shard))]

    def stop(self) -> None:
        """See :class:`WorkerPool`."""
        torch.set_num_threads(self._threads)


def _work(pipe: Connection, job: Job) -> None:
    """Make shards until the pipe is closed. The parent handles Ctrl-C; SIGTERM removes unfinished files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        maker = make_ready(job)
        start = time.process_time()  # of this process so far: Python, the packages, the model
        while True:
            shard = pipe.recv()
            record, timing = maker.make(shard, _ProgressSender(pipe))
            timing.start, start = start, 0.0
            pipe.send(("done", (record, timing)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone or done
    except Exception as error:
        with contextlib.suppress(OSError):
            pipe.send(("failed", _portable(error)))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to clean up: die quietly while ending


class _ProgressSender:
    """Tells the parent from time to time how many views have been drawn."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._views, self._last = pipe, 0, time.monotonic()

    def __call__(self, views: int) -> None:
        self._views += views
        if time.monotonic() - self._last < MESSAGE_SECONDS:
            return
        try:
            self._pipe.send(("drawn", self._views))
        except OSError:  # the parent is gone; not an error of the file that is being written
            sys.exit(1)
        self._views, self._last = 0, time.monotonic()


def _portable(error: Exception) -> Exception:
    """The error in a form that can be sent to another process: an unexpected one as text with its traceback."""
    if isinstance(error, HgsError | OSError | MemoryError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__))}")


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"ended with exit code {code}"


def default_workers() -> int:
    """Number of cores that this process may use, which a scheduler may have restricted."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
