"""The Levels modifier: geometry nodes do what numpy computes, and change nothing of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]
Array = np.ndarray[Any, Any]


@pytest.fixture
def obj(make_object: Callable[..., Any]) -> Any:
    """A tree of three levels (20, 80, 240), the last three Gaussians of which are background."""
    obj = make_object(0)
    level, parent = (obj.data.attributes[name].data for name in ("level", "parent"))
    for index in (337, 338, 339):
        level[index].value = parent[index].value = -1
    return obj


@pytest.fixture
def modifier(addon: Addon, obj: Any) -> Any:
    return addon("ui.levels").add_levels(obj)


@pytest.fixture
def look(addon: Addon, obj: Any, modifier: Any) -> Callable[..., dict[str, Array]]:
    """``look(Grow=0.5)``: inputs set, the evaluated attributes."""

    def evaluate(**inputs: Any) -> dict[str, Array]:
        for name, value in inputs.items():
            addon("compat").set_input(modifier, name.replace("_", " "), value)
        data = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        get = addon("data").get_values
        names = ("position", "scale", "radiance:base", "level", "parent")
        values = {name: get(data, name) for name in names}
        hidden = np.empty(len(values["level"]), bool)
        data.attributes["hgs_hidden"].data.foreach_get("value", hidden)
        return values | {"hidden": hidden}

    return evaluate


def test_at_first_nothing_changes(look: Callable[..., Any], make_splats: Callable[..., Any]) -> None:
    values, splats = look(), make_splats(0)
    for name, wanted in (("position", splats.position), ("scale", splats.scale), ("radiance:base", splats.base)):
        np.testing.assert_allclose(values[name], wanted, rtol=0, atol=1e-6)
    assert not values["hidden"].any()


def test_levels_are_seen_faded_and_scaled_one_by_one(look: Callable[..., Any]) -> None:
    before = look()
    level = before["level"]
    values = look(Level_0_Visible=False, Level_1_Opacity=0.25, Level_2_Size=2.0, Background_Opacity=0.5)
    np.testing.assert_array_equal(values["hidden"], level == 0)
    factor = np.select([level == 1, level == -1], [0.25, 0.5], 1.0)
    np.testing.assert_allclose(values["radiance:base"][:, 3], before["radiance:base"][:, 3] * factor, atol=1e-6)
    np.testing.assert_allclose(values["radiance:base"][:, :3], before["radiance:base"][:, :3], atol=1e-6)
    np.testing.assert_allclose(values["scale"], before["scale"] * np.where(level == 2, 2, 1)[:, None], rtol=1e-6)
    np.testing.assert_allclose(look(Size=0.5)["scale"], values["scale"] * 0.5, rtol=1e-6)


@pytest.mark.parametrize("grow", [0.0, 0.3, 1.0])
def test_children_grow_out_of_their_parents(grow: float, look: Callable[..., Any]) -> None:
    before = look()
    own, parent = before["position"], before["parent"]
    start = np.where((parent >= 0)[:, None], own[np.maximum(parent, 0)], own)
    np.testing.assert_allclose(look(Grow=grow)["position"], start + grow * (own - start), atol=1e-5)


@pytest.mark.parametrize("blend", [0.0, 0.75, 2.0])
def test_blending_runs_through_the_levels(blend: float, look: Callable[..., Any]) -> None:
    before = look()
    level, opacity = before["level"], before["radiance:base"][:, 3]
    hat = np.maximum(0, 1 - np.abs(level - blend))
    fade = np.clip(blend - level + 1, 0, 1)
    for keep, weight in ((False, hat), (True, fade)):
        values = look(Blend_Levels=True, Blend=blend, Keep_Coarser=keep)
        np.testing.assert_allclose(values["radiance:base"][:, 3], opacity * np.where(level < 0, 1, weight), atol=1e-6)


def test_filters_hide_by_opacity_and_size(look: Callable[..., Any]) -> None:
    before = look()
    opacity, size = before["radiance:base"][:, 3], before["scale"].max(1)
    least, most = np.quantile(size, [0.2, 0.8])
    np.testing.assert_array_equal(look(Least_Opacity=0.4)["hidden"], opacity < np.float32(0.4))
    values = look(Least_Opacity=0.0, Least_Size=float(least), Most_Size=float(most))
    np.testing.assert_array_equal(values["hidden"], (size < np.float32(least)) | (size > np.float32(most)))


def test_a_box_crops_as_it_is_moved_and_turned(addon: Addon, obj: Any, look: Callable[..., Any]) -> None:
    obj.rotation_euler, obj.location = (0.3, 0.2, 0.1), (1.0, 2.0, 3.0)
    box = addon("ui.levels").add_crop_box(bpy.context, obj)
    assert not look()["hidden"].any()
    box.location, box.scale, box.rotation_euler = (0.1, 0.0, 0.0), (0.3, 0.2, 0.4), (0.0, 0.0, 0.5)
    bpy.context.view_layer.update()
    places = look()["position"]
    local = (np.array(box.matrix_world.inverted() @ obj.matrix_world) @ np.c_[places, np.ones(len(places))].T).T
    outside = (np.abs(local[:, :3]) > 1).any(1)
    assert 0.1 < outside.mean() < 0.95
    np.testing.assert_array_equal(look()["hidden"], outside)
    np.testing.assert_array_equal(look(Keep_Outside=True)["hidden"], ~outside)
    assert not look(Crop=False)["hidden"].any()


def test_settings_are_keyframed_and_the_data_stay(
    addon: Addon, obj: Any, modifier: Any, look: Callable[..., Any]
) -> None:
    compat = addon("compat")
    stored = addon("data").get_values(obj.data, "position")
    for frame, grow in ((1, 0.0), (11, 1.0)):
        compat.set_input(modifier, "Grow", grow)
        compat.key_input(modifier, "Grow", frame)
    bpy.context.scene.frame_set(1)
    first = look()["position"]
    bpy.context.scene.frame_set(11)
    np.testing.assert_allclose(look()["position"], stored, atol=1e-6)
    assert np.abs(first - stored).max() > 0.1
    np.testing.assert_array_equal(addon("data").get_values(obj.data, "position"), stored)


def test_operators_put_it_between_morphs_and_display_and_show_a_level_alone(
    addon: Addon, make_object: Callable[..., Any]
) -> None:
    obj = make_object(0)
    addon("nodes.display").add_display(obj)
    morph = addon("nodes.morph").add_morph(obj, make_object(1))
    bpy.context.view_layer.objects.active = obj
    assert bpy.ops.hgs.solo_level(level=1) == {"FINISHED"}
    assert bpy.ops.hgs.add_levels() == {"FINISHED"}  # once is enough
    levels = addon("ui.levels")
    assert [each.name for each in obj.modifiers] == [morph.name, levels.NAME, addon("nodes.display").NAME]
    modifier = levels.levels_of(obj)
    seen = [addon("compat").get_input(modifier, f"Level {level} Visible") for level in range(3)]
    assert [bool(each) for each in seen] == [False, True, False]


def test_hidden_gaussians_are_not_drawn(addon: Addon, make_object: Callable[..., Any]) -> None:
    obj = make_object(0)
    addon("nodes.display").add_display(obj)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location.z = 5
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    modifier = addon("ui.levels").add_levels(obj)
    addon("compat").set_input(addon("nodes.display").display_of(obj), "Cards in Viewport", True)

    def drawn() -> int:
        graph = bpy.context.evaluated_depsgraph_get()
        meshes = (each.object.data for each in graph.object_instances if isinstance(each.object.data, bpy.types.Mesh))
        return max(len(mesh.vertices) for mesh in meshes)

    whole = drawn()
    addon("compat").set_input(modifier, "Level 2 Visible", False)
    assert drawn() < whole
    assert drawn() <= 4 * 100
