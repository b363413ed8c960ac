"""Running commands as a user does, on a tiny model and scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hgs_toolkit.asset import Asset, AssetMetadata, save_asset
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.cli.main import app
from hgs_toolkit.config import Config
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator

Hgs = Callable[..., Result]

ONE_STAGE = """
description: one stage
generator: {resolution: 16, z_dim: 8, w_dim: 16, pose_conditioned: false, view_dependent_color: false, points: 16,
  channels: [32, 16], level_blocks: [adain], transformer_blocks: 1, heads: 2, soft_clamp: 10.0, background: none}
discriminator: {kind: residual, resolution: 16, channels: [8, 16, 16], pose: projection, mbstd_group: 0}
training: {batch: 4, kimg: 0.016, loss: relativistic, r1_gamma: 0.1, r2_gamma: 0.1, penalty_interval: 2,
  penalty_step: merged, share_fakes: true, pose_weight: 0.0, knn_neighbors: 4, blur_kimg: 0.02, blur_sigma: 2.0,
  background: random, tick_kimg: 0.008, grid: 2}
"""
"""Settings of a run that takes a second."""


@pytest.fixture
def hgs(monkeypatch: pytest.MonkeyPatch) -> Hgs:
    """``hgs("info", path)``: the command's exit code, stdout and stderr; a bug's exception is raised."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("HGS_DEBUG", raising=False)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture
def asset_file(tmp_path: Path, scene: GaussianHierarchy) -> Path:
    path = tmp_path / "a.hgs"
    save_asset(path, Asset(scene, AssetMetadata(seed=3, psi=0.7, generator="tiny", extra={"license": "CC0"})))
    return path


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    path = tmp_path / "run" / "model.safetensors"
    save_model(path, tiny_model, tiny_config, {"kimg": "4.0"})
    return path
