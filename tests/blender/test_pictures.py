"""Cycles, EEVEE and the exact engine draw what the toolkit's CPU rasteriser draws (goldens of make_goldens.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Vector

from tests.blender.pictures import EEVEE, EXACT, SIZE, Array, glowing, psnr

Addon = Callable[[str], Any]

MIN_DB, MIN_EXACT_DB = 38.0, 60.0


@pytest.mark.parametrize("kind", ["flat", "round", "harmonics", "sample"])
def test_cycles_draws_what_the_rasteriser_draws(
    kind: str, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    place(kind)
    picture, wanted = draw("CYCLES"), goldens[f"{kind}_image"] / 255
    assert psnr(picture, wanted) >= MIN_DB
    # Some pixels differ by a few hundredths; cards that are lost and rays that end early make more of it.
    assert np.abs(picture - wanted).max() < 0.15, "lost cards, or salt noise"


@pytest.mark.parametrize("kind", ["flat", "round", "sample"])
def test_eevee_draws_what_the_rasteriser_draws(
    kind: str, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    place(kind)
    assert psnr(draw(EEVEE), goldens[f"{kind}_image"] / 255) >= MIN_DB


@pytest.mark.parametrize("kind", ["flat", "round", "harmonics", "sample"])
def test_the_exact_engine_draws_the_rasterisers_picture(
    kind: str, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    place(kind)
    picture, wanted = draw(EXACT), goldens[f"{kind}_image"] / 255
    # Both are rounded to eight bits, so that a tiny difference can become a whole step.
    assert psnr(picture, wanted) >= MIN_EXACT_DB
    assert np.abs(picture - wanted).max() < 1.5 / 255


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_a_cube_hides_the_splats_behind_it_and_no_others(
    engine: str, stage: Any, place: Callable[..., Any], draw: Callable[..., Array]
) -> None:
    stage.render.resolution_percentage = 50
    obj = place("round")
    alone = draw(engine)
    bpy.ops.mesh.primitive_cube_add(size=0.5)
    cube = bpy.context.object
    cube.data.materials.append(glowing())
    direction = stage.camera.location.normalized()
    cube.location = 1.2 * direction  # between the camera and the splats
    front = draw(engine)
    obj.hide_render = True
    cube_alone = draw(engine)
    covered = np.abs(cube_alone - 1).max(-1) > 0.02
    assert covered.sum() > 300
    assert np.abs(front - cube_alone)[covered].max() < 0.02
    # A pixel on the outline apart, the rest is as it was.
    assert psnr(front[~covered], alone[~covered]) > 35
    obj.hide_render = False
    cube.location = -1.2 * direction
    behind = draw(engine)
    opaque = np.abs(alone - 1).max(-1) > 0.1
    assert psnr(behind[opaque], front[opaque]) < 30
    assert psnr(behind[opaque], alone[opaque]) > psnr(front[opaque], alone[opaque])


def test_two_instances_are_both_drawn(stage: Any, place: Callable[..., Any], draw: Callable[..., Array]) -> None:
    stage.render.resolution_percentage = 50
    obj = place("round")
    obj.scale = (0.4, 0.4, 0.4)
    other = obj.copy()  # as Alt+D does: data are shared
    bpy.context.scene.collection.objects.link(other)
    right = stage.camera.matrix_world.to_3x3().col[0]
    obj.location, other.location = -0.35 * right, 0.35 * right
    drawn = np.abs(draw("CYCLES") - 1).max(-1) > 0.1
    halves = drawn[:, : SIZE // 4].sum(), drawn[:, SIZE // 4 :].sum()
    assert min(halves) > 500
    assert max(halves) < 1.2 * min(halves)


def test_scene_colors_come_out_as_the_exact_ones_where_a_splat_is_opaque(
    stage: Any, addon: Addon, draw: Callable[..., Array]
) -> None:
    stage.render.resolution_percentage = 25
    color = np.array([0.8, 0.4, 0.1], np.float32)
    splats = addon("core.splats").splats_from_stored(
        np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.array([[1, 0, 0, 0]], np.float32),
        ((color - 0.5) / 0.28209479)[None, None], np.array([12.0], np.float32), frame="y_up",
    )  # fmt: skip
    obj = bpy.data.objects.new("one", addon("data").splat_data("one", splats))
    bpy.context.scene.collection.objects.link(obj)
    addon("nodes.display").add_display(obj)
    for colors in ("EXACT", "SCENE"):
        middle = draw("CYCLES", colors=colors)[SIZE // 8, SIZE // 8]
        np.testing.assert_allclose(middle, color, atol=0.01)


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_splats_of_one_depth_are_all_drawn(engine: str, stage: Any, addon: Addon, draw: Callable[..., Array]) -> None:
    stage.render.resolution_percentage = 25
    random, count = np.random.default_rng(0), 6
    splats = addon("core.splats").splats_from_stored(
        np.zeros((count, 3), np.float32), np.full((count, 3), -2, np.float32), np.eye(4, dtype=np.float32)[[0] * count],
        random.uniform(-1.5, 1.5, (count, 1, 3)).astype(np.float32), np.full(count, -1, np.float32), frame="y_up",
    )  # fmt: skip
    obj = bpy.data.objects.new("pile", addon("data").splat_data("pile", splats))
    bpy.context.scene.collection.objects.link(obj)
    addon("nodes.display").add_display(obj)
    cards, exact = draw(engine), draw(EXACT)
    assert (exact < 0.9).any(), "something is drawn"
    assert np.abs(cards - exact).max() < 0.02, "the first of the file is in front"


def leather_ball(addon: Addon) -> Any:
    """A ball of grey leaves, each of which lies on its surface."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((900, 3)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    quats = np.array([Vector(direction.tolist()).to_track_quat("Z", "Y") for direction in directions], np.float32)
    scales = np.tile(np.log(np.array([0.05, 0.05, 0.003], np.float32)), (900, 1))
    splats = addon("core.splats").splats_from_stored(
        0.45 * directions, scales, quats, np.ones((900, 1, 3), np.float32), np.full(900, 4, np.float32), frame="y_up"
    )
    obj = bpy.data.objects.new("ball", addon("data").splat_data("ball", splats))
    bpy.context.scene.collection.objects.link(obj)
    addon("nodes.display").add_display(obj)
    return obj


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_lit_splats_are_bright_where_they_face_the_lamp(
    engine: str, stage: Any, addon: Addon, draw: Callable[..., Array]
) -> None:
    stage.render.resolution_percentage = 25
    stage.world.node_tree.nodes["Background"].inputs[0].default_value = (0, 0, 0, 1)
    stage.cycles.max_bounces = 0  # what leaves throw on each other costs most of the time
    obj = leather_ball(addon)
    right, _, back = stage.camera.matrix_world.to_3x3().col
    lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    lamp.rotation_mode, lamp.rotation_quaternion = "QUATERNION", (right + 0.5 * back).to_track_quat("Z", "Y")
    lamp.data.energy = 3.0
    stage.collection.objects.link(lamp)
    addon("compat").set_input(addon("nodes.display").display_of(obj), "Lit", 1.0)
    lit = draw(engine, colors="SCENE").mean(-1)
    towards, away = lit[22:42, 44:50], lit[22:42, 11:16]
    assert towards.mean() > 0.5
    assert away.mean() < 0.1
    assert np.abs(np.diff(towards, axis=0)).mean() < 0.05, "noise: cards shadow each other, or samples are too few"
    lamp.hide_render = True
    assert draw(engine, colors="SCENE").max() < 0.02, "without a lamp, lit splats are black"


@pytest.mark.skipif(bpy.app.version < (5, 3), reason="this Blender draws no splats itself")
def test_blenders_own_splats_are_set_up_with_samples_and_a_filter_and_look_alike(
    stage: Any, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    stage.render.resolution_percentage = 25
    bpy.context.view_layer.objects.active = place("sample")
    bpy.ops.hgs.draw_by(choice="BLENDER")
    picture = draw("CYCLES", colors="EXACT")
    assert (stage.view_settings.view_transform, stage.cycles.filter_width) == ("Raw", 1.0)
    assert min(stage.cycles.samples, stage.eevee.taa_render_samples) >= 64
    wanted = (goldens["sample_image"] / 255).reshape(SIZE // 4, 4, SIZE // 4, 4, 3).mean((1, 3))
    assert psnr(picture, wanted) > 30  # measured at 128 x 128: 32.8
    linear = draw("CYCLES", colors="SCENE")
    assert (stage.view_settings.view_transform, stage.cycles.filter_width) == ("Standard", 1.0)
    # In linear light soft edges are brighter than they were trained: no more than this.
    assert psnr(linear, wanted) > 22


@pytest.mark.skipif(bpy.app.version < (5, 3), reason="this Blender draws no splats itself")
def test_blenders_own_splats_have_the_colours_of_their_harmonics(
    stage: Any, place: Callable[..., Any], draw: Callable[..., Array]
) -> None:
    stage.render.resolution_percentage = 25
    bpy.context.view_layer.objects.active = place("harmonics")
    wanted = draw(EXACT)
    bpy.ops.hgs.draw_by(choice="BLENDER")
    linear, exact = (psnr(draw("CYCLES", colors=colors), wanted) for colors in ("SCENE", "EXACT"))
    assert exact > max(23, linear + 1)  # measured 24.3 and 22.3, of harmonics drawn at random
    assert psnr(draw(EXACT), wanted) > 60, "the exact engine sees the colours as they were"
