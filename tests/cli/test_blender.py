"""``hgs blender``: an archive, an installation, an asset opened, with a script in Blender's place."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit.asset import load_asset
from hgs_toolkit.blender import programs

Hgs = Callable[..., Result]

BLENDER = f"""#!{sys.executable}
import json, os, shutil, sys
if sys.argv[1:] == ["--version"]:
    print("Blender 4.5.15 LTS")
else:
    folder = os.path.dirname(__file__)
    with open(os.path.join(folder, "calls"), "a") as log: log.write(json.dumps(sys.argv[1:]) + "\\n")
    if os.path.isfile(sys.argv[-1]): shutil.copy(sys.argv[-1], folder)
"""


@pytest.fixture
def blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says it is Blender 4.5.15, logs how it is called and keeps the file it is given."""
    path = tmp_path / "a Blender" / "blender"
    path.parent.mkdir()
    path.write_text(BLENDER)
    path.chmod(0o755)
    monkeypatch.setenv("HGS_BLENDER", str(path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "PLACES", {})
    return path


def calls(blender: Path) -> list[list[str]]:
    return [json.loads(line) for line in (blender.parent / "calls").read_text().splitlines()]


def test_package_writes_a_checked_archive_and_replaces_none(hgs: Hgs, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    result = hgs("blender", "package", "--out", out)
    assert result.exit_code == 0, result.output
    archive = Path(result.stdout.strip())
    assert archive.parent == out
    assert "blender_manifest.toml" in zipfile.ZipFile(archive).namelist()
    assert "checked by " in result.stderr
    before = archive.read_bytes()
    again = hgs("blender", "package", "--out", out)
    assert (again.exit_code, "exists already; add --force" in again.stderr) == (1, True)
    assert hgs("blender", "package", "--out", archive, "--force").exit_code == 0
    assert archive.read_bytes() == before


def test_an_archive_that_blender_refuses_is_not_left_behind(hgs: Hgs, blender: Path, tmp_path: Path) -> None:
    blender.write_text(BLENDER + "    sys.exit('FATAL: not this one')\n")
    result = hgs("blender", "package", "--out", tmp_path / "a.zip", "--blender", blender)
    assert result.exit_code == 1
    assert "FATAL: not this one" in result.stderr
    assert not (tmp_path / "a.zip").exists()


def test_install_checks_and_installs_a_fresh_archive(hgs: Hgs, blender: Path) -> None:
    result = hgs("blender", "install")
    assert result.exit_code == 0, result.output
    assert "installed and enabled in Blender 4.5.15" in result.stdout
    check, install = calls(blender)
    assert check[:3] == ["--command", "extension", "validate"]
    assert install[:3] == ["--command", "extension", "install-file"]
    assert (blender.parent / Path(install[-1]).name).read_bytes()[:2] == b"PK"


def test_install_lists_what_it_finds(hgs: Hgs, blender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(blender.parent))
    listed = hgs("blender", "install", "--list").stdout
    assert str(blender) in listed
    assert "4.5.15" in listed


def test_launch_opens_files_as_they_are_and_samples_seeds(
    hgs: Hgs, blender: Path, asset_file: Path, model_file: Path
) -> None:
    assert hgs("blender", "launch", asset_file).exit_code == 0
    assert calls(blender)[-1][-2:] == ["--", str(asset_file)]
    assert hgs("blender", "launch", f"{model_file}@5").exit_code == 0
    sampled = blender.parent / "seed0005.hgs"
    assert load_asset(sampled).metadata.seed == 5
    assert not Path(calls(blender)[-1][-1]).exists()


def test_without_a_blender_the_commands_say_what_to_do(
    hgs: Hgs, blender: Path, asset_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HGS_BLENDER")
    for arguments in (["install"], ["launch", asset_file]):
        result = hgs("blender", *arguments)
        assert result.exit_code == 1
        assert "no Blender was found" in result.stderr


def test_assets_samples_seeds_and_lets_blender_write_them(hgs: Hgs, blender: Path, tmp_path: Path) -> None:
    folder = tmp_path / "critters"
    script = (
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        "if sys.argv[1:] == ['--version']: print('Blender 4.5.15 LTS'); sys.exit()\n"
        "batch, library = map(pathlib.Path, sys.argv[-2:])\n"
        "seeds = [scene['seed'] for scene in json.loads((batch / 'manifest.json').read_text())['scenes']]\n"
        "library.write_text(json.dumps([seeds, *sys.argv[-4:-2]]))\n"
    )
    blender.write_text(script)
    result = hgs("blender", "assets", folder, "--seeds", "3,5", "--author", "Some Body")
    assert result.exit_code == 0, result.output
    library = folder / "critters.blend"
    assert str(library) in result.stdout
    assert json.loads(library.read_text()) == [[3, 5], "Some Body", "keep"]
    again = hgs("blender", "assets", folder, "--seeds", "3,5")
    assert (again.exit_code, "exists already; add --force" in again.stderr) == (1, True)
    forced = hgs("blender", "assets", folder, "--seeds", "7", "--force", "--json-progress")
    assert forced.exit_code == 0
    events = [json.loads(line) for line in forced.stdout.splitlines()]
    assert [event["event"] for event in events].count("done") == 1
    assert events[-1]["event"] == "done"
    assert {str(library), str(folder / "critters" / "manifest.json")} <= set(events[-1]["files"])
    assert json.loads(library.read_text())[2] == "replace"
    blender.write_text(script.replace("batch, library", "sys.exit('the extension is not installed')\nbatch, library"))
    failed = hgs("blender", "assets", tmp_path / "more", "--seeds", "3")
    assert (failed.exit_code, "the extension is not installed" in failed.stderr) == (1, True)
