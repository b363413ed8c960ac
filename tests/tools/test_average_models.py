"""Several snapshots become one model."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import read_header

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "average_models.py"


def average(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def test_the_mean_lies_in_the_middle_and_says_what_it_is_of(
    tmp_path: Path, tiny_model: Generator, tiny_config: Config
) -> None:
    torch.manual_seed(0)
    low, high = ({name: torch.randn_like(value) for name, value in tiny_model.state_dict().items()} for _ in range(2))
    paths = []
    for kimg, state in ((4, low), (8, high)):
        model = Generator(tiny_config.generator)
        model.load_state_dict(state)
        paths.append(tmp_path / f"{kimg}.safetensors")
        save_model(paths[-1], model, tiny_config, {"kimg": str(kimg)})
    done = average(tmp_path / "mean.safetensors", *paths)
    assert done.returncode == 0, done.stderr
    found = load_model(tmp_path / "mean.safetensors", "cpu").state_dict()
    for name, value in found.items():
        torch.testing.assert_close(value, (low[name] + high[name]) / 2)
    assert read_header(tmp_path / "mean.safetensors").facts["averaged"] == "snapshots after 4, 8 kimg"

    other = replace(tiny_config, generator=replace(tiny_config.generator, z_dim=4))
    save_model(tmp_path / "other.safetensors", Generator(other.generator), other, {})
    refused = average(tmp_path / "none.safetensors", paths[0], tmp_path / "other.safetensors")
    assert refused.returncode == 2
    assert "different generators" in refused.stderr
    assert not (tmp_path / "none.safetensors").exists()
