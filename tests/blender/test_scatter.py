"""Scatter: copies stand where they should, as Gaussians of their own, right from every side and in every engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Quaternion

from tests.blender.pictures import EEVEE, EXACT, Array, psnr
from tests.blender.test_panels import Layout

Addon = Callable[[str], Any]
Make = Callable[..., Any]


def ground(size: float = 10.0) -> Any:
    bpy.ops.mesh.primitive_plane_add(size=size)
    return bpy.context.object


def select(*objects: Any) -> None:
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in objects)


@pytest.fixture
def scatter(addon: Addon) -> Callable[..., Any]:
    """``scatter(surface, seeds, Count=4)``: the operator's object and inputs set."""

    def make(surface: Any, *seeds: Any, **inputs: Any) -> Any:
        select(surface, *seeds)
        assert bpy.ops.hgs.scatter() == {"FINISHED"}
        set_inputs(addon, **inputs)
        return bpy.context.object

    return make


def set_inputs(addon: Addon, **inputs: Any) -> None:
    modifier = addon("edits.scatter").scatter_of(bpy.context.object)
    for name, value in inputs.items():
        addon("compat").set_input(modifier, name.replace("_", " "), value)


def gaussians(addon: Addon) -> Any:
    """The evaluated Gaussians of the active object."""
    obj = bpy.context.object
    with addon("nodes.display").undrawn(obj):
        return addon("data").raw_splats(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data)


def turns_of(addon: Addon) -> Array:
    """(N, 4) by which the active object's Gaussians are turned."""
    obj = bpy.context.object
    with addon("nodes.display").undrawn(obj):
        turns: Array = addon("data").get_values(
            obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data, "hgs_turn"
        )
        return turns


def test_copies_of_all_seeds_stand_on_a_surface_turned_and_scaled_with_undo_and_redo(
    addon: Addon, make_object: Make, make_splats: Make, scatter: Callable[..., Any]
) -> None:
    seeds = [make_object(seed) for seed in (0, 1)]
    seeds[0].location = (7, 8, 9)
    plane = ground()
    bpy.ops.ed.undo_push(message="before")
    obj = scatter(plane, *seeds, Count=30, Least_Size=0.5, Most_Size=0.5)
    found = gaussians(addon)
    count, rest = divmod(len(found), 340)
    assert rest == 0
    assert 20 <= count <= 40
    turns = turns_of(addon)[::340]
    assert len(np.unique(turns.round(4), axis=0)) == count, "each copy is turned otherwise"
    first = [make_splats(seed) for seed in (0, 1)]
    used = set()
    for copy in range(count):
        part = slice(340 * copy, 340 * (copy + 1))
        turn = np.array(Quaternion(turns[copy].tolist()).to_matrix())
        which = [np.allclose(found.scale[part], 0.5 * each.scale, atol=1e-6) for each in first].index(True)
        used.add(which)
        arms = 0.5 * first[which].position @ turn.T
        place = found.position[part] - arms
        np.testing.assert_allclose(place, np.broadcast_to(place[0], place.shape), atol=1e-4)
        assert abs(place[0][2]) < 1e-4
        assert np.abs(place[0][:2]).max() <= 5
    assert used == {0, 1}
    bpy.ops.ed.undo_push(message="after")
    name = obj.name
    bpy.ops.ed.undo()
    assert name not in bpy.data.objects
    bpy.ops.ed.redo()
    assert len(bpy.data.objects[name].modifiers) == 2


def test_copies_go_along_a_curve_and_face_along_it(
    addon: Addon, make_object: Make, make_splats: Make, scatter: Callable[..., Any]
) -> None:
    seed = make_object(0)
    curve = bpy.data.curves.new("path", "CURVE")
    curve.dimensions = "3D"
    line = curve.splines.new("POLY")
    line.points.add(1)
    line.points[0].co, line.points[1].co = (0, 0, 0, 1), (0, 8, 0, 1)
    path = bpy.data.objects.new("path", curve)
    bpy.context.scene.collection.objects.link(path)
    scatter(path, seed, Count=5, Turn=0.0, Align=True)
    found = gaussians(addon)
    turned = make_splats(0).position @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).T  # x along y
    wanted = np.concatenate([np.add(turned, (0, 2 * step, 0)) for step in range(5)])
    np.testing.assert_allclose(found.position, wanted, atol=1e-4)


def test_the_tree_is_cut_by_the_cameras_distance_and_fades(
    addon: Addon, make_object: Make, scatter: Callable[..., Any]
) -> None:
    seed = make_object(0)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    plane = ground(0.001)
    scatter(plane, seed, Count=1, Turn=0.0)
    for number in range(50):  # a surface as small as this may get none
        set_inputs(addon, Seed=number)
        if len(gaussians(addon)):
            break
    copies = len(gaussians(addon)) // 340
    opacity = addon("data").raw_splats(seed.data).base[:, 3]
    for distance, near, wanted in (
        (100.0, 0.0, (20, 80, 240)), (2.0, 4.0, (20, 80, 240)), (8.0, 4.0, (20, 80)), (16.0, 4.0, (20,)),
        (99.0, 4.0, (20,)),
    ):  # fmt: skip
        camera.location = (0, 0, distance)
        set_inputs(addon, Full_Detail_To=near)
        found = gaussians(addon)
        assert np.bincount(found.level).tolist() == [copies * size for size in wanted], (distance, near)
        np.testing.assert_allclose(found.base[: len(found) // copies, 3], opacity[: sum(wanted)], atol=1e-5)
    camera.location = (0, 0, 4 * 2**0.5)  # half-way to the doubled distance
    found = gaussians(addon)
    np.testing.assert_allclose(found.base[found.level == 2][:240, 3], 0.5 * opacity[100:], atol=1e-3)
    np.testing.assert_allclose(found.base[found.level == 1][:80, 3], opacity[20:100], atol=1e-3)


@pytest.mark.parametrize("angle", [-0.6, 0.6])
def test_a_turned_copy_is_drawn_as_the_turned_original_in_every_engine(
    angle: float, stage: Any, place: Make, draw: Callable[..., Array], addon: Addon
) -> None:
    stage.render.resolution_percentage = 50
    original = place("harmonics")
    # One copy in the middle, on a point that a curve of two points has at its beginning and end.
    curve = bpy.data.curves.new("path", "CURVE")
    line = curve.splines.new("POLY")
    line.points.add(1)
    line.points[1].co = (1e-3 * np.cos(angle), 1e-3 * np.sin(angle), 0, 1)
    path = bpy.data.objects.new("path", curve)
    stage.collection.objects.link(path)
    select(path, original)
    assert bpy.ops.hgs.scatter() == {"FINISHED"}
    set_inputs(addon, Count=1, Turn=0.0, Align=True)
    scattered = bpy.context.object
    original.hide_render = True
    pictures = {engine: draw(engine) for engine in ("CYCLES", EEVEE, EXACT)}
    scattered.hide_render, original.hide_render = True, False
    original.matrix_world = Matrix.Rotation(angle, 4, "Z") @ original.matrix_world
    wanted = draw(EXACT)
    assert (wanted < 0.9).mean() > 0.1
    assert psnr(pictures[EXACT], wanted) > 50
    assert min(psnr(pictures["CYCLES"], wanted), psnr(pictures[EEVEE], wanted)) >= 40


def test_levels_grades_and_the_export_act_on_the_copies(
    addon: Addon, make_object: Make, scatter: Callable[..., Any], tmp_path: Path
) -> None:
    seed = make_object(0, degree=1)
    obj = scatter(ground(), seed, Count=6)
    assert bpy.ops.hgs.add_levels() == {"FINISHED"}
    assert bpy.ops.hgs.add_grade() == {"FINISHED"}
    assert bpy.ops.hgs.add_crop_box() == {"FINISHED"}
    assert [each.name for each in obj.modifiers] == ["HGS Scatter", "HGS Levels", "HGS Grade", "HGS Display"]
    levels = addon("ui.levels").levels_of(obj)
    addon("compat").set_input(levels, "Level 2 Visible", False)
    whole = gaussians(addon)
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame="y_up") == {"FINISHED"}
    found = addon("core.files.read_ply").read_ply(out)
    assert len(found) == len(whole) * 100 // 340
    # Harmonics are turned with their copies: brightness over all directions stays, the coefficients do not.
    power = (np.square(each).sum((1, 2)) for each in (found.harmonics, addon("data").raw_splats(seed.data).harmonics))
    after, before = power
    np.testing.assert_allclose(after[:100], before[:100], rtol=1e-3)


def test_what_cannot_be_scattered_is_reported(addon: Addon, make_object: Make) -> None:
    seed = make_object(0)
    select(seed)
    with pytest.raises(RuntimeError, match="0 meshes and curves are selected"):
        bpy.ops.hgs.scatter()
    plane = ground()
    addon("compat").set_input(addon("ui.levels").add_levels(seed), "Least Size", 1e9)
    select(seed, plane)
    with pytest.raises(RuntimeError, match="shows no Gaussian"):
        bpy.ops.hgs.scatter()
    assert "Plane scatter" not in bpy.data.objects
    assert not [each for each in bpy.data.collections if each.name.startswith("Plane")]


def test_a_scatter_has_no_gaussians_of_its_own_to_transform(
    addon: Addon, make_object: Make, scatter: Callable[..., Any]
) -> None:
    scatter(ground(), make_object(0))
    with pytest.raises(RuntimeError, match="no Gaussians of its own"):
        bpy.ops.hgs.apply_splat_transform()


def test_an_applied_scatter_turns_its_harmonics_once(
    addon: Addon, make_object: Make, scatter: Callable[..., Any]
) -> None:
    obj = scatter(ground(), make_object(0, degree=1), Count=6)
    assert bpy.ops.object.modifier_apply(modifier="HGS Scatter") == {"FINISHED"}
    wanted = addon("data").raw_splats(obj.data).harmonics
    assert "hgs_turn" in obj.data.attributes
    obj.location = (1, 2, 3)
    for _ in range(2):
        assert bpy.ops.hgs.apply_splat_transform() == {"FINISHED"}
        np.testing.assert_allclose(addon("data").raw_splats(obj.data).harmonics, wanted, atol=1e-5)
    assert "hgs_turn" not in obj.data.attributes


def test_the_panel_shows_the_inputs(addon: Addon, make_object: Make, scatter: Callable[..., Any]) -> None:
    def panel() -> list[str]:
        layout = Layout()
        bpy.types.HGS_PT_scatter.draw(type("", (), {"layout": layout})(), bpy.context)
        return layout.drawn

    seed = make_object(0)
    assert panel() == ["HGS_OT_scatter"]
    scatter(ground(), seed)
    assert {"1 splat objects", "Count", "Full Detail To", "Surface"} <= set(panel())
