"""Cycles and EEVEE draw what the toolkit's CPU rasteriser draws (the goldens; see make_goldens.py)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

Addon = Callable[[str], Any]
Array = np.ndarray[Any, Any]

GOLDENS = Path(__file__).with_name("goldens.npz")
SIZE = 256
MIN_DB = 38.0
EXACT, MIN_EXACT_DB = "HGS_EXACT", 60.0
EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"


def psnr(a: Array, b: Array) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-12)))


@pytest.fixture(scope="module")
def goldens() -> Any:
    with np.load(GOLDENS) as arrays:
        return dict(arrays)


@pytest.fixture
def stage(addon: Addon, goldens: Any) -> Any:
    """An empty white scene with the goldens' camera, set up for splats by :func:`draw`."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_width, camera.data.lens = 36, 72  # focal length 2 picture widths
    upright = Matrix.Rotation(math.pi / 2, 4, "X")
    camera.matrix_world = upright @ Matrix(goldens["camera"].tolist()) @ Matrix.Diagonal((1, -1, -1, 1))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.cycles.device = "CPU"
    scene.world = bpy.data.worlds.new("white")
    if scene.world.node_tree is None:  # since 5.0 it is always there
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    return scene


@pytest.fixture
def place(addon: Addon, goldens: Any) -> Callable[..., Any]:
    """``place("flat")``: a golden's Gaussians as an object that is drawn."""

    def make(kind: str) -> Any:
        parts = [goldens[f"{kind}_{name}"] for name in ("means", "log_scales", "quats", "sh", "opacity_logits")]
        data = addon("importing").splat_data(kind, addon("splats").splats_from_stored(*parts, frame="y_up"))
        obj = bpy.data.objects.new(kind, data)
        obj.rotation_euler.x = math.pi / 2
        bpy.context.scene.collection.objects.link(obj)
        addon("display").add_display(obj)
        return obj

    return make


@pytest.fixture
def draw(stage: Any, tmp_path: Path) -> Callable[..., Array]:
    """``draw("CYCLES")``: the picture (H, W, 3) in 0..1, after the scene was set up; options are the operator's."""

    def render(engine: str, **options: Any) -> Array:
        assert bpy.ops.hgs.set_up_scene(**options) == {"FINISHED"}
        stage.render.engine = engine
        stage.render.image_settings.file_format, stage.render.image_settings.color_mode = "PNG", "RGB"
        stage.render.filepath = str(tmp_path / "picture.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(stage.render.filepath)
        image.colorspace_settings.name = "Non-Color"
        width, height = image.size
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
        return pixels.reshape(height, width, 4)[::-1, :, :3]

    return render


def glowing() -> Any:
    """A material of one colour whatever the light, so that a single sample has no noise."""
    material = bpy.data.materials.new("blue")
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    emission = nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (0.1, 0.2, 0.6, 1)
    end = nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], end.inputs["Surface"])
    return material


@pytest.mark.parametrize("kind", ["flat", "round", "harmonics"])
def test_cycles_draws_what_the_rasteriser_draws(
    kind: str, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    place(kind)
    picture, wanted = draw("CYCLES"), goldens[f"{kind}_image"] / 255
    assert psnr(picture, wanted) >= MIN_DB
    assert np.abs(picture - wanted).max() < 0.1, "salt noise: a pixel that ended early is off by much more"


@pytest.mark.parametrize("kind", ["flat", "round"])
def test_eevee_draws_what_the_rasteriser_draws(
    kind: str, place: Callable[..., Any], draw: Callable[..., Array], goldens: Any
) -> None:
    place(kind)
    assert psnr(draw(EEVEE), goldens[f"{kind}_image"] / 255) >= MIN_DB


@pytest.mark.parametrize("kind", ["flat", "round", "harmonics"])
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
    splats = addon("splats").splats_from_stored(
        np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.array([[1, 0, 0, 0]], np.float32),
        ((color - 0.5) / 0.28209479)[None, None], np.array([12.0], np.float32), frame="y_up",
    )  # fmt: skip
    obj = bpy.data.objects.new("one", addon("importing").splat_data("one", splats))
    bpy.context.scene.collection.objects.link(obj)
    addon("display").add_display(obj)
    for colors in ("EXACT", "SCENE"):
        middle = draw("CYCLES", colors=colors)[SIZE // 8, SIZE // 8]
        np.testing.assert_allclose(middle, color, atol=0.01)
