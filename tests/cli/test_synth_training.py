"""From a model to a dataset to the next model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit.config import Config
from hgs_toolkit.settings_io import config_to_yaml

Hgs = Callable[..., Result]


@pytest.mark.slow
def test_a_synthesised_set_trains(hgs: Hgs, model_file: Path, tiny_config: Config, tmp_path: Path) -> None:
    made = hgs("synth", model_file, "--out", tmp_path / "set", "--format", "eg3d", "--count", 16, "--views", 2,
               "--workers", 0)  # fmt: skip
    assert made.exit_code == 0, made.output
    data = tmp_path / "set" / "dataset.zip"
    assert hgs("dataset", "check", data).exit_code == 0
    (tmp_path / "tiny.yaml").write_text(config_to_yaml(tiny_config))
    trained = hgs(
        "train", "--data", data, "--config", tmp_path / "tiny.yaml", "--out", tmp_path / "next", "--kimg", 0.016,
        "--set", "training.batch=4", "--set", "training.grid=1", "--set", "training.knn_neighbors=2",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert (tmp_path / "next" / "model.safetensors").is_file()
