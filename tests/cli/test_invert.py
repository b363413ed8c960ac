"""``hgs invert`` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hgs_toolkit.asset import load_asset
from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import Credit, attribution_facts
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.exporters.table import load
from hgs_toolkit.files import sha256
from hgs_toolkit.footprint import footprint
from hgs_toolkit.inversion.results import result_names
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import model_config, read_header
from tests.cli.conftest import Hgs

QUICK = ("--steps", "3", "--perceptual", "none")
TUNED = ("--space", "pti", "--tuning-steps", "2", *QUICK)


def test_a_known_subject_leaves_every_file_and_novel_views(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = hgs("invert", "critter:2", model_file, "--out", out, *TUNED)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted([*result_names(tuned=True), "scene.ply"])
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["views"][0]["psnr"] > 0
    assert len(metrics["novel_views"]) == len(metrics["novel_views_before_tuning"]) == 4
    asset = load_asset(out / "scene.hgs")
    assert asset.scene.num_gaussians == load(out / "scene.ply").num_gaussians
    assert asset.metadata.model == sha256(out / "model.safetensors")
    tuned = load_model(out / "model.safetensors")
    assert tuned.config == load_model(model_file).config


def test_a_picture_without_a_camera_gets_one(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(picture)
    result = hgs("invert", picture, model_file, "--out", tmp_path / "found", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "middle square" in result.stderr
    assert "give --yaw and --pitch" in result.stderr or "the camera was estimated" in result.stderr
    assert json.loads((tmp_path / "found" / "metrics.json").read_text())["camera_estimate"]["yaw_std"] >= 0
    assert not (tmp_path / "found" / "model.safetensors").exists()


def test_the_written_camera_can_be_given_back(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert hgs("invert", "critter:2", model_file, "--out", out, *QUICK).exit_code == 0
    again = hgs("invert", "critter:2", model_file, "--out", out, "--camera", out / "metrics.json", "--force", *QUICK)
    assert again.exit_code == 0, again.stderr


def test_nothing_is_replaced_without_force(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    out.mkdir()
    (out / "scene.ply").write_bytes(b"mine")
    result = hgs("invert", "critter:2", model_file, "--out", out, *QUICK)
    assert result.exit_code == 1
    assert "scene.ply" in result.stderr
    assert (out / "scene.ply").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("critter:x",), "critter:N"),
        (("critter:" + "9" * 20,), "18 digits"),
        (("missing.png",), "missing.png"),
        (("critter:1", "--perceptual", "discriminator"), "run"),
        (("critter:1", "--mask", "mask.png"), "leave the mask out"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    hgs: Hgs, model_file: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    image, *rest = arguments
    result = hgs("invert", image, model_file, "--out", tmp_path / "found", *rest)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_set_of_views_has_its_own_cameras_and_one_subject(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_critters(tmp_path / "views", 2, 16)
    arguments = ("invert", tmp_path / "views", model_file, "--out", tmp_path / "found", *QUICK)
    assert "names the camera" in hgs(*arguments, "--yaw", "10").stderr
    assert hgs(*arguments).exit_code == 0
    assert len(json.loads((tmp_path / "found" / "metrics.json").read_text())["views"]) == 2
    monkeypatch.setattr("hgs_toolkit.cli.invert.MAX_VIEWS", 1)
    result = hgs(*arguments, "--force")
    assert result.exit_code == 1
    assert "2 images" in result.stderr


def test_files_hold_the_scene_widened_for_any_size(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    """The picture of the training size has the rasteriser's filter; files have to bring theirs."""
    out = tmp_path / "found"
    assert hgs("invert", "critter:2", model_file, "--out", out, *QUICK).exit_code == 0
    model = load_model(model_file)
    latent = load_file(out / "latent.safetensors")["ws"]
    plain, written = model.synthesize(latent[None]), load_asset(out / "scene.hgs").scene
    variance = (2 * written.log_scales).exp() - (2 * plain.log_scales).exp()
    foreground = ~written.is_background
    torch.testing.assert_close(
        variance[:, foreground], torch.full_like(variance[:, foreground], footprint(model.config)), rtol=1e-3, atol=1e-8
    )


def test_a_tuned_model_keeps_the_credits_of_the_one_it_comes_from(
    hgs: Hgs, model_file: Path, tmp_path: Path, tiny_config: Config
) -> None:
    terms = {"licence": "CC-BY-4.0", **attribution_facts([Credit("chair", "A. Maker")])}
    save_model(tmp_path / "credited.safetensors", load_model(model_file), tiny_config, terms)
    out = tmp_path / "found"
    result = hgs("invert", "critter:2", tmp_path / "credited.safetensors", "--out", out, *TUNED)
    assert result.exit_code == 0, result.stderr
    assert terms.items() <= read_header(out / "model.safetensors").facts.items()


def test_a_new_result_takes_the_old_ones_tuned_model_away(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert hgs("invert", "critter:2", model_file, "--out", out, *TUNED).exit_code == 0
    # It stays while its own scenes are searched.
    assert hgs("invert", "critter:2", out, "--out", out, "--force", *QUICK).exit_code == 0
    assert (out / "model.safetensors").is_file()
    again = hgs("invert", "critter:2", model_file, "--out", out, "--force", *QUICK)
    assert again.exit_code == 0, again.stderr
    assert f"{out / 'model.safetensors'} was of the earlier result and is removed" in again.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted([*result_names(tuned=False), "scene.ply"])


def test_the_model_of_a_training_run_stays(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "other"
    save_model(out / "model.safetensors", load_model(model_file), model_config(model_file), {"kimg": "1"})
    before = sha256(out / "model.safetensors")
    assert hgs("invert", "critter:2", model_file, "--out", out, "--force", *QUICK).exit_code == 0
    assert sha256(out / "model.safetensors") == before


def test_what_cannot_be_measured_is_null(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    """Of a scene that nobody sees, no depth can be compared; everything else is written."""
    model = load_model(model_file)
    config = replace(model_config(model_file), generator=replace(model.config, initial_opacity_logit=-30.0))
    save_model(tmp_path / "faint.safetensors", Generator(config.generator), config)
    out = tmp_path / "found"
    result = hgs("invert", "critter:1", tmp_path / "faint.safetensors", "--out", out, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert json.loads((out / "metrics.json").read_text())["novel_views"][0]["depth_error"] is None
    assert (out / "scene.ply").is_file()
