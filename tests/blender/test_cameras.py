"""Cameras to and from transforms.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]


def _file(path: Path, count: int = 5) -> dict[str, Any]:
    """Views around the y axis with different lenses and a principal point off the middle."""
    frames = []
    for index in range(count):
        angle = 1.4 * index
        c, s = np.cos(angle), np.sin(angle)
        matrix = [[c, 0, s, 2.7 * s], [0, 1, 0, 0.3], [-s, 0, c, 2.7 * c], [0, 0, 0, 1]]
        lens = {"fl_x": 500.0 + index, "fl_y": 450.0 + index * 0.9, "cx": 260.0, "cy": 170.0}
        frames.append({"file_path": f"{index}.png", "transform_matrix": matrix, **lens})
    scene = {"w": 512, "h": 384, "frames": frames}
    path.write_text(json.dumps(scene))
    return scene


def test_cameras_come_in_and_go_out_as_they_were(addon: Addon, tmp_path: Path) -> None:
    scene = _file(tmp_path / "in.json")
    bpy.context.scene.frame_set(3)
    assert bpy.ops.hgs.import_cameras(filepath=str(tmp_path / "in.json")) == {"FINISHED"}
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (3, 7)
    assert bpy.ops.hgs.export_cameras(filepath=str(tmp_path / "out.json")) == {"FINISHED"}
    back = json.loads((tmp_path / "out.json").read_text())
    assert (back["w"], back["h"], len(back["frames"])) == (512, 384, 5)
    for mine, theirs in zip(scene["frames"], back["frames"], strict=True):
        np.testing.assert_allclose(theirs["transform_matrix"], mine["transform_matrix"], atol=1e-5)
        for key in ("fl_x", "fl_y", "cx", "cy"):
            assert theirs[key] == pytest.approx(mine[key], rel=1e-4), key
    assert bpy.context.scene.frame_current == 3


def test_a_point_is_where_the_file_says(addon: Addon, tmp_path: Path) -> None:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    frame = _file(tmp_path / "in.json", 1)["frames"][0]
    bpy.ops.hgs.import_cameras(filepath=str(tmp_path / "in.json"))
    bpy.context.view_layer.update()
    point = np.array([0.2, 0.4, 0.1])  # y up
    x, y, z, _ = np.linalg.inv(frame["transform_matrix"]) @ [*point, 1]
    u, v = frame["fl_x"] * x / -z + frame["cx"], frame["fl_y"] * y / z + frame["cy"]
    scene: Any = bpy.context.scene
    seen = world_to_camera_view(scene, scene.camera, Vector((0.2, -0.1, 0.4)))
    assert seen.x * 512 == pytest.approx(u, abs=0.01)
    assert (1 - seen.y) * 384 == pytest.approx(v, abs=0.01)


def test_a_turntable_leaves_as_labels_and_comes_back(addon: Addon, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    assert bpy.ops.hgs.add_turntable(frames=6, size=64) == {"FINISHED"}
    assert bpy.ops.hgs.export_cameras(filepath=str(path), kind="LABELS") == {"FINISHED"}
    wanted = addon("core.camera_views").turntable(6, (64, 64), 2.0, 2.7, 0.1)
    labels = json.loads(path.read_text())["labels"]
    assert [name for name, _ in labels] == [f"000{number}.png" for number in range(1, 7)]
    for (_, label), view in zip(labels, wanted, strict=True):
        np.testing.assert_allclose(label, addon("core.camera_views").label_of(view), atol=1e-5)
    assert bpy.ops.hgs.import_cameras(filepath=str(path)) == {"FINISHED"}
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.frame_end) == (512, 6)
    with pytest.raises(RuntimeError, match="exists already"):
        bpy.ops.hgs.export_cameras(filepath=str(path))
    assert bpy.ops.hgs.export_cameras(filepath=str(path), kind="LABELS", replace=True) == {"FINISHED"}
    for (_, label), (_, again) in zip(labels, json.loads(path.read_text())["labels"], strict=True):
        np.testing.assert_allclose(again, label, atol=1e-5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frames": [{}]}', '{"frames": [3]}', "[" * 100_000,
                                  '{"frames": [{"transform_matrix": [[1, 2]], "fl_x": 3}]}'])  # fmt: skip
def test_broken_files_are_reported(text: str, addon: Addon, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(text)
    before = len(bpy.data.objects)
    with pytest.raises(RuntimeError, match=r"in\.json"):
        bpy.ops.hgs.import_cameras(filepath=str(tmp_path / "in.json"))
    assert len(bpy.data.objects) == before


def test_a_scene_without_camera_is_reported(addon: Addon, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no perspective camera"):
        bpy.ops.hgs.export_cameras(filepath=str(tmp_path / "out.json"))
    assert not list(tmp_path.iterdir())
