# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of ``hgs sample`` into a folder of its own, from the order to the batch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .batches import Batch, BatchError, read_batch
from .jobs import Job, State


class Generation:
    """A running or ended generation.

    Attributes:
        job: the program.
        folder: where it writes.
        batch: what it made, once it is done.
        problem: why there is no batch, once it has ended without one; the sentence to show.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start ``command``, which writes into ``folder``; a :class:`~.jobs.JobError` says that it cannot run."""
        self.folder = folder
        self.batch: Batch | None = None
        self.problem = ""
        try:
            self.job = Job(command, timeout=timeout, clock=clock)
        except Exception:
            self._tidy()
            raise

    @property
    def running(self) -> bool:
        """Whether there is still something to wait for."""
        return self.batch is None and not self.problem

    def poll(self) -> bool:
        """See how it is getting on, at once; whether it still runs."""
        if (self.running and not self.job.running) or self.job.poll() not in (State.RUNNING, State.STOPPING):
            self._conclude()
        return self.running

    def cancel(self) -> None:
        """Ask it to stop."""
        self.job.cancel()

    def close(self) -> None:
        """End it now, for certain."""
        self.job.close()
        self._conclude()

    def _conclude(self) -> None:
        if not self.running:
            return
        if self.job.state is not State.DONE:
            self.problem = self.job.text
            self._tidy()
            return
        try:
            self.batch = read_batch(self.folder)
        except BatchError as error:
            self.problem = str(error)

    def _tidy(self) -> None:
        """Remove the folder if nothing came into it."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
