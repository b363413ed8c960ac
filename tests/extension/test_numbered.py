"""Sequences of files: their order and which is shown when."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_addon.core.numbered import BOUNCE, HOLD, LOOP, frame_index, list_frames


def test_frames_are_ordered_by_number_and_of_one_kind(tmp_path: Path) -> None:
    for name in ("f10.hgs", "f9.hgs", "f010.ply", "f1.hgs", ".tmp-f3.hgs", "contact.png", "manifest.json"):
        (tmp_path / name).touch()
    (tmp_path / "f0.hgs").mkdir()
    assert [path.name for path in list_frames(tmp_path)] == ["f1.hgs", "f9.hgs", "f10.hgs"]


def test_a_folder_without_splats_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert list_frames(tmp_path) == []


SHOWN = [
    (HOLD, [0, 0, 0, 1, 2, 2, 2, 2]),
    (LOOP, [1, 2, 0, 1, 2, 0, 1, 2]),
    (BOUNCE, [2, 1, 0, 1, 2, 1, 0, 1]),
]


@pytest.mark.parametrize(("mode", "shown"), SHOWN)
def test_what_is_shown_before_within_and_after_a_sequence(mode: str, shown: list[int]) -> None:
    assert [frame_index(frame, 3, start=2, mode=mode) for frame in range(8)] == shown


@pytest.mark.parametrize("mode", [HOLD, LOOP, BOUNCE])
def test_one_file_is_always_shown(mode: str) -> None:
    assert {frame_index(frame, 1, start=5, mode=mode) for frame in range(-9, 20)} == {0}


def test_each_file_stays_as_long_as_asked() -> None:
    assert [frame_index(frame, 3, start=1, hold=3) for frame in range(1, 11)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
