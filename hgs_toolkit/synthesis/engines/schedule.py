"""Giving shards to workers, and giving them again when a worker is lost; the same for every engine.

What a shard's bytes are does not depend on who made it, so the schedule is free to be simple: the next shard goes to
the next worker without one.
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
"""Workers that may die over one shard before the run gives up: then the shard is what kills them."""


@dataclass(frozen=True)
class Drawn:
    """A worker has drawn so many views more."""

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
    """A worker met an error that another one would meet too."""

    worker: int
    error: Exception


Event = Drawn | Done | Lost | Failed


class Crew(Protocol):
    """Workers of one engine; each is a number, given when it starts, and makes one shard at a time."""

    def start(self) -> int:
        """Start a worker."""
        ...

    def submit(self, worker: int, shard: int) -> None:
        """Let an idle worker make ``shard``."""
        ...

    def wait(self) -> Sequence[Event]:
        """What has happened; waits until something has."""
        ...

    def stop(self) -> None:
        """End all workers; what they were at is lost."""
        ...


def run_shards(
    crew: Crew, shards: Sequence[int], workers: int, *,
    tidy: Callable[[int], None], listen: Callable[[Event], None] | None = None,
) -> Timing:  # fmt: skip
    """Have ``shards`` made by up to ``workers`` workers.

    Args:
        tidy: removes what a lost worker left of a shard, before that is given to another.
        listen: told every event.

    Returns:
        The time all workers took.

    Raises:
        HgsError: the first error of a worker, or if a shard has cost MAX_LOSSES workers.
    """
    waiting, busy, idle = deque(shards), dict[int, int](), list[int]()
    losses: Counter[int] = Counter()
    total = Timing()
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else crew.start()
                busy[worker] = waiting.popleft()
                crew.submit(worker, busy[worker])
            for event in crew.wait():
                if listen is not None:
                    listen(event)
                if isinstance(event, Drawn):
                    continue
                shard = busy.pop(event.worker)
                if isinstance(event, Done):
                    total += event.timing
                    idle.append(event.worker)
                    continue
                tidy(shard)
                if isinstance(event, Failed):
                    raise event.error
                losses[shard] += 1
                _give_again(shard, event.reason, losses)
                waiting.appendleft(shard)
    finally:
        crew.stop()
        for shard in busy.values():
            tidy(shard)
    return total


def _give_again(shard: int, reason: str, losses: Counter[int]) -> None:
    """Say that a worker was lost over ``shard``; raise where that has happened too often."""
    if losses[shard] >= MAX_LOSSES:
        raise HgsError(
            f"shard {shard} has lost its worker {losses[shard]} times (the last one {reason}); if memory is short, use "
            "fewer --workers, then run the command again with --resume"
        )
    logger.info("a worker was lost over shard %d (%s); another one begins it anew", shard, reason)
