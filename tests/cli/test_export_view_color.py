"""``hgs export --sh-degree``: harmonics are fitted where a model's colour sees the view, and only cut elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.exporters.table import load
from hgs_toolkit.model.generator import Generator

Hgs = Callable[..., Result]


@pytest.fixture
def posed_model(tmp_path: Path, tiny_config: Config) -> Path:
    config = replace(tiny_config, generator=replace(tiny_config.generator, view_dependent_color=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_model(tmp_path / "posed.safetensors", Generator(config.generator), config)
    return tmp_path / "posed.safetensors"


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_models_view_dependence_is_fitted_and_its_error_said(
    hgs: Hgs, posed_model: Path, tmp_path: Path, degree: int
) -> None:
    result = hgs("export", f"{posed_model}@4", tmp_path / "a.ply", "--sh-degree", degree)
    assert result.exit_code == 0
    assert f"colour harmonics of degree {degree} differ" in result.stderr
    scene = load(tmp_path / "a.ply")
    assert scene.sh_degree == degree
    assert scene.sh[:, :, 1:].abs().max() > 1e-3


@pytest.mark.parametrize("options", [[], ["--sh-degree", 0]])
def test_degree_zero_and_the_default_freeze_the_frontal_view(
    hgs: Hgs, posed_model: Path, tmp_path: Path, options: list[object]
) -> None:
    result = hgs("export", f"{posed_model}@4", tmp_path / "a.ply", *options)
    assert "harmonics" not in result.stderr
    assert load(tmp_path / "a.ply").sh_degree == 0


def test_other_models_and_files_gain_no_harmonics(hgs: Hgs, model_file: Path, asset_file: Path, tmp_path: Path) -> None:
    for name, source in (("a.ply", f"{model_file}@4"), ("b.ply", asset_file)):
        assert "harmonics" not in hgs("export", source, tmp_path / name, "--sh-degree", 3).stderr
        assert load(tmp_path / name).sh_degree == 0
