"""Writing files: complete or not at all, whatever goes wrong in between."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit import files
from hgs_toolkit.errors import HgsError


def test_a_finished_file_has_its_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a" / "b.bin", b"new")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken"), OSError(errno.ENOSPC, "No space left")])
def test_an_interrupted_write_keeps_the_old_file_and_removes_the_temporary_one(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "x.ply"
    path.write_bytes(b"old")

    def write_half() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises((type(error), HgsError)):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HgsError, match=r"x\.bin: No space left on device; nothing was changed"):
        files.write_bytes(tmp_path / "x.bin", b"data")
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with files.atomic_path(tmp_path / "m.compressed.ply") as temporary:
        assert temporary.name.endswith("m.compressed.ply")
        assert temporary.parent == tmp_path


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", "lod-meta.json"])
def test_a_name_may_be_as_long_as_the_system_allows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / ("ä" * ((255 - len(suffix)) // 2) + suffix)
    with files.atomic_path(path) as temporary:
        assert temporary.name.endswith(suffix)
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HgsError, match="cannot create the folder"):
        files.write_bytes(tmp_path / "file" / "x", b"")


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(HgsError, match="--force"):
        files.write_bytes(path, b"new", force=False)
    assert path.read_bytes() == b"old"


def test_json_is_readable_and_has_no_nan(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": [1, 2.5]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1, 2.5]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "y.json", {"a": float("nan")})


def test_what_is_no_number_is_null_wherever_it_stands() -> None:
    given = {"a": [1, float("nan"), {"b": (float("inf"), "inf")}], "c": 2.5}
    assert files.without_nan(given) == {"a": [1, None, {"b": [None, "inf"]}], "c": 2.5}


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x").startswith("ba7816bf")


def test_a_library_that_meets_a_full_disk_ends_in_our_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with (
        pytest.raises(HgsError, match=r"cannot write .*a: No space left on device; nothing was changed"),
        files.atomic_path(tmp_path / "a"),
    ):
        raise RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError, match="something else"), files.atomic_path(tmp_path / "a"):
        raise RuntimeError("something else")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
