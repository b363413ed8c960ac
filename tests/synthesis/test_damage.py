"""Damaged datasets are found out and repaired; files of others among theirs stay."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.files import sha256
from hgs_toolkit.synthesis import Part, Workforce, check, forget, merge
from tests.synthesis.conftest import Make, contents

SMALL = {"count": 5, "views": 2, "shard_images": 4}
"""Ten images in three shards."""


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def promise(path: Path) -> None:
    """Let the header of an array promise 40 TB."""
    head, _, rest = path.read_bytes().partition(b"'shape': (")
    old, _, rest = rest.partition(b")")
    new = b"9999999999999,"
    path.write_bytes(head + b"'shape': (" + new + b")" + rest.replace(b" " * (len(new) - len(old)), b"", 1))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a picture is changed": (lambda shards: flip(shards / "000001" / "00000005.rgb.png"), "and SHA-256"),
    "a picture is torn": (lambda shards: os.truncate(shards / "000001" / "00000005.rgb.png", 60), "cannot be opened"),
    "an array promises too much": (
        lambda shards: promise(shards / "000001" / "00000004.latent.npy"),
        "promises 39,999,999,999,996 bytes",
    ),
    "a file is gone": (lambda shards: (shards / "000000" / "00000001.json").unlink(), "lacks 00000001.json"),
    "a shard is gone": (lambda shards: shutil.rmtree(shards / "000002"), "000002 is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_repaired_by_making_the_shard_again(make: Make, tmp_path: Path, damage: str) -> None:
    harm, message = DAMAGES[damage]
    make(tmp_path / "set", **SMALL)
    before = contents(tmp_path / "set")
    assert check(tmp_path / "set").problems == []
    harm(tmp_path / "set" / "shards")
    report = check(tmp_path / "set")
    assert any(message in problem for problem in report.problems), report.problems
    assert len(report.damaged) == 1
    forget(tmp_path / "set", report)
    assert make(tmp_path / "set", resume=True, **SMALL).made in (2, 4)
    assert contents(tmp_path / "set") == before


def test_files_of_others_beside_ours_stay_and_spoil_nothing(make: Make, tmp_path: Path) -> None:
    shards = tmp_path / "set" / "shards"
    make(tmp_path / "set", **SMALL)
    before = contents(tmp_path / "set")
    (shards / "000000" / ".DS_Store").write_bytes(b"\0")
    assert check(tmp_path / "set").problems == []
    notes = shards / "000000" / "notes.txt"
    notes.write_text("mine")
    (shards / "000000" / "half.json").write_text("{")
    report = check(tmp_path / "set")
    assert report.damaged == []
    assert [problem.partition(" holds ")[2].partition(",")[0] for problem in report.problems] == [
        "half.json", "notes.txt",
    ]  # fmt: skip
    merge(tmp_path / "set")
    assert make(tmp_path / "set", resume=True, **SMALL).made == 0
    (shards / "000000" / "00000001.json").unlink()
    with pytest.raises(HgsError, match=r"000000 is to be made again and holds half\.json, notes\.txt, which is not of"):
        make(tmp_path / "set", resume=True, **SMALL)
    notes.rename(tmp_path / "notes.txt")
    (shards / "000000" / "half.json").unlink()
    assert make(tmp_path / "set", resume=True, **SMALL).made == 4
    assert contents(tmp_path / "set") == before


def test_files_of_others_beside_joined_shards_stay(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", format="eg3d", workforce=Workforce(workers=0, part=Part(0, 1)), **SMALL)
    notes = tmp_path / "again" / "shards" / "notes.txt"
    for index in range(2):
        make(tmp_path / "again", format="eg3d", workforce=Workforce(workers=0, part=Part(index, 2)), **SMALL)
    notes.write_text("mine")
    merge(tmp_path / "again")
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]
    assert sha256(tmp_path / "again" / "dataset.zip") == sha256(tmp_path / "set" / "dataset.zip")


@pytest.mark.parametrize("format_", ["folder", "eg3d"])
@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("product", "x"), ("product", {"name": "dataset.zip", "bytes": "3", "sha256": ""}), ("product", ...),
        ("product", {"name": "../else.zip", "bytes": 3, "sha256": ""}), ("shards", [{"shard": 0}]), ("shards", 3),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_one_sentence(make: Make, tmp_path: Path, format_: str, entry: str, value: Any) -> None:
    make(tmp_path / "set", count=1, size=16, format=format_)
    manifest = tmp_path / "set" / "manifest.json"
    values = json.loads(manifest.read_bytes()) | {entry: value}
    manifest.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))
    for look in (merge, check):
        with pytest.raises(DataError, match=r"manifest\.json is damaged: .*; remove it and run"):
            look(tmp_path / "set")


@pytest.mark.parametrize("format_", ["wds", "eg3d", "coco"])
def test_a_flipped_bit_is_found_in_every_kind_of_file(make: Make, tmp_path: Path, format_: str) -> None:
    outcome = make(tmp_path / "set", format=format_, **SMALL)
    assert outcome.dataset is not None
    flip(outcome.dataset if outcome.dataset.is_file() else outcome.dataset / "000001.tar")
    assert any("SHA-256" in problem for problem in check(tmp_path / "set").problems)
