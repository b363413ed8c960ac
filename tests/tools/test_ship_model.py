"""What ships comes from files that are kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator
from tools import ship_model
from tools.ship_model import trained

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("packed", "name", "steps"), [("circle64", "critters64", math.inf), ("circle128", "critters128", 127)]
)
def test_the_packed_networks_hold_the_model_that_ships(packed: str, name: str, steps: float) -> None:
    """Training on from `experiments/weights` begins with what `hgs sample` shows, to the eight bits of one or both."""
    _, generator = trained(str(ROOT / "experiments" / "weights" / f"{packed}.safetensors"))
    shipped = load_model(name, "cpu").state_dict()
    assert generator.state_dict().keys() == shipped.keys()
    for key, value in generator.state_dict().items():
        most = value.abs().max().item() / steps  # one step of the coarsest scale; half of one in each file
        torch.testing.assert_close(value.half(), shipped[key].half(), rtol=0, atol=most)


def test_a_model_file_is_taken_as_it_is(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> None:
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config, {"kimg": "4"})
    header, generator = trained(str(tmp_path / "model.safetensors"))
    assert header.facts == {"kimg": "4"}
    for name, value in tiny_model.state_dict().items():
        torch.testing.assert_close(generator.state_dict()[name], value)


@pytest.mark.parametrize("option", ["--figure=kid=abc", "--figure=kid", "--fact=foo"])
def test_what_is_no_figure_or_fact_is_refused_before_anything_is_replaced(
    option: str, tmp_path: Path, tiny_model: Generator, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path / "run.safetensors", tiny_model, tiny_config, {})
    monkeypatch.setattr(ship_model, "PRETRAINED", tmp_path / "default.safetensors")
    monkeypatch.setattr("sys.argv", ["ship_model.py", str(tmp_path / "run.safetensors"), "--name", "new", option])
    with pytest.raises(SystemExit):
        ship_model.main()
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
