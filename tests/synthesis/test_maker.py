"""Two threads make a shard: they overlap, do not run away from each other, and fail together."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit.errors import HgsError
from hgs_toolkit.synthesis import maker
from hgs_toolkit.synthesis.drawing import draw_layers
from hgs_toolkit.synthesis.formats.samples import SampleWriter
from tests.synthesis.conftest import Make

VIEWS = 3 * maker.QUEUE


class Drawn:
    """How many views have been drawn; ``reached(n)`` is set when there are n."""

    def __init__(self, target: int) -> None:
        self.count, self.target, self.reached = 0, target, threading.Event()

    def follow(self, layers: Iterator[Any]) -> Iterator[Any]:
        for layer in layers:
            self.count += 1
            if self.count >= self.target:
                self.reached.set()
            yield layer


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    counter = Drawn(3)
    monkeypatch.setattr(maker, "draw_layers", lambda *arguments: counter.follow(draw_layers(*arguments)))
    return counter


def test_drawing_goes_on_while_a_view_is_stored(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, went_on = SampleWriter.add, []

    def store_after_the_third_is_drawn(writer: SampleWriter, sample: Any) -> None:
        went_on.append(drawn.reached.wait(timeout=60))
        store(writer, sample)

    monkeypatch.setattr(SampleWriter, "add", store_after_the_third_is_drawn)
    make(tmp_path / "set", count=4, shard_images=4)
    assert went_on == [True] * 4


def test_drawing_waits_when_storing_is_far_behind(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ahead = SampleWriter.add, list[int]()

    def store_the_first_when_drawing_halts(writer: SampleWriter, sample: Any) -> None:
        before = -1
        while not ahead and drawn.count > before:
            before = drawn.count
            time.sleep(0.2)
        ahead.append(drawn.count - len(ahead))
        store(writer, sample)

    monkeypatch.setattr(SampleWriter, "add", store_the_first_when_drawing_halts)
    outcome = make(tmp_path / "set", count=VIEWS, shard_images=VIEWS, annotations=["rgb"])
    in_hand = 2  # one view is being stored, one waits for room
    assert max(ahead) <= maker.QUEUE + in_hand
    assert outcome.made == VIEWS


def test_an_error_while_storing_stops_the_drawing_and_leaves_nothing(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SampleWriter, "add", full)
    with pytest.raises(HgsError, match="No space left on device; nothing was changed"):
        make(tmp_path / "set", count=VIEWS, shard_images=VIEWS, annotations=["rgb"])
    assert drawn.count < VIEWS
    assert list((tmp_path / "set" / "shards").iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "hgs-finisher"]


def test_an_error_at_the_very_end_is_not_lost(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SampleWriter, "finish", full)
    with pytest.raises(HgsError, match="No space left on device"):
        make(tmp_path / "set", count=2)
