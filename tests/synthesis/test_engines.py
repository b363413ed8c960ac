"""The schedule with workers that die, first made-up ones, then real processes."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hgs_toolkit.errors import CheckpointError, HgsError, MissingExtraError
from hgs_toolkit.synthesis import Workforce, synthesize_dataset
from hgs_toolkit.synthesis.engines import local
from hgs_toolkit.synthesis.engines.schedule import MAX_LOSSES, Done, Drawn, Event, Failed, Lost, run_shards
from hgs_toolkit.synthesis.layout import Record
from hgs_toolkit.synthesis.timing import Timing
from tests.synthesis.conftest import Make, contents

Fate = Callable[[int, int], Event]
"""From a worker and a shard to what becomes of them."""


class MadeUpPool:
    """Workers whose fate is told by a function."""

    def __init__(self, fate: Fate) -> None:
        self.fate, self.started, self.stopped = fate, 0, False
        self.running: list[tuple[int, int]] = []
        self.most = 0

    def start(self) -> int:
        self.started += 1
        return self.started - 1

    def submit(self, worker: int, shard: int) -> None:
        assert worker not in dict(self.running), "a worker makes one shard at a time"
        self.running.append((worker, shard))
        self.most = max(self.most, len(self.running))

    def wait(self) -> Sequence[Event]:
        worker, shard = self.running.pop()
        return [Drawn(worker, 1), self.fate(worker, shard)]

    def stop(self) -> None:
        self.stopped = True


def done(worker: int, shard: int) -> Done:
    return Done(worker, Record(shard, "", 1, 1, ""), Timing(generate=1.0))


def test_every_shard_is_made_by_as_many_workers_as_asked_for() -> None:
    pool, heard = MadeUpPool(done), list[Event]()
    total = run_shards(pool, range(10), 3, tidy=lambda shard: None, listen=heard.append)
    assert sorted(event.record.shard for event in heard if isinstance(event, Done)) == list(range(10))
    assert (pool.started, pool.most, pool.stopped, total.generate) == (3, 3, True, 10.0)


def test_a_lost_workers_shard_is_tidied_and_made_by_a_new_one() -> None:
    deaths = {(0, 2), (1, 1), (3, 1)}

    def fate(worker: int, shard: int) -> Event:
        return Lost(worker, "died") if (worker, shard) in deaths else done(worker, shard)

    pool, heard, tidied = MadeUpPool(fate), list[Event](), list[int]()
    run_shards(pool, range(4), 2, tidy=tidied.append, listen=heard.append)
    lost = [event for event in heard if isinstance(event, Lost)]
    assert len(lost) == len(tidied) > 0
    assert sorted(event.record.shard for event in heard if isinstance(event, Done)) == list(range(4))
    assert pool.started == 2 + len(lost)


def test_the_death_of_an_idle_worker_costs_nothing() -> None:
    """It is reported like any other, but no shard is lost with it, and it gets no work any more."""

    class WithAnIdleOne(MadeUpPool):
        def wait(self) -> Sequence[Event]:
            events = super().wait()
            return [*events, Lost(events[-1].worker, "died")] if self.started == 2 else events

    pool, heard = WithAnIdleOne(done), list[Event]()
    run_shards(pool, range(4), 2, tidy=lambda shard: None, listen=heard.append)
    assert sorted(event.record.shard for event in heard if isinstance(event, Done)) == list(range(4))
    assert pool.started == 3


def test_a_shard_that_kills_every_worker_ends_the_run() -> None:
    pool = MadeUpPool(lambda worker, shard: Lost(worker, "was killed") if shard == 2 else done(worker, shard))
    with pytest.raises(HgsError, match=f"shard 2 has lost its worker {MAX_LOSSES} times .*was killed.*fewer --workers"):
        run_shards(pool, range(4), 2, tidy=lambda shard: None)
    assert pool.stopped


def test_an_error_that_would_come_again_ends_the_run_and_tidies_up() -> None:
    pool = MadeUpPool(lambda worker, shard: Failed(worker, CheckpointError("no such model")))
    tidied: list[int] = []
    with pytest.raises(CheckpointError, match="no such model"):
        run_shards(pool, range(4), 2, tidy=tidied.append)
    assert pool.stopped
    assert sorted(tidied) == [0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_processes_leave_no_trace(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are killed in the middle of their shards, and the bytes are those of a quiet run."""
    kills: list[int] = []
    receive = local.LocalPool.wait

    def kill_first(pool: local.LocalPool) -> Sequence[Event]:
        events = receive(pool)
        if len(kills) < 2 and any(isinstance(event, Done) for event in events):
            kills.append(pool.pids()[0])
            os.kill(kills[-1], signal.SIGKILL)
        return events

    monkeypatch.setattr(local.LocalPool, "wait", kill_first)
    settings = {"count": 60, "format": "wds", "shard_images": 10}
    make(tmp_path / "killed", workforce=Workforce(workers=2), **settings)
    make(tmp_path / "quiet", **settings)
    assert len(kills) == 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "quiet")


def test_every_error_of_ours_travels_between_processes() -> None:
    missing = MissingExtraError("ray", "ray", "a cluster")
    kinds = [kind for kind in HgsError.__subclasses__() if kind is not MissingExtraError]
    for error in [missing, *(kind("a sentence") for kind in kinds)]:
        there = pickle.loads(pickle.dumps(error))
        assert (type(there), str(there)) == (type(error), str(error))


def test_an_error_in_a_process_arrives_as_it_is(tmp_path: Path, plain_file: Path) -> None:
    """The model is gone when the workers look for it."""
    workforce = Workforce(workers=1)

    def lose_the_model(*_: int) -> None:
        plain_file.unlink()

    with pytest.raises(CheckpointError, match="does not exist"):
        synthesize_dataset(tmp_path / "set", plain_file, {"count": 2}, workforce=workforce, begin=lose_the_model)
