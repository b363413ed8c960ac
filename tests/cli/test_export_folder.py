"""``hgs export`` of a folder of scenes."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit.exporters.convert import convert
from hgs_toolkit.exporters.many import Conversion, Conversions, Outcome, convert_all, scenes_of
from hgs_toolkit.exporters.table import export
from tests.cli.conftest import Hgs
from tests.exporters.splats.accuracy import reference_scene


class Killing(Conversions):
    """Conversions in which the process of one scene is killed, as by a system that is short of memory."""

    def convert(self, conversion: Conversion) -> Outcome:
        if conversion.source.name == "a.hgs":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().convert(conversion)


@pytest.fixture
def folder(asset_file: Path, tmp_path: Path, hgs: Hgs) -> Path:
    """Two scenes of different formats, and a file that is none."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.copy(asset_file, folder / "a.hgs")
    assert hgs("export", asset_file, folder / "b.compressed.ply", "--levels", "0-1").exit_code == 0
    (folder / "notes.txt").write_text("not a scene")
    return folder


def test_every_scene_becomes_the_file_it_becomes_alone(folder: Path, tmp_path: Path, hgs: Hgs) -> None:
    result = hgs("export", folder, tmp_path / "out" / "%s.ply", "--sh-degree", 0)
    assert result.exit_code == 0, result.output
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == ["a.ply", "b.ply"]
    for source, path in zip(("a.hgs", "b.compressed.ply"), made, strict=True):
        alone = tmp_path / "alone.ply"
        assert hgs("export", folder / source, alone, "--sh-degree", 0, "--force").exit_code == 0
        assert path.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_several_processes_write_the_same_bytes(folder: Path, tmp_path: Path, hgs: Hgs) -> None:
    for jobs in (1, 2):
        assert hgs("export", folder, tmp_path / f"out{jobs}" / "%s.spz", "--jobs", jobs).exit_code == 0
    for name in ("a.spz", "b.spz"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def test_a_broken_scene_is_named_and_stops_none_of_the_others(folder: Path, tmp_path: Path, hgs: Hgs) -> None:
    (folder / "0.spz").write_bytes(b"broken")
    result = hgs("export", folder, tmp_path / "%s.glb")
    assert result.exit_code == 1
    assert "1 of 3 scenes were not exported" in result.stderr
    assert "0.spz" in result.stderr
    assert (tmp_path / "a.glb").exists()
    assert (tmp_path / "b.glb").exists()
    assert not (tmp_path / "0.glb").exists()


def test_an_error_that_nobody_foresaw_stops_none_of_the_others(
    folder: Path, tmp_path: Path, hgs: Hgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: Path, *arguments: Any, **options: Any) -> None:
        if source.name == "a.hgs":
            raise RuntimeError("unforeseen")
        convert(source, *arguments, **options)

    monkeypatch.setattr("hgs_toolkit.exporters.many.convert", broken)
    result = hgs("export", folder, tmp_path / "%s.glb")
    assert result.exit_code == 1
    assert "a.hgs: internal error (RuntimeError('unforeseen')), please report it" in " ".join(result.stderr.split())
    assert (tmp_path / "b.glb").exists()


@pytest.mark.slow
def test_scenes_of_a_process_that_is_killed_are_named(folder: Path, tmp_path: Path) -> None:
    how = Killing(None, None, drop_invalid=False, overwrite=False, options={})
    scenes = scenes_of(folder, tmp_path / "%s.spz", force=False)
    outcomes = list(convert_all(scenes, how, 2))
    assert {outcome.conversion for outcome in outcomes} == set(scenes)
    assert any("ended from outside" in (outcome.error or "") for outcome in outcomes)


def test_mistakes_are_refused_before_a_scene_is_read(folder: Path, tmp_path: Path, hgs: Hgs) -> None:
    shutil.copy(folder / "a.hgs", tmp_path / "other.hgs")
    for words, message in (
        ((folder, tmp_path / "out.spz"), "expected a name with %s"),
        ((folder, tmp_path / "%s.spz", "--to-budget", "5k"), "expected a file"),
        ((tmp_path / "scenes" / "none.ply", tmp_path / "%s.spz"), "does not exist"),
    ):
        result = hgs("export", *words)
        assert result.exit_code == 1
        assert message in result.stderr
    (folder / "a.ply").write_bytes(b"")
    result = hgs("export", folder, tmp_path / "%s.spz")
    assert result.exit_code == 1
    assert "a.hgs and a.ply would both be written to a.spz" in result.stderr
    assert not list(tmp_path.glob("*.spz"))


def test_what_other_processes_have_to_say_is_said(tmp_path: Path, hgs: Hgs) -> None:
    folder = tmp_path / "scenes"
    for name, degree in (("a", 1), ("b", 2)):
        export(reference_scene(degree, 50), folder / f"{name}.ply")
    result = hgs("export", folder, tmp_path / "%s.splat", "--jobs", 2)
    assert result.exit_code == 0, result.output
    lost = ".splat files do not keep spherical harmonics above degree 0 (colours that change with the view)"
    said = [line for line in result.stderr.splitlines() if lost in line]
    assert len(said) == 1
    assert "the same; it is not said again of the files that follow" in result.stderr


@pytest.mark.parametrize(
    ("file", "out"), [("lod-meta.json", "scenes.spz"), ("cat.tileset.json", "cat.spz"), ("cat.ply", "cat.spz")]
)
def test_a_scene_without_a_name_of_its_own_has_that_of_its_folder(file: str, out: str, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / file).write_bytes(b"")
    (made,) = scenes_of(tmp_path / "scenes", tmp_path / "%s.spz", force=False)
    assert made.out == tmp_path / out
