"""Assignment of shards to workers, repeated when a worker is lost; the same for every engine.

A shard's bytes do not depend on the worker that makes it, so the schedule can be simple: the next shard goes to the
next idle worker.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hgs_toolkit.errors import HgsError
from hgs_toolkit.synthesis.layout import Record
from hgs_toolkit.synthesis.timing import Timing

logger = logging.getLogger(__name__)

MAX_LOSSES = 5
"""Number of workers that may die over one shard before the run stops, since the shard itself must be the cause."""


@dataclass(frozen=True)
class Drawn:
    """A worker has drawn ``views`` more views."""

    worker: int
    views: int


@dataclass(frozen=True)
class Done:
    """A worker has finished its shard."""

    worker: int
    record: Record
    timing: Timing


@dataclass(frozen=True)
class Lost:
    """A worker is gone."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Failed:
    """A worker met an error that another worker would meet as well."""

    worker: int
    error: Exception


Event = Drawn | Done | Lost | Failed


class WorkerPool(Protocol):
    """Workers of one engine; each is a number, given when it starts, and makes one shard at a time."""

    def start(self) -> int:
        """Start a worker."""
        ...

    def submit(self, worker: int, shard: int) -> None:
        """Let an idle worker make ``shard``."""
        ...

    def wait(self) -> Sequence[Event]:
        """Wait for at least one event, and return those that have happened."""
        ...

    def stop(self) -> None:
        """End all workers; their unfinished shards are lost."""
        ...


def run_shards(
    pool: WorkerPool, shards: Sequence[int], workers: int, *,
    tidy: Callable[[int], None], listen: Callable[[Event], None] | None = None,
) -> Timing:  # fmt: skip
    """Let up to ``workers`` workers make ``shards``.

    Args:
        tidy: removes what a lost worker left of a shard, before another worker makes it.
        listen: called with every event.

    Returns:
        The time of all workers, summed.

    Raises:
        HgsError: the first error of a worker, or if a shard has cost MAX_LOSSES workers.
    """
    waiting, busy, idle = deque(shards), dict[int, int](), list[int]()
    losses: Counter[int] = Counter()
    total = Timing()
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else pool.start()
                busy[worker] = waiting.popleft()
                pool.submit(worker, busy[worker])
            for event in pool.wait():
                if listen is not None:
                    listen(event)
                if isinstance(event, Drawn):
                    continue
                shard = busy.pop(event.worker, None)
                if shard is None and isinstance(event, Lost):  # it was idle: nothing is missing but itself
                    idle = [worker for worker in idle if worker != event.worker]
                    continue
                assert shard is not None, f"worker {event.worker} has no shard"
                if isinstance(event, Done):
                    total += event.timing
                    idle.append(event.worker)
                    continue
                tidy(shard)
                if isinstance(event, Failed):
                    raise event.error
                losses[shard] += 1
                _log_loss(shard, event.reason, losses)
                waiting.appendleft(shard)
    finally:
        pool.stop()
        for shard in busy.values():
            tidy(shard)
    return total


def _log_loss(shard: int, reason: str, losses: Counter[int]) -> None:
    """Log that a worker was lost over ``shard``; raise an HgsError if that has happened too often."""
    if losses[shard] >= MAX_LOSSES:
        raise HgsError(
            f"shard {shard} has lost its worker {losses[shard]} times (the last one {reason}); if memory is short, use "
            "fewer --workers, then run the command again with --resume"
        )
    logger.info("a worker was lost over shard %d (%s); another one starts it again", shard, reason)
