"""Images without cameras, from a bare folder to samples: the discriminator is told no pose, a background is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.model_files import model_config
from hgs_toolkit.settings_io import load_config
from tests.cli.conftest import Hgs


@pytest.mark.slow
def test_a_bare_folder_of_images_is_trained_on_through_all_stages(hgs: Hgs, tmp_path: Path) -> None:
    faces, run = tmp_path / "faces", tmp_path / "run"
    faces.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(faces / f"{index}.png")
    small = [
        option
        for setting in (
            "generator.points=16", "generator.z_dim=8", "generator.w_dim=16", "generator.transformer_blocks=1",
            "generator.background_points=8", "generator.background_channels=8", "training.batch=4",
            "training.metric_kimg=0", "training.grid=1", "training.workers=0",
        )
        for option in ("--set", setting)
    ]  # fmt: skip
    trained = hgs("train", "--data", faces, "--out", run, "--kimg", "0.03", *small)
    assert trained.exit_code == 0, trained.output
    assert "the poses are no measurement" in trained.stderr
    assert "the discriminator is not told them" in " ".join(trained.stdout.split())
    assert sorted(folder.name for folder in (run / "stages").iterdir()) == ["1-at16", "2-at32", "3-polish"]
    config = load_config(run / "config.yaml")
    assert (config.discriminator.pose, config.training.random_pose) == ("none", 1.0)
    assert config.training.augment.geometry > 0
    assert model_config(run).generator.background == "generator"
    assert hgs("sample", run, "--seeds", "0", "--out", tmp_path / "samples").exit_code == 0
