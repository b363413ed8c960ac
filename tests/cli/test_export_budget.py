"""``hgs export --to-budget``: a file of the size asked for, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from typer.testing import Result

from hgs_toolkit.asset import Asset, load_asset, save_asset
from hgs_toolkit.exporters.table import load
from hgs_toolkit.gaussians import GaussianHierarchy

Hgs = Callable[..., Result]


def test_a_budget_is_kept_and_its_price_said(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    hgs("export", asset_file, tmp_path / "whole.ply")
    whole = (tmp_path / "whole.ply").stat().st_size
    result = hgs("export", asset_file, tmp_path / "a.ply", "--to-budget", f"{whole * 0.6 / 1000:.1f}k")
    assert result.exit_code == 0
    assert (tmp_path / "a.ply").stat().st_size <= 0.6 * whole + 50
    found = re.search(r"(\d+) of (\d+) Gaussians are kept; PSNR against all of them ([0-9.inf]+) dB", result.stderr)
    assert found
    assert load(tmp_path / "a.ply").num_gaussians == int(found[1]) < int(found[2])


def test_a_budget_that_is_no_size_is_refused(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    result = hgs("export", asset_file, tmp_path / "a.ply", "--to-budget", "small")
    assert result.exit_code == 1
    assert "--to-budget 'small' is no size; expected a number of bytes such as 500k or 2M" in result.stderr


def test_the_latent_is_kept_with_what_fits_the_budget(hgs: Hgs, scene: GaussianHierarchy, tmp_path: Path) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene, latent=torch.ones(8)))
    assert hgs("export", tmp_path / "a.hgs", tmp_path / "b.hgs", "--to-budget", "5k").exit_code == 0
    asset = load_asset(tmp_path / "b.hgs")
    assert asset.latent is not None
    assert asset.scene.num_gaussians < scene.num_gaussians
