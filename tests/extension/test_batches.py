"""Manifests are data: what they name lies in their folder, or nothing is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blender_addon.core.toolkit.batches import BatchError, new_folder, read_batch, sample_command


def write(folder: Path, value: Any) -> Path:
    (folder / "manifest.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def entry(**files: Any) -> dict[str, Any]:
    return {"seed": 3, "gaussians": 84, "levels": [4, 16, 64], "files": files}


def test_a_batch_lists_its_scenes_with_the_files_that_are_there(tmp_path: Path) -> None:
    for name in ("seed0003.ply", "seed0003.png", "seed0003.hgs"):
        (tmp_path / name).touch()
    files = {"png": "seed0003.png", "ply": "seed0003.ply", "hgs": "seed0003.hgs", "spz": "gone.spz"}
    gone = {"seed": 9, "files": {"hgs": "seed0009.hgs"}}
    manifest = {"generator": "tiny", "psi": 0.5, "scenes": [entry(**files), gone]}
    batch = read_batch(write(tmp_path, manifest))
    assert (batch.generator, batch.psi, [scene.seed for scene in batch.scenes]) == ("tiny", 0.5, [3, 9])
    scene = batch.scene(3)
    assert (scene.gaussians, scene.asset, scene.thumbnail) == (
        84, tmp_path / "seed0003.hgs", tmp_path / "seed0003.png",
    )  # fmt: skip
    assert set(scene.files) == {"png", "ply", "hgs"}
    assert (batch.scene(9).asset, batch.scene(9).thumbnail) == (None, None)
    with pytest.raises(BatchError, match="no seed 4"):
        batch.scene(4)


NAMES = [
    "../a.hgs", "a/b.hgs", "/etc/passwd", "..\\a.hgs", "C:\\a.hgs", "C:a.hgs", "..", ".", "", "a\0.hgs", None, 7, ["a"],
    "\\\\host\\share\\a.hgs", "a.hgs:stream",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_condemns_the_manifest(name: object, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    folder.mkdir()
    (tmp_path / "a.hgs").touch()
    write(folder, {"scenes": [entry(hgs="good.hgs"), entry(hgs=name)]})
    with pytest.raises(BatchError, match="expected plain names, nothing was read"):
        read_batch(folder)


BROKEN = [
    ("{", "is no JSON"), ("[" * 100_000, "is no JSON"), ("\x00", "is no JSON"), ("3", "no JSON object"),
    ({}, "has no list 'scenes'"), ({"scenes": {}}, "has no list 'scenes'"), ({"scenes": [7]}, "whole number as seed"),
    ({"scenes": [{"seed": "3", "files": {}}]}, "whole number as seed"),
    ({"scenes": [{"seed": -3, "files": {}}]}, "whole number as seed"),
    ({"scenes": [{"seed": True, "files": {}}]}, "whole number as seed"),
    ({"scenes": [{"seed": 3}]}, "seed 3 lists no files"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_a_broken_manifest_is_refused_with_a_sentence(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BatchError, match=message):
        read_batch(write(tmp_path, content))


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match=r"cannot read .*manifest.json: No such file"):
        read_batch(tmp_path)
    with pytest.raises(BatchError, match="cannot read"):
        read_batch(tmp_path / "nowhere")


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "manifest.json", "wb") as file:
        file.truncate(5 * 1024**3)
    with pytest.raises(BatchError, match="has 5368709120 bytes"):
        read_batch(tmp_path)


def test_the_command_carries_each_value_in_an_argument_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out put"
    command = sample_command("/a b/hgs", out, seeds="0-3, 7", psi=0.5, size=64)
    assert command == [
        "/a b/hgs", "sample", "--seeds=0-3,7", "--psi=0.5", f"--out={out}", "--save=hgs,png", "--size=64",
        "--json-progress",
    ]  # fmt: skip
    assert sample_command("hgs", out, seeds="1", psi=0.5, model=str(tmp_path))[2] == str(tmp_path)


def test_a_model_that_looks_like_an_option_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "--help").touch()
    assert sample_command("hgs", tmp_path, seeds="1", psi=0.7, model="--help")[2] == str(tmp_path / "--help")


@pytest.mark.parametrize("seeds", ["", "x", "1-", "-1", "--help", "1;2", "1,,2", "1 --out=/"])
def test_orders_with_odd_seeds_are_refused(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="expected numbers and ranges"):
        sample_command("hgs", tmp_path, seeds=seeds, psi=0.7)


def test_an_order_from_a_model_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match=r"none\.safetensors does not exist"):
        sample_command("hgs", tmp_path, seeds="0", psi=0.7, model=str(tmp_path / "none.safetensors"))


def test_a_name_of_a_model_that_ships_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sample_command("hgs", tmp_path, seeds="1", psi=0.7, model="seating64")[2] == "seating64"
    (tmp_path / "seating64").mkdir()
    assert sample_command("hgs", tmp_path, seeds="1", psi=0.7, model="seating64")[2] == str(tmp_path / "seating64")


def test_new_folders_are_numbered_and_never_one_that_is_there(tmp_path: Path) -> None:
    first, second = new_folder(tmp_path / "new"), new_folder(tmp_path / "new")
    assert [first.name, second.name] == ["batch-0001", "batch-0002"]
    (tmp_path / "file").touch()
    with pytest.raises(BatchError, match="choose another output folder"):
        new_folder(tmp_path / "file")
