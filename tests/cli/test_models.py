"""``hgs models`` and models that are named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hgs_toolkit import model_files
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model_files import find_model, read_header, shipped_models
from tests.cli.conftest import Hgs


@pytest.fixture
def two_models(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two models: the default one, and another that names what it learned from."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    works = [{"title": "Chair", "author": "A. Smith", "licence": "CC-BY-3.0", "source": "example"}]
    for name, more in (
        ("tiny", {"licence": "CC0-1.0", "figures": {"kid_lite0": 0.25}}),
        ("seats", {"licence": "CC-BY-4.0", "attribution": works}),
    ):
        (folder / f"{name}.safetensors").write_bytes(model_file.read_bytes())
        (folder / f"{name}.json").write_text(json.dumps({"file": f"{name}.safetensors", **more}))
    monkeypatch.setattr(model_files, "PRETRAINED", folder / "tiny.safetensors")
    return folder


def test_models_are_listed_with_licence_size_poses_and_figures(two_models: Path, hgs: Hgs) -> None:
    lines = hgs("models").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["tiny", "seats"]
    assert "(default)" in lines[1]
    for text in ("CC0-1.0", "kB", "16 px", "focal 1.5, radius 2.7", "kid_lite0 0.25"):
        assert text in lines[1]
    listed = json.loads(hgs("models", "--json-progress").stdout.splitlines()[0])["models"]
    assert listed[1]["name"] == "seats"
    assert listed[1]["licence"] == "CC-BY-4.0"
    assert listed[1]["attribution"][0]["author"] == "A. Smith"
    assert listed[0]["size"] == (two_models / "tiny.safetensors").stat().st_size


def test_a_name_stands_wherever_a_model_does(
    two_models: Path, hgs: Hgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_model("seats") == two_models / "seats.safetensors"
    with pytest.raises(CheckpointError, match="'hgs models' lists"):
        find_model("tables")
    options = ("--seeds", "1", "--save", "hgs")
    assert hgs("sample", "--model", "seats", "--out", tmp_path / "a", *options).exit_code == 0
    assert hgs("sample", "seats", "--out", tmp_path / "b", *options).exit_code == 0
    first, second = ((tmp_path / name / "seed0001.hgs").read_bytes() for name in "ab")
    assert first == second
    assert hgs("sample", "seats", "--model", "tiny", "--out", tmp_path / "c").exit_code == 2
    monkeypatch.chdir(two_models)
    (two_models / "seats").mkdir()  # a folder of that name is meant, not the package's model
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
        find_model("seats")


def test_info_knows_the_names_of_models(two_models: Path, hgs: Hgs) -> None:
    assert hgs("info", "seats").stdout == hgs("info", two_models / "seats.safetensors").stdout
    assert "'hgs models' lists" in hgs("info", "tables").stderr


def test_every_model_of_the_package_says_whom_it_learned_from() -> None:
    models = {model.name: model for model in shipped_models()}
    assert models["critters128"].default
    assert sum(model.size for model in models.values()) <= 16_000_000
    for model in models.values():
        assert model.size <= 8_000_000
        assert model.licence
        credited = {(entry["work"], entry["author"]) for entry in model.attribution}
        facts = json.loads(read_header(model.file).facts.get("attribution", "[]"))
        assert {(entry["work"], entry["author"]) for entry in facts} == credited
        if credited:
            notice = (model.file.parent / f"LICENSE-{model.name}").read_text()
            assert model.licence in notice
            assert all(f"{work}, by {author}" in notice for work, author in credited)


def test_samples_say_whom_their_model_learned_from(hgs: Hgs, tmp_path: Path) -> None:
    for name in ("critters128", "seating64"):
        assert hgs("sample", name, "--seeds", "0", "--save", "hgs", "--out", tmp_path / name).exit_code == 0
    critter, seat = (
        json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("critters128", "seating64")
    )
    assert (critter["licence"], seat["licence"]) == ("CC0-1.0", "CC-BY-4.0")
    assert "attribution" not in critter
    assert {"work", "author", "licence"} <= seat["attribution"][0].keys()


def test_a_broken_manifest_is_named(two_models: Path) -> None:
    (two_models / "seats.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"seats\.json is not the manifest of a model"):
        shipped_models()


def test_listing_does_not_load_torch() -> None:
    code = "import sys, hgs_toolkit.model_files as s; s.shipped_models(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
