"""Lattices, curves, armatures and meshes move Gaussians, and turn and stretch their shapes and harmonics with them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.pictures import EXACT, Array, psnr

Addon = Callable[[str], Any]
Make = Callable[..., Any]

BEND = 1.2
"""Radians by which a bend turns one unit of length."""


def shown(addon: Addon, obj: Any) -> Any:
    """The Gaussians that an object shows, in its own coordinates."""
    context = bpy.context
    context.view_layer.update()
    splats = addon("ui.exporting").shown_splats(context, obj, "z_up")
    return addon("core.transforming").moved(splats, np.linalg.inv(np.array(obj.matrix_world)))


def covariances(addon: Addon, splats: Any) -> Array:
    arms = addon("core.rotations").quaternions_to_matrices(splats.rotation) * splats.scale[:, None, :]
    product: Array = arms @ arms.transpose(0, 2, 1)
    return product


def assert_moved(addon: Addon, found: Any, wanted: Any, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(found.position, wanted.position, atol=atol)
    size = np.abs(covariances(addon, wanted)).max()
    np.testing.assert_allclose(covariances(addon, found), covariances(addon, wanted), atol=max(2e-3, atol) * size)
    np.testing.assert_allclose(found.harmonics, wanted.harmonics, atol=5e-3)
    np.testing.assert_array_equal(found.base, wanted.base)


def select(obj: Any, other: Any = None) -> None:
    for each in bpy.context.scene.objects:
        each.select_set(each in (obj, other))
    bpy.context.view_layer.objects.active = obj


def link(obj: Any) -> Any:
    bpy.context.scene.collection.objects.link(obj)
    return obj


AFFINE = np.array(Matrix.LocRotScale((0.1, -0.2, 0.3), Matrix.Rotation(0.9, 3, (1, 2, -1)).to_quaternion(), (1, 1, 1)))
SHEARED = AFFINE @ np.array([[1.5, 0.4, 0, 0], [0, 0.8, 0.2, 0], [0, 0, 1.1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("kind", ["turned", "sheared"])
def test_a_lattice_carries_everything_along(kind: str, addon: Addon, make_object: Make) -> None:
    obj, matrix = make_object(0, degree=3), {"turned": AFFINE, "sheared": SHEARED}[kind]
    obj.matrix_basis = Matrix.LocRotScale((1, 2, 3), Matrix.Rotation(0.5, 3, "Y").to_quaternion(), (2, 2, 2))
    before = shown(addon, obj)
    select(obj)
    assert bpy.ops.hgs.deform(points=2) == {"FINISHED"}
    lattice: Any = bpy.data.objects["seed 0 lattice"]
    for axis in "uvw":  # of two points, splines would not pass through them
        setattr(lattice.data, f"interpolation_type_{axis}", "KEY_LINEAR")
    assert_moved(addon, shown(addon, obj), before)  # at rest nothing moves
    to_splats = np.array(lattice.matrix_local)
    for point in lattice.data.points:
        place = to_splats @ [*point.co, 1]
        point.co_deform = (np.linalg.inv(to_splats) @ matrix @ place)[:3]
    lattice.data.update_tag()
    after = shown(addon, obj)
    if kind == "turned":
        return assert_moved(addon, after, addon("core.transforming").moved(before, matrix))
    # Under a shear the nearest rotation turns harmonics, as it does for transforms.
    return assert_moved(addon, after, addon("core.transforming").moved(before, matrix), atol=3e-4)


def bent(points: Array, angle: float) -> Array:
    """Points bent about the y axis: where x is positive it runs along a circle, elsewhere it goes straight on."""
    radius, turn = 1 / angle, points[:, 0] * angle
    reach = radius - points[:, 2]
    circle = np.stack([reach * np.sin(turn), points[:, 1], radius - reach * np.cos(turn)], 1)
    return np.where(points[:, :1] < 0, points, circle)


def add_bend(obj: Any, angle: float = 1.2) -> Any:
    """A curve that is a part of a circle in the splats' own x-z plane."""
    count = 1025
    data = bpy.data.curves.new("arc", "CURVE")
    data.dimensions = "3D"
    spline = data.splines.new("POLY")
    spline.points.add(count - 1)
    turns = np.linspace(0, 2 * np.pi, count)
    for point, turn in zip(spline.points, turns, strict=True):
        point.co = (np.sin(turn) / angle, 0, (1 - np.cos(turn)) / angle, 1)
    curve = link(bpy.data.objects.new("arc", data))
    curve.matrix_world = obj.matrix_world
    return curve


def test_a_bone_carries_what_is_near_it(addon: Addon, make_object: Make) -> None:
    obj = make_object(0, degree=1)
    armature = link(bpy.data.objects.new("rig", bpy.data.armatures.new("rig")))
    select(armature)
    bpy.ops.object.mode_set(mode="EDIT")
    for name, x in (("left", -30.0), ("right", 30.0)):
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail = (x, 0, 0), (x, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    data = addon("data")
    places = data.get_values(obj.data, "position")
    places[:, 0] += np.where(np.arange(len(places)) % 2, 30, -30)
    data.set_values(obj.data, "position", "FLOAT_VECTOR", places)
    before = shown(addon, obj)
    select(obj, armature)
    assert bpy.ops.hgs.deform() == {"FINISHED"}
    armature.pose.bones["right"].matrix_basis = Matrix.Rotation(1.0, 4, "Y")
    after = shown(addon, obj)
    turn = armature.pose.bones["right"].matrix @ armature.data.bones["right"].matrix_local.inverted()
    turned = addon("core.transforming").moved(before, np.array(turn))
    right = np.arange(len(places)) % 2 == 1
    for name in ("position", "harmonics"):
        wanted = np.where(right.reshape(-1, *[1] * (getattr(before, name).ndim - 1)),
                          getattr(turned, name), getattr(before, name))  # fmt: skip
        np.testing.assert_allclose(getattr(after, name), wanted, atol=1e-2)


def test_a_mesh_carries_its_splats(addon: Addon, make_object: Make) -> None:
    obj = make_object(0, degree=2)
    obj.rotation_euler.x = 1.0
    before = shown(addon, obj)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, segments=12, ring_count=8)
    proxy: Any = bpy.context.object
    select(obj, proxy)
    assert bpy.ops.hgs.deform() == {"FINISHED"}
    assert_moved(addon, shown(addon, obj), before)
    proxy.matrix_basis = Matrix.LocRotScale((0.1, 0.2, 0.3), Matrix.Rotation(0.8, 3, "Z").to_quaternion(), (1, 1, 1))
    bpy.context.view_layer.update()
    here = np.array(obj.matrix_world)
    moved = np.linalg.inv(here) @ np.array(proxy.matrix_world) @ here
    assert_moved(addon, shown(addon, obj), addon("core.transforming").moved(before, moved))
    proxy.modifiers.new("finer", "SUBSURF")
    bpy.ops.hgs.remove_deform()
    assert_moved(addon, shown(addon, obj), before)
    select(obj, proxy)
    with pytest.raises(RuntimeError, match="modifiers only move them"):
        bpy.ops.hgs.deform()


def test_a_bend_along_a_curve_renders_as_its_gaussians_bent_one_by_one(
    stage: Any, place: Make, draw: Callable[..., Array], addon: Addon
) -> None:
    stage.render.resolution_percentage = 50
    obj = place("sample")
    bpy.context.view_layer.update()
    curve = add_bend(obj)
    curve.hide_render = True
    before = shown(addon, obj)
    select(obj, curve)
    assert bpy.ops.hgs.deform(axis="POS_X") == {"FINISHED"}
    after = shown(addon, obj)
    middle = np.abs(before.position[:, 0]) < 0.45
    assert middle.sum() > 3000
    wanted = bent(before.position.astype(np.float64), BEND)
    np.testing.assert_allclose(after.position[middle], wanted[middle], atol=0.01)
    # Shapes: the map's derivative by differences, Gaussian by Gaussian.
    step = 1e-4
    columns = [(bent(before.position + step * axis, BEND) - bent(before.position - step * axis, BEND)) / (2 * step)
               for axis in np.eye(3)]  # fmt: skip
    jacobian = np.stack(columns, -1)
    expected = jacobian @ covariances(addon, before) @ jacobian.transpose(0, 2, 1)
    error = np.abs(covariances(addon, after) - expected).max((1, 2)) / np.abs(expected).max((1, 2))
    assert np.median(error[middle]) < 0.05
    bent_picture = draw(EXACT)
    splats = addon("core.splats").ActivatedSplats(
        wanted.astype(np.float32), after.scale, after.rotation, before.base, before.harmonics, frame="y_up"
    )
    values, vectors = np.linalg.eigh(expected)
    splats.scale = np.sqrt(np.maximum(values, 1e-14)).astype(np.float32)
    splats.rotation = addon("core.rotations").matrices_to_quaternions(vectors)
    reference = link(bpy.data.objects.new("reference", addon("data").splat_data("reference", splats)))
    reference.matrix_world = obj.matrix_world
    addon("nodes.display").add_display(reference)
    obj.hide_render = True
    assert psnr(bent_picture, draw(EXACT)) > 32, "torn, or left in their old shapes"


def test_an_animated_bend_is_drawn_by_cards_as_by_the_exact_engine(
    stage: Any, place: Make, draw: Callable[..., Array], addon: Addon
) -> None:
    stage.render.resolution_percentage = 25
    obj = place("sample")
    bpy.context.view_layer.update()
    curve = add_bend(obj)
    curve.hide_render = True
    select(obj, curve)
    bpy.ops.hgs.deform(axis="POS_X")
    modifier = addon("deform.probes").deform_of(obj)
    for frame, amount in ((1, 0.0), (5, 1.0)):
        addon("compat").set_input(modifier, "Amount", amount)
        addon("compat").key_input(modifier, "Amount", frame)
    pictures = []
    for frame in (1, 3, 5):
        stage.frame_set(frame)
        pictures.append(draw(EXACT))
        assert psnr(draw("CYCLES"), pictures[-1]) > 36
    obj.modifiers.remove(modifier)
    assert psnr(draw(EXACT), pictures[0]) > 45, "an amount of 0 changes nothing"
    assert psnr(pictures[1], pictures[0]) < 30
    assert psnr(pictures[2], pictures[1]) < 30


def test_undo_takes_the_deformation_away_and_redo_brings_it_again(addon: Addon, make_object: Make) -> None:
    select(make_object(0))
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.hgs.deform()
    bpy.ops.ed.undo_push(message="deformed")
    bpy.ops.ed.undo()
    obj: Any = bpy.data.objects["seed 0"]
    assert addon("deform.probes").deform_of(obj) is None
    assert "seed 0 lattice" not in bpy.data.objects
    bpy.ops.ed.redo()
    obj = bpy.data.objects["seed 0"]
    before = shown(addon, obj)
    for point in bpy.data.objects["seed 0 lattice"].data.points:
        point.co_deform.x += 1.0
    bpy.data.objects["seed 0 lattice"].data.update_tag()
    assert np.abs(shown(addon, obj).position - before.position).max() > 0.5
    bpy.ops.ed.undo_push(message="moved")
    bpy.context.view_layer.objects.active = obj
    bpy.ops.hgs.remove_deform()
    assert addon("deform.probes").probes_of(obj) is None
    assert not [mesh for mesh in bpy.data.meshes if mesh.name.endswith("probes")]
    assert "hgs_rest" not in obj.data.attributes
    bpy.ops.ed.undo_push(message="removed")
    bpy.ops.ed.undo()
    assert addon("deform.probes").probes_of(bpy.data.objects["seed 0"]) is not None
    bpy.ops.ed.redo()
    assert addon("deform.probes").probes_of(bpy.data.objects["seed 0"]) is None


def test_what_cannot_deform_is_reported_and_the_panel_says_what_does(addon: Addon, make_object: Make) -> None:
    obj = make_object(0)
    rig = link(bpy.data.objects.new("rig", bpy.data.armatures.new("rig")))
    drawn: list[str] = []

    class Layout(SimpleNamespace):
        def operator(self, name: str, text: str = "", **_: Any) -> None:
            drawn.append(text or name)

        def prop(self, owner: Any, name: str, text: str = "", **_: Any) -> None:
            owner.path_resolve(name)
            drawn.append(text)

    select(obj, rig)
    with pytest.raises(RuntimeError, match="rig has no bones that deform"):
        bpy.ops.hgs.deform()
    bpy.types.HGS_PT_deform.draw(SimpleNamespace(layout=Layout()), bpy.context)
    assert drawn == ["Deform by rig"]
    select(obj)
    bpy.ops.hgs.deform()
    drawn.clear()
    bpy.types.HGS_PT_deform.draw(SimpleNamespace(layout=Layout()), bpy.context)
    assert drawn == ["Deform by New Lattice", "Amount", "seed 0 lattice", "hgs.remove_deform"]
    bpy.ops.mesh.primitive_cube_add()
    select(obj, bpy.context.object)
    with pytest.raises(RuntimeError, match="is deformed already"):
        bpy.ops.hgs.deform()
