"""Splats that leave Blender again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]


@pytest.fixture
def imported(addon: Addon, make_splats: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``imported(frame="rdf", degree=2)``: an object that came from a .ply in that frame, and its file."""

    def make(frame: str, degree: int = 0) -> tuple[Any, Path]:
        splats = make_splats(0, degree=degree)
        splats.frame = frame
        path = tmp_path / "in.ply"
        addon("core.files.write_ply").write_ply(path, splats)
        return addon("ui.importing").import_file(bpy.context, path), path

    return make


def _same(a: Any, b: Any, atol: float = 1e-6) -> None:
    for name in ("position", "scale", "base", "harmonics"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=atol, err_msg=name)
    np.testing.assert_allclose(np.abs((a.rotation * b.rotation).sum(1)), 1, atol=atol)
    np.testing.assert_array_equal(a.level, b.level)
    np.testing.assert_array_equal(a.parent, b.parent)


@pytest.mark.parametrize("frame", ["rdf", "y_up"])
@pytest.mark.parametrize("degree", [0, 3])
def test_what_was_not_touched_comes_back_as_it_was(
    frame: str, degree: int, imported: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    _, path = imported(frame, degree)
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame=frame) == {"FINISHED"}
    read = addon("core.files.read_ply").read_ply
    _same(read(out), read(path))
    assert read(out).frame == frame


def test_levels_filters_morphs_and_the_objects_place_are_applied(
    imported: Callable[..., Any], make_object: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj, path = imported("y_up")
    other = make_object(1)
    addon("compat").set_input(addon("nodes.morph").add_morph(obj, other), "Factor", 0.5)
    modifier = addon("ui.levels").add_levels(obj)
    for name, value in (("Level 0 Visible", False), ("Level 2 Opacity", 0.5), ("Size", 2.0)):
        addon("compat").set_input(modifier, name, value)
    obj.location = (1, 2, 3)
    obj.scale = (2, 2, 2)
    bpy.context.view_layer.objects.active = obj
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame="y_up") == {"FINISHED"}
    read = addon("core.files.read_ply").read_ply
    before, after, key = read(path), read(out), addon("data").get_values(other.data, "position")
    keep = before.level > 0
    assert len(after) == keep.sum()
    # Blender's z is the file's y, and its y the file's -z.
    np.testing.assert_allclose(after.position, (before.position + key)[keep] / 2 * 2 + (1, 3, -2), atol=1e-5)
    assert (after.parent[after.level == 1] == -1).all()
    assert (after.parent[after.level == 2] >= 0).all()
    assert addon("nodes.display").display_of(obj).show_viewport, "drawn again afterwards"


def test_gaussians_deleted_by_hand_take_no_parents_along(
    make_object: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj = make_object(0)
    tree = addon("data").get_values(obj.data, "parent")
    gone = np.array([3, 25, 26, 150])
    keep = np.setdiff1d(np.arange(340), gone)
    group = bpy.data.node_groups.new("some", "GeometryNodeTree")
    graph = addon("nodes.graph").GeometryGraph(group)
    index = graph.call("GeometryNodeInputIndex")
    picked = graph.either(graph.compare("EQUAL", index, int(gone[0]), "INT"),
                          graph.compare("EQUAL", index, int(gone[1]), "INT"))  # fmt: skip
    for each in gone[2:]:
        picked = graph.either(picked, graph.compare("EQUAL", index, int(each), "INT"))
    graph.finish(graph.call("GeometryNodeDeleteGeometry", graph.geometry, picked, domain="POINT"))
    obj.modifiers.new("some", "NODES").node_group = group
    assert bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply"), frame="y_up") == {"FINISHED"}
    after = addon("core.files.read_ply").read_ply(tmp_path / "out.ply")
    assert len(after) == 336
    wanted = [np.flatnonzero(keep == old)[0] if old in keep else -1 for old in tree[keep]]
    np.testing.assert_array_equal(after.parent, wanted)


def test_levels_that_are_blended_away_stay_behind(
    make_object: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    modifier = addon("ui.levels").add_levels(make_object(0))
    for name, value in (("Blend Levels", True), ("Keep Coarser", False), ("Blend", 0.5)):
        addon("compat").set_input(modifier, name, value)
    bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply"))
    level = addon("core.files.read_ply").read_ply(tmp_path / "out.ply").level
    assert np.bincount(level).tolist() == [20, 80]


def test_a_file_is_replaced_only_where_that_was_said(make_object: Callable[..., Any], tmp_path: Path) -> None:
    make_object(0)
    path = tmp_path / "out.ply"
    path.write_bytes(b"mine")
    with pytest.raises(RuntimeError, match="exists already"):
        bpy.ops.hgs.export_splats(filepath=str(path))
    assert path.read_bytes() == b"mine"
    assert bpy.ops.hgs.export_splats(filepath=str(path), replace=True) == {"FINISHED"}
    assert path.read_bytes().startswith(b"ply")


def test_a_hidden_object_is_reported(make_object: Callable[..., Any], tmp_path: Path) -> None:
    make_object(0).hide_viewport = True
    with pytest.raises(RuntimeError, match="hidden in the viewport"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply"))
    assert not list(tmp_path.iterdir())


def test_showing_nothing_and_an_impossible_place_are_reported(
    imported: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj, _ = imported("rdf")
    with pytest.raises(RuntimeError, match="cannot write"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "missing" / "out.ply"))
    addon("compat").set_input(addon("ui.levels").add_levels(obj), "Least Opacity", 1.0)
    addon("compat").set_input(addon("ui.levels").levels_of(obj), "Least Size", 1e9)
    with pytest.raises(RuntimeError, match="shows no Gaussian"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply"))
    assert not (tmp_path / "out.ply").exists()


@pytest.mark.parametrize("suffix", [".hgs", ".glb", ".spz"])
def test_every_kind_of_file_holds_what_is_shown(
    suffix: str, imported: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj, path = imported("rdf", degree=2)
    obj.location.z = 0.5
    out = tmp_path / f"out{suffix}"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame="rdf") == {"FINISHED"}
    read, core = addon("core.files.reading").read_splats, addon("core.transforming")
    wanted = core.moved(read(path), np.diag([1.0, -1.0, -1.0, 1.0]))  # y down to y up
    wanted.position[:, 1] += 0.5  # Blender's z
    back = read(out)
    assert back.frame == "y_up"
    if suffix != ".spz":
        return _same(back, wanted, atol=1e-5)
    np.testing.assert_allclose(back.position, wanted.position, atol=1e-5)
    np.testing.assert_allclose(back.base[:, 3], wanted.base[:, 3], atol=3e-3)
    np.testing.assert_allclose(back.scale, wanted.scale, rtol=0.04)
    assert np.abs((back.rotation * wanted.rotation).sum(1)).min() > 0.999
    return None


def test_a_kind_of_file_that_is_not_written_is_reported(make_object: Callable[..., Any], tmp_path: Path) -> None:
    make_object(0)
    with pytest.raises(RuntimeError, match=r"out.sog has no suffix of a splat file; expected .ply, .hgs, .spz, .glb"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.sog"))
    assert not list(tmp_path.iterdir())


def test_every_frame_becomes_a_file_and_the_sequence_plays(
    make_object: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    scene, obj = bpy.context.scene, make_object(0)
    modifier = addon("nodes.morph").add_morph(obj, make_object(1))
    addon("nodes.morph").animate(modifier, 1, 5)
    bpy.context.view_layer.objects.active = obj
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 5, 2
    scene.frame_set(2)
    (tmp_path / "walk_0003.hgs").write_bytes(b"mine")
    with pytest.raises(RuntimeError, match=r"walk_0003\.hgs exists already"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "walk.hgs"), animation=True)
    assert [each.name for each in tmp_path.iterdir()] == ["walk_0003.hgs"], "nothing else was begun"
    assert bpy.ops.hgs.export_splats(filepath=str(tmp_path / "walk.hgs"), animation=True, replace=True) == {"FINISHED"}
    assert scene.frame_current == 2
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["walk_0001.hgs", "walk_0003.hgs", "walk_0005.hgs"]
    first, middle, last = (addon("core.files.read_hgs").read_hgs(each).position for each in files)
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-5)
    assert np.abs(last - first).max() > 0.1
    bpy.ops.hgs.play_sequence(filepath=str(files[0]))
    played = bpy.context.object
    scene.frame_set(3)
    np.testing.assert_allclose(addon("data").get_values(played.data, "position"), last, atol=1e-6)


def test_the_suffix_follows_the_format_while_files_are_browsed(addon: Addon) -> None:
    check = addon("ui.exporting").HGS_OT_export_splats.check
    for name, kind, wanted in (("a.ply", ".glb", "a.glb"), ("a.b", ".spz", "a.b.spz"), ("a.hgs", ".hgs", "a.hgs")):
        asked = SimpleNamespace(filepath=name, kind=kind)
        assert check(asked, bpy.context) == (name != wanted)
        assert asked.filepath == wanted


def test_an_export_leaves_nothing_to_undo(make_object: Callable[..., Any], tmp_path: Path) -> None:
    make_object(0).location.x = 1
    bpy.ops.ed.undo_push(message="before")
    bpy.data.objects["seed 0"].location.x = 2
    bpy.ops.ed.undo_push(message="moved")
    bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.glb"))
    bpy.ops.ed.undo()
    assert bpy.data.objects["seed 0"].location.x == 1
    assert (tmp_path / "out.glb").exists()
    bpy.ops.ed.redo()
    assert bpy.data.objects["seed 0"].location.x == 2
