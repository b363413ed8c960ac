"""``hgs train`` with a preset of several stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Hgs = Callable[..., Result]

FIRST = """
description: one stage
generator: {resolution: 16, z_dim: 8, w_dim: 16, pose_conditioned: false, view_dependent_color: false, points: 16,
  channels: [32, 16], level_blocks: [adain], transformer_blocks: 1, heads: 2, soft_clamp: 10.0, background: none}
discriminator: {kind: residual, resolution: 16, channels: [8, 16, 16], pose: projection, mbstd_group: 0}
training: {batch: 4, kimg: 0.016, loss: relativistic, r1_gamma: 0.1, r2_gamma: 0.1, penalty_interval: 2,
  penalty_step: merged, share_fakes: true, pose_weight: 0.0, knn_neighbors: 4, blur_kimg: 0.02, blur_sigma: 2.0,
  background: random, tick_kimg: 0.008, grid: 2}
"""


def test_a_preset_of_stages_trains_as_one_command_and_resumes(
    hgs: Hgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    presets, data, run = tmp_path / "presets", tmp_path / "set.zip", tmp_path / "run"
    presets.mkdir()
    (presets / "first.yaml").write_text(FIRST)
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
    again = hgs("train", "--data", data, "--preset", "both", "--out", run)
    assert again.exit_code == 1
    assert "--resume" in again.stderr
