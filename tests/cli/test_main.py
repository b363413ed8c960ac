"""The table of commands: all of them explain themselves, fast, and wrong usage is exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest
from typer.testing import Result

from hgs_toolkit.cli.main import COMMANDS, GROUPS

Hgs = Callable[..., Result]

PYTHON = [sys.executable, "-W", "error"]


def plain(result: Result) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def test_help_names_every_command(hgs: Hgs) -> None:
    text = plain(hgs("--help"))
    for name in [*COMMANDS, *GROUPS]:
        assert re.search(rf"^\W*{name}\s+\w", text, re.MULTILINE), name


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(name: str, hgs: Hgs) -> None:
    result = hgs(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: hgs {name}" in plain(result)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str, hgs: Hgs) -> None:
    assert "--json-progress" in plain(hgs(name, "--help"))


@pytest.mark.parametrize("arguments", [["nonsense"], ["info"], ["export", "a"], ["sample", "--views", "x"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], hgs: Hgs) -> None:
    result = hgs(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in plain(result)


def test_the_version_is_shown(hgs: Hgs) -> None:
    assert hgs("--version").output.strip() == f"hgs_toolkit {version('hgs_toolkit')}"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from hgs_toolkit.cli.main import app; "
        "print([m for m in ('torch', 'numpy', 'numba', 'PIL', 'safetensors', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_is_a_program() -> None:
    done = subprocess.run([*PYTHON, "-m", "hgs_toolkit.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hgs_toolkit ")


@pytest.mark.parametrize("flag", ["--frame", "--source-frame"])
def test_a_frame_that_is_none_is_wrong_usage_and_lists_the_frames(flag: str, hgs: Hgs) -> None:
    result = hgs("export", "a.hgs", "b.ply", flag, "up")
    assert result.exit_code == 2
    assert "'up' is not one of 'rdf', 'y_up'" in plain(result)
