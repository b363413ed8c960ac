"""Work for the latest request only."""

from __future__ import annotations

import threading

from hgs_toolkit.viewer.latest import LatestOnly


def test_requests_made_meanwhile_become_one() -> None:
    started, go_on = threading.Event(), threading.Event()
    runs: list[None] = []

    def work() -> None:
        runs.append(None)
        started.set()
        go_on.wait(10)

    worker = LatestOnly(work, lambda error: None)
    worker.request()
    assert started.wait(10)
    for _ in range(50):
        worker.request()
    go_on.set()
    assert worker.wait(10)
    assert len(runs) == 2
    worker.close()


def test_a_failure_is_told_and_the_next_request_is_served() -> None:
    failures: list[Exception] = []
    done: list[int] = []

    def work() -> None:
        if not failures:
            raise ValueError("no such scene")
        done.append(1)

    worker = LatestOnly(work, failures.append)
    worker.request()
    assert worker.wait(10)
    worker.request()
    assert worker.wait(10)
    assert [str(error) for error in failures] == ["no such scene"]
    assert done == [1]
    worker.close()


def test_it_can_be_closed_while_nothing_was_asked() -> None:
    worker = LatestOnly(lambda: None, lambda error: None)
    worker.close()
    assert worker.wait(1)
