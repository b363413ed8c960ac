"""``hgs sample`` draws a scene while the one before is written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from torch import Tensor

from hgs_toolkit.asset import Asset
from hgs_toolkit.cli import sample
from hgs_toolkit.errors import HgsError
from tests.cli.conftest import Hgs


def test_the_next_scene_is_drawn_while_one_is_written(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, draw, write = threading.Event(), sample._draw_strip, sample._write_scene
    drawn: list[int] = []
    in_time: list[bool] = []

    def draws(*arguments: object) -> Tensor:
        drawn.append(len(drawn))
        if len(drawn) == 2:
            second.set()
        return draw(*arguments)  # type: ignore[arg-type]

    def writes(*arguments: object) -> list[Path]:
        in_time.append(second.wait(30))
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sample, "_draw_strip", draws)
    monkeypatch.setattr(sample, "_write_scene", writes)
    words = ("sample", model_file, "--out", tmp_path / "out", "--seeds", "0,1", "--save", "png,spz", "--size", 16)
    result = hgs(*words)
    assert result.exit_code == 0, result.output
    assert in_time == [True, True]
    said = [Path(line).name for line in result.stdout.split()]
    assert said[:4] == ["seed0000.png", "seed0000.spz", "seed0001.png", "seed0001.spz"], "in the order of the seeds"


def test_what_goes_wrong_in_writing_ends_the_command(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(plan: object, seed: int, asset: Asset, strip: object) -> list[Path]:
        raise HgsError(f"no space for seed {seed}")

    monkeypatch.setattr(sample, "_write_scene", fails)
    result = hgs("sample", model_file, "--out", tmp_path / "out", "--seeds", "0-4", "--save", "ply")
    assert result.exit_code == 1
    assert "no space for seed 0" in result.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
