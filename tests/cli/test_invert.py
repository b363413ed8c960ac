"""``hgs invert`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.asset import load_asset
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters import load
from hgs_toolkit.training.inversion.results import result_names
from tests.cli.conftest import Hgs

QUICK = ("--steps", "3", "--tuning-steps", "2", "--perceptual", "none")


def test_a_known_subject_leaves_every_file_and_novel_views(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = hgs("invert", "critter:2", model_file, "--out", out, "--space", "pti", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted([*result_names(tuned=True), "scene.ply"])
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["views"][0]["psnr"] > 0
    assert len(metrics["novel_views"]) == len(metrics["novel_views_before_tuning"]) == 4
    asset = load_asset(out / "scene.hgs")
    assert asset.scene.num_gaussians == load(out / "scene.ply").num_gaussians
    tuned = load_model(out / "model.safetensors")
    assert tuned.config == load_model(model_file).config


def test_a_picture_without_a_camera_gets_one(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)).save(picture)
    result = hgs("invert", picture, model_file, "--out", tmp_path / "found", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "middle square" in result.stderr
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
        (("missing.png",), "missing.png"),
        (("critter:1", "--space", "z"), "w, w+, pti"),
        (("critter:1", "--perceptual", "vgg"), "squeeze"),
        (("critter:1", "--perceptual", "discriminator"), "run"),
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
