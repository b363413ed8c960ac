"""``hgs train`` with a preset of several stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import ONE_STAGE, Hgs


def test_a_preset_of_stages_trains_as_one_command_and_resumes(
    hgs: Hgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    presets, data, run = tmp_path / "presets", tmp_path / "set.zip", tmp_path / "run"
    presets.mkdir()
    (presets / "first.yaml").write_text(ONE_STAGE)
    (presets / "second.yaml").write_text("extends: first\ndescription: polished\ntraining: {generator_lr: 0.0005}\n")
    (presets / "both.yaml").write_text("extends: first\ndescription: both\nstages: [first, second]\n")
    monkeypatch.setattr("hgs_toolkit.settings_io.PRESET_FOLDER", presets)
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    begun = hgs("train", "--data", data, "--preset", "both", "--out", run, "--minutes", "0.0001")
    assert begun.exit_code == 0, begun.output
    assert "stage 1 of 2, first: step 1" in begun.stderr
    assert "of the whole plan" in begun.stderr
    info = hgs("info", run)
    assert info.exit_code == 0
    assert "resumable" in info.stdout
    resumed = hgs("train", "--resume", "--data", data, "--out", run)
    assert resumed.exit_code == 0, resumed.output
    assert "stage 2 of 2, second: step 4" in resumed.stderr
    assert (run / "stages" / "2-second" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    changed = hgs("train", "--resume", "--data", data, "--out", run, "--set", "training.batch=2")
    assert changed.exit_code == 2
    assert "keeps the settings" in changed.stderr
    assert hgs("train", "--resume", "--data", data, "--out", run, "--preset", "both").exit_code == 0
    other = hgs("train", "--resume", "--data", data, "--out", run, "--preset", "first")
    assert other.exit_code == 1
    assert "a run of the stages first, second, which first does not have" in " ".join(other.stderr.split())
    compared = hgs("runs", "compare", run, run / "stages" / "1-first")
    assert ["kimg", "shown", "0.016", "0.016"] in [line.split() for line in compared.stdout.splitlines()]
    assert "last tick" in hgs("info", run).stdout
    again = hgs("train", "--data", data, "--preset", "both", "--out", run)
    assert again.exit_code == 1
    assert "--resume" in again.stderr
