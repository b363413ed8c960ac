"""Bare transforms (Ctrl+A) are found, and Apply Splat Transform turns places, shapes and colours alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix

from tests.blender.test_panels import Layout

Addon = Callable[[str], Any]
Make = Callable[..., Any]

TURN = Euler((0.3, 0.5, -0.7)).to_matrix().to_4x4()
MATRICES = {
    "turned": Matrix.Translation((1, -2, 3)) @ TURN @ Matrix.Scale(2.0, 4),
    "uneven": TURN @ Matrix.Diagonal((1.5, 0.5, 2.0, 1.0)),
    "mirrored": TURN @ Matrix.Diagonal((-1.0, 1.0, 1.0, 1.0)),
}


def covariances(addon: Addon, splats: Any) -> Any:
    """(N, 3, 3): how a Gaussian's shape is compared, since axes may be named in another order."""
    arms = addon("core.rotations").quaternions_to_matrices(splats.rotation) * splats.scale[:, None, :]
    return arms @ arms.transpose(0, 2, 1)


def assert_same(addon: Addon, data: Any, wanted: Any) -> None:
    found = addon("data").raw_splats(data)
    for name in ("position", "base", "harmonics"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(covariances(addon, found), covariances(addon, wanted), atol=1e-5)
    np.testing.assert_array_equal(found.parent, wanted.parent)


def apply_bare(obj: Any) -> None:
    """Ctrl+A, All Transforms."""
    obj.select_set(True)
    assert bpy.ops.object.transform_apply(location=True, rotation=True, scale=True) == {"FINISHED"}
    np.testing.assert_allclose(np.array(obj.matrix_basis), np.eye(4), atol=1e-6)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("kind", MATRICES)
def test_places_shapes_and_colours_are_turned(
    kind: str, bare: bool, addon: Addon, make_object: Make, make_splats: Make
) -> None:
    obj, matrix = make_object(0, degree=3), MATRICES[kind]
    obj.matrix_basis = matrix
    wanted = addon("core.transforming").moved(make_splats(0, degree=3), np.array(matrix))
    assert addon("data").bare_transform(obj.data) is None
    if bare:
        apply_bare(obj)
        np.testing.assert_allclose(addon("data").bare_transform(obj.data), np.array(matrix)[:3, :3], atol=1e-5)
    assert bpy.ops.hgs.apply_splat_transform() == {"FINISHED"}
    assert_same(addon, obj.data, wanted)
    assert addon("data").bare_transform(obj.data) is None
    np.testing.assert_array_equal(np.array(obj.matrix_basis), np.eye(4))


def test_a_shift_or_moved_points_are_no_bare_transform(addon: Addon, make_object: Make) -> None:
    obj, data = make_object(0), addon("data")
    obj.location = (1, 2, 3)
    apply_bare(obj)
    assert data.bare_transform(obj.data) is None
    places = data.get_values(obj.data, "position")
    places[::3] += 0.1
    data.set_values(obj.data, "position", "FLOAT_VECTOR", places)
    assert data.bare_transform(obj.data) is None


def test_the_panel_the_set_up_and_the_exact_engine_warn(
    addon: Addon, make_object: Make, stage: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    obj = make_object(0)
    stage.render.engine, stage.render.resolution_percentage = "HGS_EXACT", 5

    def rendered() -> str:
        capfd.readouterr()
        bpy.ops.render.render()
        return capfd.readouterr().out

    assert "Ctrl+A" not in rendered()
    addon("nodes.display").add_display(obj)

    def panel() -> str:
        layout = Layout()
        bpy.types.HGS_PT_appearance.draw(type("", (), {"layout": layout})(), bpy.context)
        return " ".join(layout.drawn)

    assert "Ctrl+A" not in panel()
    assert addon("data").bare_warnings(bpy.context.scene) == []
    obj.scale = (2, 2, 2)
    apply_bare(obj)
    assert "Ctrl+A" in panel()
    assert "seed 0: its rotation or scale was applied to positions alone (Ctrl+A)" in rendered()
    assert addon("data").bare_warnings(bpy.context.scene)[0].startswith("seed 0: its rotation or scale")
    bpy.ops.hgs.apply_splat_transform()
    assert "Ctrl+A" not in panel()


def test_children_stay_where_they_are(addon: Addon, make_object: Make) -> None:
    obj = make_object(0)
    obj.matrix_basis = MATRICES["turned"]
    box = addon("ui.levels").add_crop_box(bpy.context, obj)
    bpy.context.view_layer.update()
    before = np.array(box.matrix_world)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.hgs.apply_splat_transform()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(np.array(box.matrix_world), before, atol=1e-5)


@pytest.mark.parametrize("bare", [False, True])
def test_the_offset_of_a_far_file_is_turned_and_scaled_along(bare: bool, addon: Addon, make_object: Make) -> None:
    obj: Any = make_object(0)
    obj["hgs_offset"] = [100.0, 5000.0, -20.0]

    def exported(frame: str) -> Any:
        bpy.context.view_layer.update()
        return addon("edits.shown").shown_splats(bpy.context, obj, frame)

    for frame, matrix, atol in (("rdf", Matrix.Rotation(-np.pi / 2, 4, "X"), 0), ("z_up", MATRICES["uneven"], 2e-3)):
        obj.matrix_basis = matrix
        before = exported(frame)
        if bare:
            apply_bare(obj)
        assert bpy.ops.hgs.apply_splat_transform() == {"FINISHED"}
        np.testing.assert_allclose(exported(frame).facts["offset"], before.facts["offset"], rtol=0, atol=atol)
        np.testing.assert_allclose(exported(frame).position, before.position, atol=1e-5)


def test_parents_are_those_that_were_left_when_gaussians_were_deleted(addon: Addon, make_object: Make) -> None:
    obj = make_object(0)
    tree = addon("data").get_values(obj.data, "parent")
    gone = np.isin(np.arange(340), [3, 25, 26, 150])
    addon("edits.marks").select(obj, gone)
    bpy.ops.object.mode_set(mode="EDIT")
    if obj.type == "MESH":
        bpy.ops.mesh.delete(type="VERT")
    else:
        bpy.ops.pointcloud.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    obj.scale = (2, 2, 2)
    assert bpy.ops.hgs.apply_splat_transform() == {"FINISHED"}
    keep = np.flatnonzero(~gone)
    wanted = [np.flatnonzero(keep == old)[0] if old in keep else -1 for old in tree[keep]]
    found = addon("edits.shown").shown_splats(bpy.context, obj, "z_up")
    np.testing.assert_array_equal(found.parent, wanted)


def test_a_deformed_object_is_refused_and_left_alone(addon: Addon, make_object: Make, make_splats: Make) -> None:
    obj = make_object(0)
    obj.scale = (2, 2, 2)
    bpy.ops.hgs.deform()
    bpy.context.view_layer.objects.active = obj
    with pytest.raises(RuntimeError, match="is deformed"):
        bpy.ops.hgs.apply_splat_transform()
    assert tuple(obj.scale) == (2, 2, 2)
    assert_same(addon, obj.data, make_splats(0))
    bpy.ops.hgs.remove_deform()
    assert bpy.ops.hgs.apply_splat_transform() == {"FINISHED"}


def test_shared_data_and_morphs_are_refused_and_left_alone(addon: Addon, make_object: Make, make_splats: Make) -> None:
    obj = make_object(0)
    obj.scale = (2, 2, 2)
    other = obj.copy()
    with pytest.raises(RuntimeError, match="2 objects share the data"):
        bpy.ops.hgs.apply_splat_transform()
    bpy.data.objects.remove(other)
    addon("nodes.morph").add_morph(obj, make_object(1))
    bpy.context.view_layer.objects.active = obj
    with pytest.raises(RuntimeError, match="has morphs"):
        bpy.ops.hgs.apply_splat_transform()
    assert tuple(obj.scale) == (2, 2, 2)
    assert_same(addon, obj.data, make_splats(0))


def test_an_object_that_plays_a_sequence_is_refused(make_object: Make, tmp_path: Path) -> None:
    obj = make_object(0)
    obj["hgs_sequence"], obj.scale = str(tmp_path), (2, 2, 2)
    with pytest.raises(RuntimeError, match="plays a sequence"):
        bpy.ops.hgs.apply_splat_transform()
    assert tuple(obj.scale) == (2, 2, 2)


def test_undo_takes_it_back_and_redo_brings_it_again(addon: Addon, make_object: Make, make_splats: Make) -> None:
    obj: Any = make_object(0)
    obj.scale = (2, 2, 2)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.hgs.apply_splat_transform()
    bpy.ops.ed.undo_push(message="after")
    larger = addon("core.transforming").moved(make_splats(0), np.diag([2.0, 2.0, 2.0, 1.0]))
    bpy.ops.ed.undo()
    obj = bpy.data.objects["seed 0"]
    assert tuple(obj.scale) == (2, 2, 2)
    assert_same(addon, obj.data, make_splats(0))
    bpy.ops.ed.redo()
    obj = bpy.data.objects["seed 0"]
    assert tuple(obj.scale) == (1, 1, 1)
    assert_same(addon, obj.data, larger)
