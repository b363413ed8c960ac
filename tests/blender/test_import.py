"""Splat files of every kind, several at once, dropped, in sequences, and where Blender draws splats itself."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from tests.samples import sample_file

Addon = Callable[[str], Any]


@pytest.fixture
def ply(addon: Addon, make_splats: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """``ply("a.ply", seed=1, frame="rdf")``: a file of 340 Gaussians."""

    def make(name: str, seed: int = 0, frame: str = "rdf", **options: Any) -> Path:
        splats = make_splats(seed, **options)
        splats.frame = frame
        addon("core.files.write_ply").write_ply(tmp_path / name, splats)
        return tmp_path / name

    return make


def test_several_files_come_in_at_once_and_broken_ones_are_reported(ply: Callable[..., Path], tmp_path: Path) -> None:
    ply("a.ply"), ply("b.ply", 1)
    (tmp_path / "c.splat").write_bytes(bytes(33))
    names = [{"name": name} for name in ("a.ply", "b.ply", "../../a.ply")]
    assert bpy.ops.hgs.import_splats(directory=str(tmp_path), files=names) == {"FINISHED"}
    assert sorted(obj.name for obj in bpy.data.objects) == ["a", "a.001", "b"]  # names cannot lead elsewhere
    with pytest.raises(RuntimeError, match="multiple of 32"):
        bpy.ops.hgs.import_splats(filepath=str(tmp_path / "c.splat"))


@pytest.mark.parametrize(("axes", "angle"), [("AUTO", -90), ("rdf", -90), ("y_up", 90), ("z_up", 0)])
def test_axes_are_a_rotation_of_the_object(axes: str, angle: float, ply: Callable[..., Path]) -> None:
    bpy.ops.hgs.import_splats(filepath=str(ply("a.ply")), axes=axes)
    assert np.degrees(bpy.context.object.rotation_euler.x) == pytest.approx(angle)


def test_far_coordinates_are_recentred_and_the_object_keeps_the_offset(
    addon: Addon, make_splats: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splats = make_splats(0)
    splats.frame = "y_up"
    splats.position = splats.position + np.array([4_500_000, 0, -300_000])  # doubles
    stored = addon("core.splats").stored_values(splats)
    read = addon("core.splats").splats_from_stored(
        splats.position, stored.log_scales, stored.quats, stored.sh, stored.logits, frame="y_up"
    )
    offset = np.array(read.facts["offset"])
    np.testing.assert_allclose(read.position + offset, splats.position, atol=1e-5)
    importing = addon("ui.importing")
    monkeypatch.setattr(importing, "read_splats", lambda path: read)
    obj = importing.new_object(tmp_path / "far.ply")
    assert list(obj["hgs_offset"]) == offset.tolist()
    assert any("lies far from the origin" in said for said in importing.remarks(obj))


def test_dropped_files_are_offered_to_the_importer(addon: Addon) -> None:
    handler = addon("ui.import_operator").HGS_FH_splats
    assert handler.bl_import_operator == "hgs.import_splats"
    assert set(handler.bl_file_extensions.split(";")) == {".hgs", ".ply", ".spz", ".splat", ".glb"}
    assert handler.is_registered


def test_a_mesh_goes_to_blenders_own_importer(addon: Addon, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.export_scene.gltf(filepath=str(tmp_path / "cube.glb"))
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    assert bpy.ops.hgs.import_splats(filepath=str(tmp_path / "cube.glb")) == {"FINISHED"}
    assert len(bpy.context.object.data.vertices) >= 8


def test_a_real_spz_comes_in(addon: Addon) -> None:
    assert bpy.ops.hgs.import_splats(filepath=str(sample_file("biker.spz"))) == {"FINISHED"}
    assert len(bpy.context.object.data.attributes["radiance:base"].data) > 1000


def test_a_sequence_shows_the_file_of_every_frame(
    addon: Addon, ply: Callable[..., Path], make_splats: Callable[..., Any], tmp_path: Path
) -> None:
    for seed in range(3):
        ply(f"frame-{seed + 9}.ply", seed)
    scene = bpy.context.scene
    scene.frame_set(1)
    assert bpy.ops.hgs.play_sequence(filepath=str(tmp_path / "frame-10.ply"), start=2, hold=2, mode="LOOP") == {
        "FINISHED"
    }
    obj = bpy.context.object
    addon("ui.levels").add_levels(obj)

    def shown() -> Any:
        return addon("data").get_values(obj.data, "position")

    for frame, seed in ((2, 0), (3, 0), (4, 1), (6, 2), (8, 0), (1, 2)):
        scene.frame_set(frame)
        np.testing.assert_allclose(shown(), make_splats(seed).position, atol=1e-6, err_msg=str(frame))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    obj = bpy.context.scene.objects[tmp_path.name]
    bpy.context.scene.frame_set(4)
    np.testing.assert_allclose(shown(), make_splats(1).position, atol=1e-6)
    (tmp_path / "frame-11.ply").write_bytes(b"ply\n")
    bpy.context.scene.frame_set(6)  # logged; what was there stays
    np.testing.assert_allclose(shown(), make_splats(1).position, atol=1e-6)


def test_frames_may_differ_in_their_count(addon: Addon, ply: Callable[..., Path], tmp_path: Path) -> None:
    ply("1.ply"), ply("2.ply", 1, counts=(5, 20))
    obj = addon("ui.player").play(bpy.context, tmp_path)
    for frame, count in ((2, 25), (1, 340)):
        bpy.context.scene.frame_set(frame)
        assert len(obj.data.attributes["scale"].data) == count


def test_where_blender_draws_splats_itself_they_are_handed_over(
    addon: Addon, ply: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(addon("ui.appearance"), "draws_splats", lambda: True)  # stands in for Blender 5.3
    bpy.ops.hgs.import_splats(filepath=str(ply("a.ply", frame="y_up")))
    obj = bpy.context.object
    native, cards = addon("nodes.native_nodes").NATIVE_NAME, addon("nodes.display").NAME

    def working() -> list[str]:
        return [modifier.name for modifier in obj.modifiers if modifier.show_render and modifier.show_viewport]

    assert working() == [cards], "as trained, unless one chooses otherwise"
    assert bpy.ops.hgs.draw_by(choice="BLENDER") == {"FINISHED"}
    assert working() == [native]
    modifier = addon("ui.levels").add_levels(obj)
    assert working() == [modifier.name, native]
    addon("compat").set_input(modifier, "Level 2 Visible", False)
    data = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert len(data.attributes["radiance:base"].data) == 100  # as points with the names that Blender looks for
    assert {"position", "scale", "rotation"} <= set(data.attributes.keys())
    assert bpy.ops.hgs.set_up_scene() == {"FINISHED"}
    assert bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply")) == {"FINISHED"}
    out = addon("core.files.read_ply").read_ply(tmp_path / "out.ply")
    assert len(out) == 100
    assert (out.parent[out.level == 1] >= 0).all()
    assert bpy.ops.hgs.draw_by(choice="CARDS") == {"FINISHED"}
    assert working() == [modifier.name, cards]


def test_splats_can_be_handed_only_to_a_blender_that_draws_them(addon: Addon, make_object: Callable[..., Any]) -> None:
    make_object(0)
    if addon("compat").draws_splats():
        assert bpy.ops.hgs.draw_by(choice="BLENDER") == {"FINISHED"}
    else:
        with pytest.raises(RuntimeError, match=r"came with Blender 5\.3"):
            bpy.ops.hgs.draw_by(choice="BLENDER")


@pytest.mark.skipif(bpy.app.version < (5, 3), reason="this Blender draws no splats itself")
def test_what_blender_draws_itself_are_points_of_its_type(addon: Addon, make_object: Callable[..., Any]) -> None:
    obj = make_object(0)
    addon("nodes.display").add_display(obj)

    def evaluated_type() -> str:
        return str(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.type)

    bpy.ops.hgs.draw_by(choice="BLENDER")
    assert evaluated_type() == "GAUSSIAN_SPLAT"
    bpy.ops.hgs.draw_by(choice="CARDS")
    assert evaluated_type() == "POINTS"


def test_base_colors_are_of_a_type_that_nodes_mix(make_object: Callable[..., Any]) -> None:
    assert make_object(0).data.attributes["radiance:base"].data_type == "FLOAT_COLOR"


def test_blenders_that_draw_splats_are_told_by_a_type(addon: Addon, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in has what 5.3 has: point clouds with a type, of which splats are one."""
    compat = addon("compat")
    assert compat.draws_splats() == (bpy.app.version >= (5, 3, 0))

    def stand_in(**properties: Any) -> SimpleNamespace:
        return SimpleNamespace(bl_rna=SimpleNamespace(functions={"resize": None}, properties=properties))

    kinds = SimpleNamespace(enum_items={"POINT": None, "GAUSSIAN_SPLAT": None})
    monkeypatch.setattr(compat, "PointCloud", stand_in(type=kinds))
    assert compat.draws_splats()
    assert compat.SPLAT_TYPE == "GAUSSIAN_SPLAT"
    monkeypatch.setattr(compat, "PointCloud", stand_in())
    assert not compat.draws_splats()


def test_a_frame_shows_nothing_of_the_one_before(addon: Addon, ply: Callable[..., Path], tmp_path: Path) -> None:
    ply("1.ply", degree=2), ply("2.ply", 1)
    obj = addon("ui.player").play(bpy.context, tmp_path)
    assert "radiance:sh_7" in obj.data.attributes
    bpy.context.scene.frame_set(2)
    assert not [name for name in obj.data.attributes.keys() if name.startswith("radiance:sh_")]  # noqa: SIM118


def test_a_broken_mesh_is_reported(addon: Addon, tmp_path: Path) -> None:
    text = b'{"asset":{"version":"2.0"},"scenes":[{"nodes":[0]}],"nodes":[{"mesh":0}],"meshes":[{"primitives":[{}]}]}'
    text += b" " * (-len(text) % 4)
    chunk = len(text).to_bytes(4, "little") + b"JSON" + text
    (tmp_path / "a.glb").write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunk)) + chunk)
    with pytest.raises(RuntimeError, match=r"a\.glb: Blender's glTF importer"):
        bpy.ops.hgs.import_splats(filepath=str(tmp_path / "a.glb"))


def test_renders_show_each_frame(addon: Addon, ply: Callable[..., Path], tmp_path: Path) -> None:
    folder, scene = tmp_path / "walk", bpy.context.scene
    folder.mkdir()
    for number in (1, 2):
        ply(f"{number}.ply", number, frame="y_up").rename(folder / f"{number}.ply")
    addon("ui.player").play(bpy.context, folder)
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location, scene.camera.rotation_euler.x = (0, -4, 0), np.pi / 2
    addon("ui.scene_setup").set_up(scene)
    scene.render.engine, scene.cycles.device = "CYCLES", "CPU"
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.frame_start, scene.frame_end, scene.render.filepath = 1, 2, str(tmp_path / "frame-")
    bpy.ops.render.render(animation=True)
    images: list[Any] = [bpy.data.images.load(str(tmp_path / f"frame-000{number}.png")) for number in (1, 2)]
    first, second = (np.array(image.pixels[:]) for image in images)
    assert np.abs(first - second).max() > 0.1
