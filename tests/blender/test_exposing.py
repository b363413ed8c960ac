"""The exact engine as a camera: depth of field, motion blur, holdouts, visibility, passes, and what it does not do."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.pictures import EXACT, Array, glowing, psnr, render_exr

Addon = Callable[[str], Any]
Place = Callable[..., Any]
Draw = Callable[..., Array]

STEP = 1.5 / 255
"""Difference of two pictures of eight bits that are the same."""


@pytest.fixture
def small(stage: Any) -> Any:
    stage.render.resolution_percentage = 25
    return stage


@pytest.fixture
def passes(small: Any, addon: Addon, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Array]]:
    """``passes()``: every pass of an image by its name, upper row first."""

    def render() -> dict[str, Array]:
        seen: dict[str, Array] = {}
        monkeypatch.setattr(
            addon("engine.exact_engine"), "_fill", lambda target, rows: seen.update({target.name: np.array(rows)})
        )
        bpy.ops.hgs.set_up_scene()
        small.render.engine = EXACT
        bpy.ops.render.render()
        return seen

    return render


def test_depth_of_field_is_the_mean_over_points_of_the_lens(
    small: Any, place: Place, draw: Draw, addon: Addon, capfd: pytest.CaptureFixture[str]
) -> None:
    place("round")
    camera = small.camera
    camera.data.dof.use_dof, camera.data.dof.focus_distance = True, 1.2
    camera.data.dof.aperture_fstop, camera.data.dof.aperture_blades = 0.4, 5
    small.hgs_exact.samples = 6
    blurred = draw(EXACT)
    assert "averaged 6 images" in capfd.readouterr().out
    camera.data.dof.use_dof = False
    assert psnr(blurred, draw(EXACT)) < 30
    aperture = addon("core.exposures").Aperture(0.072 / 0.8, 1.2, 5)
    right, up, _ = camera.matrix_world.to_3x3().normalized().col
    home = camera.location.copy()
    total = np.zeros_like(blurred)
    for x, y in addon("core.exposures").lens_points(aperture, 6).tolist():
        camera.location = home + x * right + y * up
        camera.data.shift_x, camera.data.shift_y = -2 * x / 1.2, -2 * y / 1.2  # the plane at 1.2 stays
        total += draw(EXACT)
    assert np.abs(blurred - total / 6).max() < STEP + 0.5 / 255


def test_the_focus_can_be_an_object_and_parallel_cameras_blur_too(small: Any, place: Place, addon: Addon) -> None:
    place("round")
    target = bpy.data.objects.new("target", None)
    small.collection.objects.link(target)
    camera = small.camera
    camera.data.dof.use_dof, camera.data.dof.focus_object = True, target
    graph = bpy.context.evaluated_depsgraph_get()
    found = addon("engine.exposing").aperture_of(camera.evaluated_get(graph))
    assert found.focus == pytest.approx(camera.location.length, rel=1e-5)
    assert found.radius == pytest.approx(0.072 / (2 * 2.8))
    camera.data.type = "ORTHO"
    graph.update()
    assert addon("engine.exposing").aperture_of(camera.evaluated_get(graph)).radius == pytest.approx(1 / (2 * 2.8))


@pytest.mark.parametrize("position", ["START", "CENTER", "END"])
def test_motion_blur_is_the_mean_over_moments_of_the_shutter(
    small: Any, place: Place, draw: Draw, addon: Addon, position: str
) -> None:
    obj = place("round")
    for frame, x in ((0, -0.4), (4, 0.4)):
        obj.location.x = x
        obj.keyframe_insert("location", index=0, frame=frame)
    small.frame_set(2)
    small.hgs_exact.samples = 4
    small.render.use_motion_blur, small.render.motion_blur_shutter = True, 1.0
    small.render.motion_blur_position = position
    blurred = draw(EXACT)
    assert small.frame_current_final == 2.0
    small.render.use_motion_blur = False
    total = np.zeros_like(blurred)
    for moment in addon("core.exposures").moments(2.0, 1.0, position, 4).tolist():
        small.frame_set(math.floor(moment), subframe=moment % 1)
        total += draw(EXACT)
    assert np.abs(blurred - total / 4).max() < STEP + 0.5 / 255
    small.frame_set(2)
    assert psnr(blurred, draw(EXACT)) < 32


def test_data_passes_are_of_the_sharp_image(small: Any, place: Place, passes: Callable[[], dict[str, Array]]) -> None:
    place("round")
    small.view_layers[0].use_pass_z = small.view_layers[0].use_pass_cryptomatte_object = True
    sharp = passes()
    small.camera.data.dof.use_dof, small.camera.data.dof.focus_distance = True, 1.0
    small.camera.data.dof.aperture_fstop, small.hgs_exact.samples = 0.4, 3
    blurred = passes()
    np.testing.assert_array_equal(blurred["Depth"], sharp["Depth"])
    assert np.abs(blurred["Combined"] - sharp["Combined"]).max() > 0.1
    shares = [each["CryptoObject00"][..., 1] for each in (sharp, blurred)]
    assert np.abs(shares[1] - shares[0]).max() > 0.1, "how far objects cover a pixel is averaged as its colours are"


def test_passes_say_what_is_seen(
    small: Any, place: Place, addon: Addon, passes: Callable[[], dict[str, Array]]
) -> None:
    splats = place("round")
    splats.name, splats.pass_index = "a ball", 7
    bpy.ops.mesh.primitive_cube_add(size=0.5)
    cube = bpy.context.object
    cube.name, cube.pass_index = "a cube", 3
    cube.location = 1.2 * small.camera.location.normalized()
    cube.rotation_euler = small.camera.rotation_euler
    layer = small.view_layers[0]
    layer.use_pass_z = layer.use_pass_normal = layer.use_pass_object_index = layer.use_pass_cryptomatte_object = True
    small.hgs_exact.use_level = True
    seen = passes()
    index = seen[addon("compat").OBJECT_INDEX_PASS][..., 0]
    assert set(np.unique(index)) == {0, 3, 7}
    assert index[32, 32] == 3
    ball = index == 7
    assert ball.sum() > 150
    # The level of Gaussians without a tree is 0, which is 2 here.
    assert set(np.unique(seen["Level"])) == {0, 2}
    assert (seen["Level"][..., 0][ball] == 2).all()
    normals = seen["Normal"]
    np.testing.assert_allclose(np.linalg.norm(normals[index > 0], axis=-1), 1, atol=1e-3)
    back = np.array(small.camera.matrix_world.to_3x3().col[2])
    np.testing.assert_allclose(normals[32, 32], back, atol=1e-3)
    assert not normals[index == 0][seen["Depth"][index == 0][:, 0] > 1e9].any()
    hashes = {name: np.array(addon("core.cryptomatte").name_hash(name), np.uint32).view(np.float32)
              for name in ("a ball", "a cube")}  # fmt: skip
    first = seen["CryptoObject00"]
    assert (first[..., 0][ball] == hashes["a ball"]).all()
    assert first[32, 32, 0] == hashes["a cube"]
    alpha = 1 - (seen["Combined"][..., :3] == 1).all(-1)
    np.testing.assert_allclose(first[32, 32, 1] + first[32, 32, 3], 1, atol=1e-5)
    assert (first[..., 1][alpha == 0] == 0).all()
    mattes = {f"CryptoObject0{number}" for number in range(3)}
    assert set(seen) == {"Combined", "Depth", "Normal", "Level", addon("compat").OBJECT_INDEX_PASS, *mattes}


def test_levels_are_counted_as_in_synthesised_annotations(
    small: Any, make_object: Callable[..., Any], addon: Addon, passes: Callable[[], dict[str, Array]]
) -> None:
    obj = make_object(0)
    addon("nodes.display").add_display(obj)
    modifier = addon("ui.levels").add_levels(obj)
    small.hgs_exact.use_level = True
    for shown in range(3):
        for level in range(3):
            addon("compat").set_input(modifier, f"Level {level} Visible", level == shown)
        assert set(np.unique(passes()["Level"])) == {0, shown + 2}


def test_an_image_with_cryptomattes_names_its_objects(small: Any, place: Place, tmp_path: Path) -> None:
    place("round").name = "a ball"
    small.view_layers[0].use_pass_cryptomatte_object = True
    small.render.engine = EXACT
    assert "ViewLayer.CryptoObject00.R" in render_exr(small, tmp_path / "picture.exr")
    head = (tmp_path / "picture.exr").read_bytes()[:8000]
    assert b"CryptoObject00" in head
    assert b"cryptomatte/" in head
    assert b'{"a ball": "' in head


def test_the_depth_of_cycles_has_no_gaps_on_opaque_splats(small: Any, place: Place, tmp_path: Path) -> None:
    place("round")
    small.view_layers[0].use_pass_z = small.render.film_transparent = True
    bpy.ops.hgs.set_up_scene()
    depths, alphas = {}, {}
    for engine in (EXACT, "CYCLES"):
        small.render.engine = engine
        channels = render_exr(small, tmp_path / f"{engine}.exr")
        depths[engine] = next(values for name, values in channels.items() if ".Depth." in name)
        alphas[engine] = next(values for name, values in channels.items() if name.endswith("Combined.A"))
    opaque, empty = alphas[EXACT] > 0.95, alphas[EXACT] < 0.01
    assert opaque.sum() > 300
    assert (depths["CYCLES"][opaque] < 1e9).all()
    assert (depths["CYCLES"][empty] > 1e9).all()
    assert np.median(np.abs(depths["CYCLES"] - depths[EXACT])[opaque]) < 0.05


def test_what_the_camera_does_not_see_is_not_drawn(small: Any, place: Place, draw: Draw) -> None:
    obj = place("round")
    obj.visible_camera = False
    assert draw(EXACT).min() == 1
    obj.visible_camera = True
    assert draw(EXACT).min() < 0.9


def test_a_holdout_cuts_out_what_is_behind_it(small: Any, place: Place, draw: Draw) -> None:
    small.render.film_transparent = True
    ball, cat = place("round"), place("sample")
    cat.scale = (2, 2, 2)
    cat.location = -2 * small.camera.location.normalized()
    whole = draw(EXACT, "RGBA")
    ball.is_holdout = True
    cut = draw(EXACT, "RGBA")
    cat.hide_render = True
    assert not draw(EXACT, "RGBA")[..., 3].any(), "alone it shows nothing"
    ball.is_holdout = False
    cover = draw(EXACT, "RGBA")[..., 3]
    np.testing.assert_allclose(cut[..., 3], whole[..., 3] - cover, atol=2.5 / 255)
    assert cover.max() > 0.95
    # A collection can be a holdout as well.
    cat.hide_render = False
    collection = bpy.data.collections.new("cut")
    small.collection.children.link(collection)
    collection.objects.link(ball)
    small.collection.objects.unlink(ball)
    small.view_layers[0].layer_collection.children["cut"].holdout = True
    np.testing.assert_array_equal(draw(EXACT, "RGBA"), cut)


def test_settings_that_are_not_honoured_are_named(
    small: Any, place: Place, addon: Addon, draw: Draw, capfd: pytest.CaptureFixture[str]
) -> None:
    obj = place("round")
    named = addon("engine.unhonoured").unhonoured
    layer = small.view_layers[0]
    draw(EXACT)
    assert named(small, layer) == []
    assert "does not honour" not in capfd.readouterr().out
    layer.use_pass_mist = True
    layer.material_override = glowing()
    small.render.use_freestyle = True
    addon("compat").set_input(addon("nodes.display").display_of(obj), "Lit", 1.0)
    bpy.ops.mesh.primitive_cube_add(size=0.1)
    small.collection.objects.link(bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT")))
    small.collection.objects.link(bpy.data.objects.new("fog", bpy.data.volumes.new("fog")))
    bpy.context.view_layer.update()
    text = "; ".join(named(small, layer))
    for word in ("Mist", "material override", "Freestyle", "Lit", "lamps", "volume"):
        assert word in text
    small.render.use_freestyle = False
    draw(EXACT)
    assert (
        "the exact engine does not honour the view layer's material override; the passes Mist" in capfd.readouterr().out
    )


def test_panels_offer_the_settings(small: Any, place: Place) -> None:
    place("round")
    small.render.engine = EXACT
    small.render.use_motion_blur = True
    small.view_layers[0].use_pass_cryptomatte_object = small.view_layers[0].use_pass_mist = True
    bpy.context.view_layer.objects.active = bpy.data.objects["round"]
    drawn: list[str] = []

    class Layout(SimpleNamespace):
        def prop(self, owner: Any, name: str, **_: Any) -> None:
            owner.path_resolve(name)
            drawn.append(name)

        def column(self, **_: Any) -> Any:
            return Layout()

        def label(self, text: str, **_: Any) -> None:
            drawn.append(text)

    for name in ("sampling", "passes", "visibility"):
        panel = getattr(bpy.types, f"HGS_PT_exact_{name}")
        assert panel.poll(bpy.context)
        panel.draw(SimpleNamespace(layout=Layout()), bpy.context)
    assert {"samples", "use_motion_blur", "motion_blur_shutter", "use_pass_z", "use_level", "is_holdout"} <= set(drawn)
    assert "Mist" in " ".join(drawn)
    assert EXACT in bpy.types.DATA_PT_camera_dof.COMPAT_ENGINES


def test_saving_warns_of_computers_without_the_extension(
    small: Any, place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place("round")
    caplog.set_level(logging.WARNING)
    small.render.engine = "CYCLES"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert "EEVEE" not in caplog.text
    small.render.engine = EXACT
    bpy.ops.wm.save_mainfile()
    assert "Scene is saved with the engine HGS Splat (exact); a computer without this extension" in caplog.text
    caplog.clear()
    bpy.ops.wm.save_mainfile()
    assert not caplog.text, "once for each file"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b.blend"))
    assert "renders it with EEVEE" in caplog.text
