"""``hgs synth`` as a user types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hgs_toolkit import model_files
from hgs_toolkit.synthesis.maker import ShardMaker

Hgs = Callable[..., Result]

SMALL = ("--count", 3, "--views", 2, "--workers", 0)


def plan(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return values


def test_a_dataset_is_made_told_about_and_checked(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = hgs("synth", model_file, "--out", out, "--format", "coco", *SMALL)
    assert made.exit_code == 0, made.output
    assert made.stdout.splitlines()[-1] == str(out / "annotations.json")
    assert "rasteriser" in made.stdout
    assert plan(out)["settings"]["count"] == 3
    checked = hgs("synth", "check", out)
    assert checked.exit_code == 0
    assert checked.stdout.startswith("6 images, 8 files")


def test_make_is_what_no_command_means_wherever_the_model_stands(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    spellings = [
        ("synth", "make", model_file, "--out", tmp_path / "a"),
        ("synth", model_file.parent, "--out", tmp_path / "b"),
        ("synth", "--out", tmp_path / "c", model_file),
    ]
    for words in spellings:
        assert hgs(*words, "--count", 1, "--workers", 0).exit_code == 0
    assert plan(tmp_path / "a") == plan(tmp_path / "b") == plan(tmp_path / "c")


def test_help_shows_the_commands_and_makes_options(hgs: Hgs) -> None:
    overview = hgs("synth", "-h").stdout
    assert all(command in overview for command in ("make", "merge", "check"))
    assert "--annotations" in hgs("synth", "--count", 1, "-h").stdout
    assert hgs("synth", "--count", "many", "--out", "x").exit_code == 2
    assert hgs("synth", "--count", 1).exit_code == 2


def test_options_go_before_set_and_that_before_the_file(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("count: 9\nviews: 3\nexposure: 0.5\ncameras: {poses: {radius: 3.5, focal: 1.1}}\n")
    made = hgs(
        "synth", model_file, "--out", tmp_path / "set", "--workers", 0, "--config", tmp_path / "s.yaml", "--count", 1,
        "--set", "views=1", "--set", "cameras.poses.pitch_mean=0.3", "--focal", 1.7, "--yaw", 90, "--law", "uniform",
        "--annotations", "rgb, mask", "--background", "random", "--focal-jitter", 0.1,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    settings = plan(tmp_path / "set")["settings"]
    assert (settings["count"], settings["views"], settings["exposure"]) == (1, 1, 0.5)
    assert settings["annotations"] == ["rgb", "mask"]
    assert settings["cameras"]["focal_jitter"] == 0.1
    poses = settings["cameras"]["poses"]
    assert (poses["radius"], poses["focal"], poses["pitch_mean"], poses["yaw_law"]) == (3.5, 1.7, 0.3, "uniform")
    assert poses["yaw_spread"] == pytest.approx(1.5708, abs=1e-4)


def test_parts_are_made_apart_and_merged(hgs: Hgs, model_file: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    out = tmp_path / "set"
    command = ("synth", model_file, "--out", out, "--format", "eg3d", "--set", "shard_images=2", *SMALL)
    first = hgs(*command, "--shard", "0/2")
    assert "part 0 of 2" in first.stderr
    assert f"hgs synth merge {out}" in first.stderr
    early = hgs("synth", "merge", out)
    assert (early.exit_code, "lacks 1 of 3 shards (1)" in early.stderr) == (1, True)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    second = hgs(*command)
    assert "part 1 of 2, as SLURM_ARRAY_TASK_ID says (--shard all makes everything)" in second.stderr
    merged = hgs("synth", "merge", out)
    assert merged.stdout == f"{out / 'dataset.zip'}\n"
    again = hgs(*command, "--shard", "all", "--resume")
    assert again.exit_code == 0
    assert again.stdout == f"{out / 'dataset.zip'}\n"


def test_damage_ends_with_exit_code_1_and_can_be_forgotten(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    command = ("synth", model_file, "--out", tmp_path / "set", "--format", "wds", *SMALL)
    hgs(*command)
    (tmp_path / "set" / "shards" / "000000.tar").write_bytes(b"torn")
    checked = hgs("synth", "check", tmp_path / "set")
    assert checked.exit_code == 1
    assert "see --forget" in checked.stderr
    assert "--resume" in hgs("synth", "check", tmp_path / "set", "--forget").stderr
    resumed = hgs(*command, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert hgs("synth", "check", tmp_path / "set").exit_code == 0


def test_stopping_it_says_how_to_go_on(hgs: Hgs, model_file: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ShardMaker, "make", stop)
    result = hgs("synth", model_file, "--out", tmp_path / "set", *SMALL)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: stopped; finished shards stay in {tmp_path / 'set'}, and")
    assert "--resume goes on" in result.stderr


def test_json_progress_counts_every_image(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    made = hgs("synth", model_file, "--out", tmp_path / "set", "--json-progress", *SMALL)
    events = [json.loads(line) for line in made.stdout.splitlines()]
    assert {"event": "progress", "text": "synthesising", "done": 6, "total": 6} in events
    assert [event["event"] for event in events if event["event"] != "progress"] == ["result", "file", "done"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "--shard", "2/2"], "part 2/2; expected i/n with i from 0 to n - 1"),
        (["MODEL", "--background", "no-such-folder"], "neither a colour (a name or #rrggbb) nor an existing folder"),
        (["MODEL", "--config", "none.yaml"], "cannot read the configuration none.yaml"),
        (["missing"], "missing does not exist"),
        ([], "no model was named and none ships"),
    ],
)
def test_bad_input_is_one_sentence_and_makes_nothing(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "none.safetensors")
    words = [str(model_file) if word == "MODEL" else word for word in arguments]
    result = hgs("synth", *words, "--out", tmp_path / "set", "--workers", 0)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--yaw", -20), "'--yaw' is '-20'; expected at least 0"),
        (("--pitch", -1), "'--pitch' is '-1'; expected at least 0"),
        (("--address", "auto"), "--address: only --engine ray has an address"),
        (("--classes", ","), "'--classes': it names nothing"),
        (("--annotations", ""), "'--annotations': it names nothing"),
    ],
)
def test_options_that_would_change_nothing_or_mean_nothing_are_refused(
    hgs: Hgs, model_file: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = hgs("synth", model_file, "--out", tmp_path / "set", *SMALL, *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "set").exists()


def test_without_ray_the_pip_command_is_named(hgs: Hgs, model_file: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", None)
    result = hgs("synth", model_file, "--out", tmp_path / "set", "--engine", "ray", "--count", 1)
    assert result.exit_code == 1
    assert "needs the package 'ray', which is not installed; run: pip install 'hgs_toolkit[ray]'" in result.stderr
