"""``hgs runs compare`` and ``hgs runs pack``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hgs_toolkit.settings_io import config_to_yaml, load_preset
from tests.cli.conftest import Hgs


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two run folders as training leaves them, without their models."""
    made = []
    for name, gamma, kid in (("a", "0.1", 90.0), ("b", "0.2", 70.0)):
        folder = tmp_path / name
        (folder / "samples").mkdir(parents=True)
        config = load_preset("critters32", [f"training.r1_gamma={gamma}"])
        (folder / "config.yaml").write_text(config_to_yaml(config))
        lines = [{"step": 1, "kimg": 4.0, "loss_d": 1.0, "kid_squeeze": kid}, {"step": 2, "kimg": 8.0, "loss_d": 0.5}]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        made.append(folder)
    return made


def test_runs_are_compared_in_a_table_and_on_a_page(hgs: Hgs, runs: list[Path], tmp_path: Path) -> None:
    result = hgs("runs", "compare", *runs, "--out", tmp_path / "both.html")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["training.r1_gamma", "0.1", "0.2"] in rows
    assert ["kimg", "shown", "8", "8"] in rows
    assert ["kid_squeeze,", "lowest", "90", "70"] in rows
    assert "kid_squeeze" in (tmp_path / "both.html").read_text()
    again = hgs("runs", "compare", *runs, "--out", tmp_path / "both.html")
    assert again.exit_code == 1
    assert "--force" in again.stderr


def test_what_is_no_run_is_said(hgs: Hgs, runs: list[Path], tmp_path: Path) -> None:
    assert "is no run folder" in hgs("runs", "compare", runs[0], tmp_path).stderr
    one = hgs("runs", "compare", runs[0])
    assert one.exit_code == 2
    assert "expected two or more" in one.stderr


def test_what_cannot_be_packed_is_said(hgs: Hgs, runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "packed.safetensors"
    untrained = hgs("runs", "pack", runs[0], "--out", out)
    assert untrained.exit_code == 1
    assert "holds no state.pt; expected the run folder of 'hgs train'" in untrained.stderr
    named = hgs("runs", "pack", runs[0], "--out", tmp_path / "packed.pt")
    assert named.exit_code == 2
    assert "expected a name that ends with .safetensors" in " ".join(named.stderr.split())
    other = hgs("runs", "pack", runs[0], "--out", out, "--bits", "4")
    assert other.exit_code == 2
    assert "4; expected 8 or 16" in " ".join(other.stderr.split())
    out.write_bytes(b"mine")
    assert "--force" in hgs("runs", "pack", runs[0], "--out", out).stderr
    assert out.read_bytes() == b"mine"
