"""Every operator that changes a file is undone and redone as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.test_cleanup import ball, seen
from tests.blender.undoing import assert_undone_and_redone

Addon = Callable[[str], Any]
Options = dict[str, Any]

CHANGES_NO_FILE = {"export_splats", "export_cameras", "write_assets", "reload_seeds", "generate", "cancel_generation",
                   "cancel_mesh"}  # fmt: skip
"""Operators that write files, read a folder, or start and stop a program."""

ELSEWHERE = {"make_mesh"}
"""Tested beside the program that it runs."""


@pytest.fixture
def kit(addon: Addon, make_object: Any, make_splats: Any, save_hgs: Any, tmp_path: Path) -> SimpleNamespace:
    """A splat object, and what prepares a scene."""
    obj = make_object(0)
    obj.select_set(True)

    def batch() -> None:
        save_hgs(tmp_path / "seed0003.hgs", make_splats(3))
        manifest = '{"scenes": [{"seed": 3, "gaussians": 340, "files": {"hgs": "seed0003.hgs"}}]}'
        (tmp_path / "manifest.json").write_text(manifest)
        bpy.context.scene.hgs_seeds.folder = str(tmp_path)

    def file(name: str) -> str:
        save_hgs(tmp_path / name, make_splats(1))
        return str(tmp_path / name)

    return SimpleNamespace(addon=addon, obj=obj, batch=batch, file=file, folder=tmp_path)


def with_volume(kit: SimpleNamespace) -> Options:
    ball(0.4, (0, 0, 0)).select_set(True)
    kit.obj.select_set(True)
    bpy.context.view_layer.objects.active = kit.obj
    return {}


def with_selection(kit: SimpleNamespace) -> Options:
    kit.addon("edits.marks").select(kit.obj, np.arange(340) < 50)
    return {}


def with_erased(kit: SimpleNamespace) -> Options:
    kit.addon("edits.marks").erase(kit.obj, np.arange(340) < 50)
    return {}


def with_levels(kit: SimpleNamespace) -> Options:
    kit.addon("ui.levels").add_levels(kit.obj)
    return {"level": 1}


def with_grade(kit: SimpleNamespace) -> Options:
    return {"modifier": kit.addon("edits.grade").add_grade(kit.obj).name}


def with_deform(kit: SimpleNamespace) -> Options:
    assert bpy.ops.hgs.deform(points=2) == {"FINISHED"}
    bpy.context.view_layer.objects.active = kit.obj
    return {}


def with_transform(kit: SimpleNamespace) -> Options:
    kit.obj.location, kit.obj.rotation_euler, kit.obj.scale = (1, 2, 3), (0.2, 0.3, 0.4), (2, 1, 1)
    return {}


def with_plane(kit: SimpleNamespace) -> Options:
    bpy.ops.mesh.primitive_plane_add(size=4)
    kit.obj.select_set(True)
    return {}


def with_cameras(kit: SimpleNamespace) -> Options:
    bpy.ops.hgs.add_turntable(frames=3, size=64)
    path = kit.folder / "cameras.json"
    bpy.ops.hgs.export_cameras(filepath=str(path))
    return {"filepath": str(path)}


def with_batch(kit: SimpleNamespace) -> Options:
    kit.batch()
    return {}


def with_display(kit: SimpleNamespace) -> Options:
    if bpy.app.version < (5, 3):
        pytest.skip("Blender draws splats itself since 5.3")
    kit.addon("nodes.display").add_display(kit.obj)
    return {"choice": "BLENDER"}


def nothing(kit: SimpleNamespace) -> Options:
    return {}


PREPARATIONS: dict[str, Callable[[SimpleNamespace], Options]] = {
    "add_crop_box": nothing,
    "add_grade": nothing,
    "add_levels": nothing,
    "add_turntable": nothing,
    "apply_splat_transform": with_transform,
    "deform": nothing,
    "draw_by": with_display,
    "erase_brush": lambda kit: seen(kit.obj, (0, 0, 0)) | {"radius": 30, "through": True},
    "erase_in_volume": with_volume,
    "erase_selected": with_selection,
    "find_floaters": lambda kit: {"opacity": 0.3},
    "grade_box": with_grade,
    "hide_in_volume": with_volume,
    "import_cameras": with_cameras,
    "import_seed": with_batch,
    "import_splats": lambda kit: {"filepath": kit.file("one.hgs")},
    "morph_to_seed": with_batch,
    "play_sequence": lambda kit: {"filepath": kit.file("frame-1.hgs")},
    "remove_deform": with_deform,
    "remove_grade": with_grade,
    "restore_erased": with_erased,
    "scatter": with_plane,
    "set_up_scene": nothing,
    "solo_level": with_levels,
    "view_exactly": nothing,
}
"""Operators, and what makes a scene in which they have something to do; gives the operator's options."""


@pytest.mark.parametrize("name", PREPARATIONS)
def test_what_an_operator_did_is_undone_and_redone(name: str, kit: SimpleNamespace) -> None:
    options = PREPARATIONS[name](kit)
    bpy.context.view_layer.update()
    assert_undone_and_redone(name, **options)


def test_every_operator_that_changes_a_file_is_among_them(addon: Addon) -> None:
    addon("ui.levels")
    names = {name.removeprefix("HGS_OT_") for name in dir(bpy.types) if name.startswith("HGS_OT_")}
    assert names == PREPARATIONS.keys() | CHANGES_NO_FILE | ELSEWHERE
    undone = {name for name in names if "UNDO" in getattr(getattr(bpy.types, f"HGS_OT_{name}"), "bl_options", ())}
    assert undone == names - CHANGES_NO_FILE
