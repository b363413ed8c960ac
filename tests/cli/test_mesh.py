"""``hgs mesh`` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trimesh
from trimesh.visual import TextureVisuals
from typer.testing import Result

from hgs_toolkit.exporters.table import export
from tests.exporters.meshes import shapes
from tests.exporters.meshes.shapes import cover

Hgs = Callable[..., Result]

QUICK = ("--resolution", 48, "--faces", 1500)


@pytest.fixture(scope="module")
def splat_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foreign .ply: no levels, y down."""
    path = tmp_path_factory.mktemp("splat") / "blob.ply"
    export(cover(shapes.BLOB, 4000), path)
    return path


def test_a_foreign_ply_becomes_a_solid_the_right_way_up(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "a.glb", tmp_path / "a.json"
    result = hgs("mesh", splat_file, out, *QUICK, "--report", report)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [str(out), str(report)]
    assert "a: solid, 1500 triangles" in result.stderr
    facts = json.loads(report.read_text())
    assert facts["solid"]
    assert (facts["method"], facts["unit"], facts["parts"], facts["euler_number"]) == ("surface", "metre", 1, 2)
    loaded = trimesh.load_mesh(out)
    assert shapes.BLOB.distance(loaded.vertices).std() < 0.02


def test_every_option_is_taken(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    options = ("--method", "shell", "--level", "0.5", "--color", "none", "--size", "0.3", "--up", "z", "--keep", "all")
    assert hgs("mesh", splat_file, tmp_path / "a.glb", *QUICK, *options, "--unlit").exit_code == 0
    assert trimesh.load_mesh(tmp_path / "a.glb").extents.max() == pytest.approx(0.3, rel=1e-4)


def test_a_texture_needs_no_other_option(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("xatlas")
    result = hgs("mesh", splat_file, tmp_path / "a.glb", "--color", "texture", "--resolution", 48)
    assert result.exit_code == 0, result.stderr
    assert isinstance(trimesh.load_mesh(tmp_path / "a.glb").visual, TextureVisuals)


def test_a_budget_and_a_collision_hull_are_kept(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.glb"
    result = hgs("mesh", splat_file, out, "--resolution", 64, "--max-bytes", "40k", "--collision", "convex")
    assert result.exit_code == 0, result.stderr
    assert 30_000 < out.stat().st_size <= 40_000
    assert result.stdout.splitlines() == [str(out), str(tmp_path / "a.collision.obj")]
    assert trimesh.load_mesh(tmp_path / "a.collision.obj").is_convex


def test_levels_of_a_tree_are_meshed_one_by_one(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    result = hgs("mesh", asset_file, tmp_path / "a.glb", *QUICK, "--lods", "--report", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    assert list(json.loads((tmp_path / "a.json").read_text())["levels"]) == ["levels 0-2", "levels 0-1", "level 0"]
    chosen = ("--levels", "1-2", "--report", tmp_path / "b.json")
    result = hgs("mesh", asset_file, tmp_path / "b.glb", *QUICK, "--lods", *chosen)
    assert result.exit_code == 0, result.stderr
    assert list(json.loads((tmp_path / "b.json").read_text())["levels"]) == ["levels 1-2", "level 1"]


def test_voxels_are_counted_in_voxels(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    result = hgs("mesh", splat_file, tmp_path / "a.vox", *QUICK, "--size", 30, "--report", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    assert max(json.loads((tmp_path / "a.json").read_text())["size"]) == pytest.approx(30)
    assert " voxels, 1 part" in result.stderr


def test_json_lines_name_the_files(hgs: Hgs, splat_file: Path, tmp_path: Path) -> None:
    result = hgs("mesh", splat_file, tmp_path / "a.stl", *QUICK, "--json-progress")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["path"] for event in events if event["event"] == "file"] == [str(tmp_path / "a.stl")]
    assert events[-1]["event"] == "done"


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [("--up", "x", "'y', 'z'"), ("--method", "poisson", "'surface', 'shell'"),
     ("--color", "paint", "'vertex', 'texture'"), ("--keep", "some", "'largest', 'all'")],
)  # fmt: skip
def test_an_unknown_choice_lists_the_known_ones(option: str, value: str, known: str, hgs: Hgs, tmp_path: Path) -> None:
    result = hgs("mesh", "missing.ply", tmp_path / "a.glb", option, value)
    assert result.exit_code == 2
    assert known in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.fbx", (), "'.fbx', which is no mesh format; expected one of: .glb, .ply, .obj, .stl"),
        ("a.stl", ("--color", "texture", "--faces", 1000), ".stl files hold no texture"),
        ("a.obj", ("--lods",), "levels of detail need .glb"),
        ("a.ply", ("--unlit",), "--unlit needs .glb"),
        ("a.glb", ("--faces", 5), "5 faces; expected at least 100"),
        ("a.glb", ("--resolution", 5000), "resolution 5000; expected 16 to 2048"),
        ("a.glb", ("--size", "-1"), "size -1; expected more than 0"),
        ("a.glb", ("--max-bytes", "much"), "--max-bytes 'much' is no size; expected a number of bytes such as 500k"),
        ("a.glb", ("--max-bytes", "500k", "--lods"), "leave out --lods"),
        ("a.glb", (*QUICK, "--max-bytes", "100"), "takes 100 bytes or less; the smallest found takes"),
        ("a.glb", ("--levels", "5"), "no Gaussian has a level of [5]"),
        ("a.glb", ("--report", "there.json"), "there.json exists already"),
        ("there.glb", (), "there.glb exists already"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_no_file(
    out: str, options: tuple[object, ...], message: str, hgs: Hgs, splat_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("there.glb", "there.json"):
        (tmp_path / name).write_bytes(b"mine")
    result = hgs("mesh", splat_file, out, *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.glb", "there.json"]
    assert (tmp_path / "there.glb").read_bytes() == b"mine"
