"""Commands with ``--device cuda`` on a pretended GPU: they mix no devices and read little back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.cli.main import app
from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator

MOST_WAITS = 60
"""Waits for the device while one scene is made, drawn and written."""


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_model, tiny_config, {})
    return path


@pytest.mark.parametrize(
    ("command", "made"),
    [
        (("sample", "MODEL", "--out", "OUT/s", "--seeds", "0", "--save", "png,hgs"), "s"),
        (("video", "MODEL", "OUT/v.gif", "--seeds", "0,1", "--frames", "2", "--size", "16"), "v.gif"),
        (("mix", "MODEL", "OUT/m.png", "--rows", "0", "--cols", "1", "--size", "16"), "m.png"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_computes_on_the_device(
    command: tuple[str, ...], made: str, model_file: Path, tmp_path: Path, gpu: ModuleType
) -> None:
    arguments = [part.replace("MODEL", str(model_file)).replace("OUT", str(tmp_path)) for part in command]
    result = CliRunner().invoke(app, [*arguments, "--device", "cuda"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (tmp_path / made).exists()
    if command[0] == "sample":
        assert gpu.WAITS.total() <= MOST_WAITS, gpu.WAITS
