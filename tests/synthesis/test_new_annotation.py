"""A new annotation is one row of the table: formats, checks and plans need no other change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hgs_toolkit.cli import synth
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.synthesis import check
from hgs_toolkit.synthesis.annotations import ANNOTATIONS, Annotation
from hgs_toolkit.synthesis.containers import read
from hgs_toolkit.synthesis.png import png_bytes
from tests.synthesis.conftest import Make

NEAR = Annotation(
    "near", "255 where the scene is nearer than the origin's plane", "near.png", ("depth",),
    lambda view: png_bytes((view.layers.depth < view.planned.label[11]) * np.uint8(255), gradual=False),
    lambda plan: {"near_plane": plan.settings.cameras.poses.radius},
)  # fmt: skip
COVERED = Annotation("covered", "number of the mask's pixels", "", (), lambda view: int(view.mask.sum()))


@pytest.fixture(autouse=True)
def new_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in (NEAR, COVERED):
        monkeypatch.setitem(ANNOTATIONS, row.name, row)


@pytest.mark.parametrize(
    ("format_", "file"),
    [
        ("folder", "00000001.near.png"),
        ("wds", "00000001.near.png"),
        ("coco", "00000001.near.png"),
        ("transforms", "seed0000000000/near/00001.png"),
    ],
)
def test_a_new_row_is_stored_and_checked_in_every_format(make: Make, tmp_path: Path, format_: str, file: str) -> None:
    make(tmp_path / "set", format=format_, count=1, views=2, annotations=["near", "covered"])
    assert check(tmp_path / "set").problems == []
    (shard,) = (path for path in (tmp_path / "set" / "shards").iterdir() if path.suffix != ".json")
    files = dict(read(shard))
    assert file in files
    entries = next(json.loads(data) for name, data in sorted(files.items()) if name.endswith(".json"))
    if format_ == "coco":
        entries = entries["images"][0]["json"]
    if format_ == "transforms":
        entries = entries["frames"][0]
        assert entries["near_path"] == "near/00000.png"
    assert isinstance(entries["covered"], int)
    assert entries["near_plane"] == 2.7


def test_a_format_with_a_list_of_its_own_refuses_a_new_row(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'eg3d' does not store 'near'; it stores rgb, alpha, camera"):
        make(tmp_path / "set", format="eg3d", annotations=["near"])


def test_the_command_offers_a_new_row() -> None:
    result = CliRunner().invoke(synth.app, ["make", "--help"], prog_name="synth")
    assert "latent, near, covered" in " ".join(re.sub(r"[^\w,]+", " ", result.stdout).split())
