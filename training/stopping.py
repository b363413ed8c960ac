"""Ending a run before its goal: at a request or at its time limit, also in the middle of long pieces of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from hgs_toolkit.errors import ConfigError

T = TypeVar("T")


class StoppedError(Exception):
    """A long piece of work was given up because the run ends; never leaves the training loop."""


@dataclass(frozen=True)
class StopRule:
    """Whether the run is to end now.

    Attributes:
        asked: answers whether somebody asked for the end (Ctrl-C).
        minutes: wall-clock limit, counted from the rule's making; None for none.
    """

    asked: Callable[[], bool] = lambda: False
    minutes: float | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"the time limit is {self.minutes:g} minutes; expected more than 0")

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit, negative after it; infinite without one."""
        if self.minutes is None:
            return float("inf")
        return self.started + self.minutes * 60 - time.monotonic()

    def is_due(self, seconds: float = 0.0) -> bool:
        """Whether the run is to end, or work of so many ``seconds`` would end after the limit."""
        return self.asked() or self.seconds_left <= seconds

    def guard(self, items: Iterable[T]) -> Iterator[T]:
        """``items`` as they come.

        Raises:
            StoppedError: before the next item, once the run is to end.
        """
        for item in items:
            if self.is_due():
                raise StoppedError
            yield item
