"""The table of commands: all of them explain themselves, fast, and wrong usage is exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.cli.main import COMMANDS, GROUPS
from hgs_toolkit.exporters import summary
from hgs_toolkit.exporters.table import export, load

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


MISTAKES = [
    "export missing.hgs b.ply", "export a.hgs b.foo", "render missing.hgs b.png", "render missing@1 b.png",
    "video missing b.mp4", "mix missing b.png", "mesh missing.hgs b.glb", "share missing.hgs b.html",
    "sample missing --out s", "synth missing --out s", "eval --data missing", "invert missing.png --out s",
    "train --data missing --out s --preset critters32", "train --data missing --out s --preset critters",
    "train --data missing --out s --resume", "dataset check missing", "dataset convert missing --out d.zip",
    "dataset demo --out d.rar", "dataset merge missing --out d.zip", "dataset render --models missing --out d.zip",
    "info missing",
]  # fmt: skip
"""Lines whose mistake can be seen without computing anything."""


def test_mistakes_and_infos_are_told_before_torch_is_imported(asset_file: Path, model_file: Path) -> None:
    suffixes = (".ply", ".spz", ".splat", ".sog", ".compressed.ply")
    for suffix in suffixes:
        export(load(asset_file), asset_file.with_suffix(suffix))
    files = [f"info a{suffix}" for suffix in (".hgs", *suffixes)]
    lines = [*MISTAKES, *files, "info run", "train --list"]
    code = (
        "import sys; from typer.testing import CliRunner; from hgs_toolkit.cli.main import app\n"
        f"for line in {lines!r}:\n"
        "    result = CliRunner().invoke(app, line.split())\n"
        "    print(line, '|', result.exit_code, '|', 'torch' in sys.modules, '|', result.stderr.strip())"
    )
    done = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True, cwd=asset_file.parent)
    rows = [line.split(" | ") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if row[2] == "True"] == []
    assert {row[0]: row[1] for row in rows} == {line: "1" if line in MISTAKES else "0" for line in lines}
    assert all(row[3].startswith("error: ") for row in rows if row[0] in MISTAKES)


def test_info_says_the_same_of_a_file_whether_or_not_it_loads_it(asset_file: Path) -> None:
    for suffix in set(summary.QUICK) - {".ksplat"}:  # which nobody here writes
        path = asset_file.with_suffix(suffix)
        if suffix != ".hgs":
            options: dict[str, Any] = {"extras": True} if suffix == ".ply" else {}
            export(load(asset_file), path, **options)
        assert summary.QUICK[suffix](path) == summary._summarize_loaded(path)


def test_info_reads_what_other_programs_wrote_into_a_ply_without_loading_it(asset_file: Path) -> None:
    path = asset_file.with_suffix(".ply")
    export(load(asset_file), path, metadata=AssetMetadata(antialiased=True))
    path.write_bytes(path.read_bytes().replace(b"comment generator", b"comment Made by", 1))
    found = summary.QUICK[".ply"](path)
    assert found == summary._summarize_loaded(path)
    assert found is not None
    assert found.metadata.antialiased
    export(load(asset_file), path, metadata=AssetMetadata(offset=(1.0, 2.0, 3.0)), overwrite=True)
    assert summary.QUICK[".ply"](path) == summary._summarize_loaded(path)
    assert summary.summarize_splats(path).metadata.offset == (1.0, 2.0, 3.0)
