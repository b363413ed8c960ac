"""The folder beside a scene's file of JSON: it goes with the scene that named it, and no other folder goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hgs_toolkit.exporters.splats.companion import CompanionKind
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy

KIND = CompanionKind("tiles")
OLD, NEW, OTHER = (f"tiles-{letter * 12}" for letter in "abc")


def replaced(folder: Path) -> set[str]:
    """The names of the folders that are left when a scene in OLD was replaced by one in NEW; OTHER is there, too."""
    for name in (OLD, NEW, OTHER):
        (folder / name).mkdir()
    (folder / "Tileset.json").write_text(f'"{OLD}/0.glb"')
    with KIND.replacing(folder / "Tileset.json"):
        (folder / "Tileset.json").write_text(f'"{NEW}/0.glb"')
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_the_folder_of_the_replaced_scene_goes_and_one_that_is_not_named_yet_stays(tmp_path: Path) -> None:
    assert replaced(tmp_path) == {NEW, OTHER}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_folder_that_another_file_names_stays(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "copy.TILESET.JSON").write_bytes(f'"größer", "{OLD}/0.glb"'.encode(encoding))
    assert replaced(tmp_path) == {OLD, NEW, OTHER}


def test_a_file_that_cannot_be_read_may_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private.json").write_text("{}")
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == "private.json":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert replaced(tmp_path) == {OLD, NEW, OTHER}


@pytest.mark.parametrize("name", ["Tileset.json", "LOD-Meta.JSON"])
def test_a_name_in_any_case_keeps_its_own_folder(
    name: str, tmp_path: Path, scene_factory: Callable[..., GaussianHierarchy]
) -> None:
    export(scene_factory((8,)), tmp_path / name)
    export(scene_factory((9,)), tmp_path / name, overwrite=True)
    assert load(tmp_path / name).num_gaussians == 9
    assert len(list(tmp_path.iterdir())) == 2
