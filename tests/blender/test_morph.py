"""Latent animation: geometry nodes give the mix that numpy computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]
Array = np.ndarray[Any, Any]


def slerp(a: Array, b: Array, t: float) -> Array:
    """Quaternions (N, 4) on the shorter arc, in double precision."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    cosine = (a * b).sum(1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.abs(cosine)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.maximum(np.sin(angle), 1e-12)
    return np.where(angle > 1e-6, (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / sine, a)


def evaluated(obj: Any) -> Any:
    return obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data


def assert_mixed(addon: Addon, obj: Any, a: Any, b: Any, t: float, atol: float = 1e-5) -> None:
    """``obj`` shows the mix of the Gaussians ``a`` and ``b``."""
    get, data = addon("data").get_values, evaluated(obj)
    for name, mine, theirs in (
        ("position", a.position, b.position), ("scale", a.scale, b.scale), ("radiance:base", a.base, b.base),
    ):  # fmt: skip
        wanted = (1 - t) * mine.astype(np.float64) + t * theirs
        np.testing.assert_allclose(get(data, name), wanted, rtol=0, atol=atol, err_msg=name)
    rotation, wanted = get(data, "rotation"), slerp(a.rotation, b.rotation, t)
    turned = np.sign((rotation * wanted).sum(1, keepdims=True))  # q and -q are the same rotation
    np.testing.assert_allclose(rotation * turned, wanted, rtol=0, atol=atol)
    for index in range(a.harmonics.shape[1]):
        wanted = (1 - t) * a.harmonics[:, index].astype(np.float64) + t * b.harmonics[:, index]
        np.testing.assert_allclose(get(data, f"radiance:sh_{index}"), wanted, rtol=0, atol=atol)
    np.testing.assert_array_equal(get(data, "level"), a.level)
    np.testing.assert_array_equal(get(data, "parent"), a.parent)


@pytest.mark.parametrize("degree", [0, 2])
@pytest.mark.parametrize("factor", [0.0, 0.25, 0.5, 1.0])
def test_the_mix_is_the_computed_one(
    factor: float, degree: int, addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any]
) -> None:
    obj, other = make_object(0, degree=degree), make_object(1, degree=degree)
    modifier = addon("nodes.morph").add_morph(obj, other)
    addon("compat").set_input(modifier, "Factor", factor)
    assert_mixed(addon, obj, make_splats(0, degree=degree), make_splats(1, degree=degree), factor)


def test_the_middle_frame_of_an_animation_is_the_middle(
    addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any]
) -> None:
    obj = make_object(0)
    addon("nodes.morph").animate(addon("nodes.morph").add_morph(obj, make_object(1)), 1, 61)
    for frame, factor in ((1, 0.0), (31, 0.5), (61, 1.0), (99, 1.0)):
        bpy.context.scene.frame_set(frame)
        assert_mixed(addon, obj, make_splats(0), make_splats(1), factor)


def test_opposite_and_equal_rotations_stay_rotations(addon: Addon, make_object: Callable[..., Any]) -> None:
    data, morph = addon("data"), addon("nodes.morph")
    obj, other = make_object(0), make_object(0)
    rotation = data.get_values(other.data, "rotation")
    rotation[::2] *= -1
    data.set_values(other.data, "rotation", "QUATERNION", rotation)
    addon("compat").set_input(morph.add_morph(obj, other), "Factor", 0.5)
    mixed = data.get_values(evaluated(obj), "rotation")
    np.testing.assert_allclose(np.abs((mixed * rotation).sum(1)), 1, atol=1e-5)


def test_the_key_outlives_its_object_and_does_not_follow_its_modifiers_or_place(
    addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any]
) -> None:
    obj, other = make_object(0), make_object(1)
    other.location = (5, 6, 7)
    morph = addon("nodes.morph")
    addon("compat").set_input(morph.add_morph(other, make_object(2)), "Factor", 1.0)
    addon("compat").set_input(morph.add_morph(obj, other), "Factor", 1.0)
    bpy.data.objects.remove(other)
    assert_mixed(addon, obj, make_splats(1), make_splats(1), 1.0)


def test_morphs_are_chained_before_every_other_modifier(
    addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any]
) -> None:
    morph, obj = addon("nodes.morph"), make_object(0)
    obj.modifiers.new("last", "NODES")
    first = morph.add_morph(obj, make_object(1))
    second = morph.add_morph(obj, make_object(2))
    assert [modifier.name for modifier in obj.modifiers][2] == "last"
    addon("compat").set_input(first, "Factor", 1.0)
    addon("compat").set_input(second, "Factor", 0.5)
    assert_mixed(addon, obj, make_splats(1), make_splats(2), 0.5)
    assert len([group for group in bpy.data.node_groups if group.get("hgs_morph_attributes")]) == 1


def test_a_saved_file_still_morphs(
    addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any], tmp_path: Any
) -> None:
    modifier = addon("nodes.morph").add_morph(make_object(0), make_object(1))
    addon("compat").set_input(modifier, "Factor", 0.5)
    a, b = make_splats(0), make_splats(1)
    bpy.data.objects.remove(bpy.data.objects["seed 1"])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert_mixed(addon, bpy.data.objects["seed 0"], a, b, 0.5)


def test_scenes_of_different_trees_are_refused(addon: Addon, make_object: Callable[..., Any]) -> None:
    morph, obj = addon("nodes.morph"), make_object(0)
    with pytest.raises(morph.MorphError, match="340 Gaussians and seed 1 100"):
        morph.add_morph(obj, make_object(1, counts=(20, 80)))
    with pytest.raises(morph.MorphError, match="differ in 'level'"):
        morph.add_morph(obj, make_object(2, counts=(20, 100, 220)))
    with pytest.raises(morph.MorphError, match="different attributes"):
        morph.add_morph(obj, make_object(3, degree=1))
    assert not obj.modifiers


@pytest.mark.skipif(bpy.app.version < (5, 3), reason="Blender has had its own importer since 5.3")
def test_splats_that_blender_imported_itself_mix_colors_and_opacities_as_well(
    addon: Addon, make_object: Callable[..., Any], make_splats: Callable[..., Any]
) -> None:
    data, morph, objects = addon("data"), addon("nodes.morph"), [make_object(0), make_object(1)]
    for obj in objects:
        base = data.get_values(obj.data, "radiance:base")
        obj.data.attributes.remove(obj.data.attributes["radiance:base"])
        data.set_values(obj.data, "radiance:base", "FLOAT4", base)
    addon("compat").set_input(morph.add_morph(*objects), "Factor", 0.5)
    assert_mixed(addon, objects[0], make_splats(0), make_splats(1), 0.5)
