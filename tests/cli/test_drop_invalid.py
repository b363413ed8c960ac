"""``--drop-invalid``: a few broken rows need not cost the whole file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import reference_scene
from tests.exporters.splats.test_foreign_values import rewritten

Hgs = Callable[..., Result]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    export(reference_scene(0, 300), tmp_path / "broken.ply")
    rewritten(tmp_path / "broken.ply", lambda columns: columns["x"][:4].fill(np.nan))
    return tmp_path / "broken.ply"


COMMANDS = [["export", "OUT.hgs"], ["info"], ["render", "OUT.png", "--size", "32"], ["mesh", "OUT.obj"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_reading_command_names_the_option(command: list[str], broken: Path, hgs: Hgs) -> None:
    name, *rest = command
    arguments = [name, broken, *(str(broken.parent / text) if text.startswith("OUT") else text for text in rest)]
    result = hgs(*arguments)
    assert result.exit_code == 1
    assert "non-finite values in the Gaussians (4 in means), in 4 of 300" in result.stderr
    assert "--drop-invalid" in result.stderr


@pytest.mark.parametrize("command", COMMANDS[:3], ids=lambda command: command[0])
def test_the_option_leaves_the_broken_rows_out(command: list[str], broken: Path, hgs: Hgs) -> None:
    name, *rest = command
    arguments = [name, broken, *(str(broken.parent / text) if text.startswith("OUT") else text for text in rest)]
    result = hgs(*arguments, "--drop-invalid")
    assert result.exit_code == 0
    assert "4 of 300 Gaussians have NaN or infinite values (4 in means) and are left out" in result.stderr
    if name == "export":
        assert load(broken.parent / "OUT.hgs").num_gaussians == 296
