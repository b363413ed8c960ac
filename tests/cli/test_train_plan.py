"""``hgs train`` without a preset: a plan is made, shown, edited, and resumes wherever it was interrupted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy.typing as npt
import pytest

from hgs_toolkit.datasets import make
from hgs_toolkit.datasets.preparing import prepare_data
from hgs_toolkit.training.stages.plan import PlanFolder
from tests.cli.conftest import Hgs

SMALL = [
    option
    for setting in (
        "generator.points=16", "generator.z_dim=8", "generator.w_dim=16", "generator.transformer_blocks=1",
        "generator.channels=[16,8]", "discriminator.channels=[8,8,8]", "discriminator.pose_dim=8", "training.batch=4",
        "training.metric_kimg=0", "discriminator.kind=residual", "training.grid=1", "training.workers=0",
    )
    for option in ("--set", setting)
]  # fmt: skip


def test_stages_for_which_the_set_is_too_small_leave_no_folder(hgs: Hgs, tmp_path: Path) -> None:
    assert hgs("dataset", "demo", "--out", tmp_path / "set.zip", "--count", 6, "--resolution", 16).exit_code == 0
    refused = hgs("train", "--data", tmp_path / "set.zip", "--preset", "critters64", "--out", tmp_path / "run")
    assert refused.exit_code == 1
    said = " ".join(refused.stderr.split())
    assert "set.zip has 6 images, 'critters64-at16' sees 16 in a step; expected at least as many" in said
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_a_plan_is_shown_edited_and_trained(hgs: Hgs, tmp_path: Path) -> None:
    data, run = tmp_path / "set.zip", tmp_path / "run"
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    planned = hgs("train", "--data", data, "--out", run, "--plan-only", "--kimg", "0.01", *SMALL)
    assert planned.exit_code == 0, planned.output
    assert "the images have alpha" in planned.stdout
    assert sorted(file.name for file in run.iterdir()) == ["plan.yaml"]
    plan = run / "plan.yaml"
    assert "8 images are fewer than 5,000" in " ".join(plan.read_text().split())
    *_, polished = re.findall(r"generator_lr: [\d.]+", plan.read_text())
    plan.write_text(plan.read_text().replace(polished, "generator_lr: 0.0004"))
    again = hgs("train", "--data", data, "--out", run, *SMALL)
    assert again.exit_code == 1
    assert "--resume" in again.stderr
    assert hgs("train", "--resume", "--data", data, "--out", run).exit_code == 0
    assert "generator_lr: 0.0004" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_a_plan_that_was_interrupted_ends_as_another_run_by_the_same_plan(hgs: Hgs, tmp_path: Path) -> None:
    data, run, other = tmp_path / "set.zip", tmp_path / "run", tmp_path / "other"
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    assert hgs("train", "--data", data, "--out", run, "--plan-only", "--kimg", "0.02", *SMALL).exit_code == 0
    straight = hgs("train", "--data", data, "--config", run / "plan.yaml", "--out", other)
    assert straight.exit_code == 0, straight.output
    torn = hgs("train", "--resume", "--data", data, "--out", run, "--minutes", "0.0001")
    assert torn.exit_code == 0, torn.output
    assert hgs("train", "--resume", "--data", data, "--out", run).exit_code == 0
    assert (run / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_what_a_plan_needs_is_refused_beside_a_preset(hgs: Hgs, tmp_path: Path) -> None:
    mixed = hgs("train", "--data", tmp_path, "--preset", "critters32", "--out", tmp_path / "run", "--plan-only")
    assert mixed.exit_code == 2
    assert "a plan is made without a preset" in mixed.stderr
    (tmp_path / "nothing").mkdir()
    empty = hgs("train", "--data", tmp_path / "nothing", "--out", tmp_path / "run")
    assert empty.exit_code == 1
    assert "no mesh and no image" in empty.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_folder_of_meshes_is_rendered_planned_and_trained_and_goes_on_where_rendering_was_interrupted(
    hgs: Hgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    monkeypatch.setattr("hgs_toolkit.datasets.preparing.RENDERED", (8, 8))
    models, run = tmp_path / "models", tmp_path / "run"
    models.mkdir()
    (models / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    monkeypatch.setattr(make, "PART", 4)
    encode, made = make._encode, list[int]()

    def interrupted(make_image: make.ImageMaker, index: int) -> tuple[bytes, npt.ArrayLike]:
        if len(made) == 6:
            raise KeyboardInterrupt
        made.append(index)
        return encode(make_image, index)

    monkeypatch.setattr(make, "_encode", interrupted)
    assert hgs("train", "--data", models, "--out", run, "--resolution", 16).exit_code == 1
    assert [file.name for file in (run / "data-parts").iterdir()] == ["part-00000000.zip"]
    monkeypatch.setattr(make, "_encode", encode)
    trained = hgs("train", "--resume", "--data", models, "--out", run, "--kimg", "0.01", "--resolution", 16, *SMALL)
    assert trained.exit_code == 0, trained.output
    assert (run / "model.safetensors").is_file()
    assert "8 drawings of 1 models" in trained.stderr
    assert (run / "data.zip").read_bytes() == prepare_data(models, tmp_path / "whole", 16).read_bytes()


def test_settings_by_hand_win_over_what_fits_the_lengths(hgs: Hgs, tmp_path: Path) -> None:
    data, run = tmp_path / "set.zip", tmp_path / "run"
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    by_hand = ["--set", "training.ema_kimg=7", "--set", "training.tick_kimg=0.125", "--set", "training.r1_gamma=5"]
    planned = hgs("train", "--data", data, "--out", run, "--plan-only", "--kimg", "0.01", *SMALL, *by_hand)
    assert planned.exit_code == 0, planned.output
    assert "training.r1_gamma=5" in planned.stdout
    for stage in PlanFolder(run).read():
        assert (stage.training.ema_kimg, stage.training.tick_kimg, stage.training.r1_gamma) == (7, 0.125, 5)
