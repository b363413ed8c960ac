"""What a process does with memory."""

from __future__ import annotations

import gc

from hgs_toolkit.memory import collect_after_start_up


def test_garbage_is_left_alone_at_first_and_what_lives_by_then_for_good() -> None:
    try:
        timer = collect_after_start_up(0.2)
        assert not gc.isenabled()
        timer.join()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.enable()
        gc.unfreeze()
