"""The colour grade: geometry nodes do what numpy computes, on constant colours and harmonics, and change no data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.pictures import EEVEE, EXACT, Array, psnr
from tests.blender.test_panels import Layout

Addon = Callable[[str], Any]
Make = Callable[..., Any]

LUMA = np.array([0.2126, 0.7152, 0.0722])
C0 = 0.28209479177387814


@pytest.fixture
def obj(make_object: Make) -> Any:
    return make_object(0, degree=1)


@pytest.fixture
def grade(addon: Addon, obj: Any) -> Any:
    return addon("edits.grade").add_grade(obj)


@pytest.fixture
def look(addon: Addon, obj: Any, grade: Any) -> Callable[..., Any]:
    """``look(Exposure=1.0)``: inputs set, the evaluated Gaussians."""

    def evaluate(**inputs: Any) -> Any:
        for name, value in inputs.items():
            addon("compat").set_input(grade, name.replace("_", " "), value)
        return evaluated(addon, obj)

    return evaluate


def evaluated(addon: Addon, obj: Any) -> Any:
    return addon("data").raw_splats(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data)


def seen_from(addon: Addon, splats: Any, direction: tuple[float, float, float]) -> Array:
    """Colours (N, 3) in a direction, not yet cut off at black."""
    basis = addon("core.harmonics").evaluate(np.array(direction) / np.linalg.norm(direction), 1)
    colors: Array = 0.5 + C0 * splats.base[:, :3].astype(float) + np.einsum("k,nkc->nc", basis, splats.harmonics)
    return colors


DIRECTIONS = ((0.0, 0.0, 1.0), (1.0, -2.0, 0.5))


def test_at_first_nothing_changes(look: Callable[..., Any], make_splats: Make) -> None:
    found, wanted = look(), make_splats(0, degree=1)
    for name in ("position", "scale", "rotation", "base", "harmonics"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_exposure_tint_saturation_and_contrast_are_exact_from_every_side(
    direction: Any, addon: Addon, look: Callable[..., Any], make_splats: Make
) -> None:
    before = seen_from(addon, make_splats(0, degree=1), direction)
    after = look(Exposure=-1.5, Tint=(0.2, 0.5, 1.0, 1.0), Saturation=0.4, Contrast=1.5)
    lit = before * 2 ** (-1.5 / 2.2) * np.array([0.2, 0.5, 1.0]) ** (1 / 2.2)
    brightness = (lit @ LUMA)[:, None]
    wanted = (brightness + 0.4 * (lit - brightness) - 0.5) * 1.5 + 0.5
    np.testing.assert_allclose(seen_from(addon, after, direction), wanted, atol=1e-5)
    np.testing.assert_array_equal(after.base[:, 3], make_splats(0, degree=1).base[:, 3])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_hues_turn_and_keep_their_brightness(
    direction: Any, addon: Addon, look: Callable[..., Any], make_splats: Make
) -> None:
    before = seen_from(addon, make_splats(0, degree=1), direction)
    third = seen_from(addon, look(Hue=2 * np.pi / 3), direction)
    np.testing.assert_allclose(third @ LUMA, before @ LUMA, atol=1e-5)
    # A third of the circle makes red green: the channels move on by one, but for their brightness.
    moved = np.roll(before, 1, axis=1)
    np.testing.assert_allclose(third - third.mean(1, keepdims=True), moved - moved.mean(1, keepdims=True), atol=1e-5)


def test_gamma_bends_the_constant_colour_and_its_slope_the_harmonics(
    look: Callable[..., Any], make_splats: Make
) -> None:
    before, after = make_splats(0, degree=1), look(Gamma=2.0)
    color = 0.5 + C0 * before.base[:, :3].astype(float)
    wanted = np.where(color > 0, np.sqrt(np.maximum(color, 0)), color)
    np.testing.assert_allclose(0.5 + C0 * after.base[:, :3], wanted, atol=1e-5)
    bright = (color > 0.2).all(1)
    slope = 0.5 / np.sqrt(color[bright])
    np.testing.assert_allclose(after.harmonics[bright], before.harmonics[bright] * slope[:, None], rtol=0.02, atol=1e-5)


def test_curves_that_are_drawn_count_as_far_as_they_are_mixed_in(
    addon: Addon, grade: Any, look: Callable[..., Any], make_splats: Make
) -> None:
    mapping = addon("edits.grade_nodes").curves_node(grade.node_group).mapping
    mapping.curves[0].points[-1].location = (1.0, 0.5)  # red alone
    mapping.update()
    before, after = make_splats(0, degree=1), look(Curves=0.5)
    color = 0.5 + C0 * before.base[:, :3]
    wanted = color * (0.75, 1.0, 1.0)
    inside = ((color > 0) & (color < 1)).all(1)
    np.testing.assert_allclose((0.5 + C0 * after.base[:, :3])[inside], wanted[inside], atol=1e-3)
    np.testing.assert_allclose(after.harmonics[inside], (before.harmonics * (0.75, 1.0, 1.0))[inside], atol=0.02)


def test_a_mask_of_levels_a_box_and_an_attribute_restricts_it(
    addon: Addon, obj: Any, grade: Any, look: Callable[..., Any], make_splats: Make
) -> None:
    before = make_splats(0, degree=1)
    darker = look(Saturation=0.0)
    by_level = look(By_Level=True, First_Level=1, Last_Level=1)
    chosen = (before.level == 1)[:, None]
    np.testing.assert_allclose(by_level.base, np.where(chosen, darker.base, before.base), atol=2e-6)
    np.testing.assert_allclose(
        by_level.harmonics, np.where(chosen[..., None], darker.harmonics, before.harmonics), atol=2e-6
    )
    assert bpy.ops.hgs.grade_box(modifier=grade.name) == {"FINISHED"}
    box = addon("compat").get_input(grade, "Box")
    box.location, box.scale = (0.2, 0.0, 0.0), (0.3, 0.3, 0.3)
    bpy.context.view_layer.update()
    inside = (np.abs(before.position - (0.2, 0, 0)) <= 0.3).all(1)[:, None]
    assert 0.05 < inside.mean() < 0.9
    by_box = look(By_Level=False)
    np.testing.assert_allclose(by_box.base, np.where(inside, darker.base, before.base), atol=2e-6)
    np.testing.assert_allclose(look(Outside=True).base, np.where(inside, before.base, darker.base), atol=2e-6)
    half = np.linspace(0, 1, len(before), dtype=np.float32)
    obj.data.attributes.new("painted", "FLOAT", "POINT").data.foreach_set("value", half)
    painted = look(By_Box=False, Attribute="painted")
    np.testing.assert_allclose(painted.base, before.base + half[:, None] * (darker.base - before.base), atol=1e-5)


@pytest.mark.skipif(bpy.app.version < (5, 3), reason="this Blender has no attributes of the type FLOAT4")
def test_colours_of_the_type_that_blenders_own_importer_makes_are_graded(
    addon: Addon, obj: Any, look: Callable[..., Any], make_splats: Make
) -> None:
    wanted = look(Saturation=0.0).base
    obj.data.attributes.remove(obj.data.attributes["radiance:base"])
    addon("data").set_values(obj.data, "radiance:base", "FLOAT4", make_splats(0, degree=1).base)
    np.testing.assert_allclose(look().base, wanted, atol=1e-6)


def test_it_is_keyframed_and_the_data_stay(
    addon: Addon, obj: Any, grade: Any, look: Callable[..., Any], make_splats: Make
) -> None:
    compat = addon("compat")
    for frame, value in ((1, 0.0), (11, 1.0)):
        compat.set_input(grade, "Exposure", value)
        compat.key_input(grade, "Exposure", frame)
    before = 0.5 + C0 * make_splats(0, degree=1).base[:, :3]
    for frame, stops in ((1, 0.0), (11, 1.0)):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(0.5 + C0 * look().base[:, :3], before * 2 ** (stops / 2.2), atol=1e-5)
    np.testing.assert_array_equal(addon("data").raw_splats(obj.data).base, make_splats(0, degree=1).base)


def test_the_export_has_it(addon: Addon, obj: Any, look: Callable[..., Any], tmp_path: Path) -> None:
    obj.rotation_euler.x = np.pi / 2  # upright, as an import of this frame
    wanted = look(Saturation=0.0, Exposure=1.0)
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame="y_up") == {"FINISHED"}
    found = addon("core.files.read_ply").read_ply(out)
    np.testing.assert_allclose(found.base, wanted.base, atol=1e-6)
    np.testing.assert_allclose(found.harmonics, wanted.harmonics, atol=1e-6)


def test_operators_add_and_remove_grades_between_levels_and_display_with_undo_and_redo(
    addon: Addon, make_object: Make
) -> None:
    obj = make_object(0)
    addon("nodes.display").add_display(obj)
    addon("ui.levels").add_levels(obj)
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.add_grade() == {"FINISHED"}
    assert bpy.ops.hgs.add_grade() == {"FINISHED"}
    names = ["HGS Levels", "HGS Grade", "HGS Grade.001", "HGS Display"]
    assert [each.name for each in obj.modifiers] == names
    groups = [each.node_group for each in addon("edits.grade").grades_of(obj)]
    assert groups[0] != groups[1], "each has curves of its own"
    bpy.ops.ed.undo_push(message="after")

    def names_now() -> list[str]:
        return [each.name for each in bpy.data.objects["seed 0"].modifiers]

    bpy.ops.ed.undo()
    assert names_now() == ["HGS Levels", "HGS Display"]
    bpy.ops.ed.redo()
    assert names_now() == names
    assert bpy.ops.hgs.remove_grade(modifier="HGS Grade") == {"FINISHED"}
    assert names_now() == ["HGS Levels", "HGS Grade.001", "HGS Display"]
    with pytest.raises(RuntimeError, match="no grade called 'HGS Grade'"):
        bpy.ops.hgs.remove_grade(modifier="HGS Grade")
    bpy.ops.ed.undo_push(message="removed")
    assert bpy.ops.hgs.grade_box() == {"FINISHED"}
    bpy.ops.ed.undo_push(message="boxed")
    assert "seed 0 grade" in bpy.data.objects
    bpy.ops.ed.undo()
    assert "seed 0 grade" not in bpy.data.objects
    bpy.ops.ed.undo()
    assert names_now() == names


def test_the_panel_offers_a_grade_and_shows_what_it_has(addon: Addon, make_object: Make) -> None:
    obj = make_object(0)

    def panel() -> list[str]:
        layout = Layout()
        bpy.types.HGS_PT_grade.draw(type("", (), {"layout": layout})(), bpy.context)
        return layout.drawn

    assert panel() == ["HGS_OT_add_grade"]
    grade = addon("edits.grade").add_grade(obj)
    shown = panel()
    assert {"Exposure", "Tint", "Hue", "mapping", "HGS_OT_grade_box", "Attribute"} <= set(shown)
    assert "First Level" not in shown
    addon("compat").set_input(grade, "By Level", True)
    bpy.ops.hgs.grade_box()
    assert {"First Level", "Box", "Outside"} <= set(panel())


def test_every_engine_draws_the_graded_colours(stage: Any, place: Make, draw: Make, addon: Addon) -> None:
    stage.render.resolution_percentage = 25
    grade = addon("edits.grade").add_grade(place("harmonics"))
    plain = draw(EXACT)
    for name, value in (("Exposure", -1.0), ("Saturation", 0.3), ("Hue", 1.0)):
        addon("compat").set_input(grade, name, value)
    exact = draw(EXACT)
    assert psnr(exact, plain) < 25
    assert min(psnr(draw("CYCLES"), exact), psnr(draw(EEVEE), exact)) > 38
