"""3D views by the graphics card against the exact engine, where Blender's module gpu works without a window."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

import gpu
from tests.blender.pictures import Array, glowing, psnr, through_the_camera

Addon = Callable[[str], Any]
Place = Callable[..., Any]
Shoot = Callable[..., tuple[Array, Array]]

SIZE = 128
"""Width and height of the images."""

LEAST = 45.0
"""Decibels; measured 53 to 55."""


def why_not() -> str:
    """Why nothing can be drawn here, or nothing."""
    start: Any = getattr(gpu, "init", lambda: None)  # without a window since 5.x
    types: Any = gpu.types
    try:
        start()
        types.GPUOffScreen(8, 8, format="RGBA16F")
    except Exception as error:
        return f"Blender {bpy.app.version_string}: {error}"
    return ""


@pytest.fixture(scope="module")
def card() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)


def fake_timers(waiting: list[Callable[[], None]]) -> Any:
    """Blender's timers, which add to ``waiting``."""
    timers = SimpleNamespace(register=lambda timer, first_interval: waiting.append(timer))
    return SimpleNamespace(app=SimpleNamespace(timers=timers))


@pytest.fixture
def view(stage: Any, addon: Addon) -> Callable[[], Any]:
    """What a 3D view would show that looks through the stage's camera."""
    return lambda: addon("engine.exact_viewport").ViewportCamera(*through_the_camera(stage, SIZE), SIZE, SIZE)


class Engine:
    """Stands in for Blender's engine in a 3D view."""

    def __init__(self) -> None:
        self.redraws = 0

    def tag_redraw(self) -> None:
        self.redraws += 1

    def bind_display_space_shader(self, *scene: Any) -> None:
        pass

    unbind_display_space_shader = bind_display_space_shader


@pytest.fixture
def shoot(card: None, stage: Any, addon: Addon, view: Callable[[], Any]) -> Callable[..., tuple[Array, Array]]:
    """The images (H, W, 4) of the graphics card and of the exact engine, both of the viewport."""

    def pair(picture: Any = None) -> tuple[Array, Array]:
        picture = picture or addon("engine.gpu_picture").GpuPicture()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        if stage.view_settings.view_transform != "Raw":  # setting it is a change of the scene
            stage.view_settings.view_transform = "Raw"
        picture.refresh(Engine(), depsgraph, view())
        wanted = addon("engine.exact_viewport").view_picture(
            addon("engine.exact_engine").whole_picture, depsgraph, view(), 1
        )
        return picture.pixels(), wanted

    return pair


@pytest.mark.parametrize("kind", ["flat", "round", "harmonics"])
def test_the_graphics_card_draws_the_exact_image(shoot: Shoot, place: Place, kind: str) -> None:
    place(kind)
    assert psnr(*shoot()) > LEAST


def test_parallel_rays_and_a_shifted_lens_are_drawn(shoot: Shoot, stage: Any, place: Place) -> None:
    place("harmonics").scale = (1.6, 1, 1.3)
    stage.camera.data.type, stage.camera.data.shift_x = "ORTHO", 0.1
    found, wanted = shoot()
    assert psnr(found, wanted) > LEAST
    assert wanted.std() > 0.05


def test_meshes_hide_gaussians_and_are_hidden_by_them(shoot: Shoot, stage: Any, place: Place) -> None:
    place("round")
    bpy.ops.mesh.primitive_cube_add(size=0.5, location=(0.2, 0, 0.1), rotation=(0.3, 0.2, 0.5))
    cube: Any = bpy.context.object
    cube.data.materials.append(glowing())
    cube.active_material.diffuse_color = (0.1, 0.6, 0.2, 1)
    found, wanted = shoot()
    bpy.data.objects.remove(cube)
    _, without = shoot()
    # The card smooths no edge either, but a pixel of an edge may fall to the other side.
    assert psnr(found, wanted) > 35
    assert psnr(without, wanted) < 25


def test_holdouts_show_the_world(shoot: Shoot, stage: Any, place: Place, addon: Addon) -> None:
    place("round").is_holdout = True
    other = place("flat")
    other.location.x = 0.2
    assert psnr(*shoot()) > LEAST
    stage.render.film_transparent = True
    with pytest.raises(addon("engine.gpu_picture").NotOnGpu, match="holdouts"):
        shoot()


def test_instances_have_their_own_places_and_directions(shoot: Shoot, stage: Any, place: Place) -> None:
    collection = bpy.data.collections.new("splats")
    obj = place("harmonics")
    collection.objects.link(obj)
    stage.collection.objects.unlink(obj)
    for number in range(3):
        copy = bpy.data.objects.new(f"copy {number}", None)
        copy.instance_type, copy.instance_collection = "COLLECTION", collection
        copy.location, copy.rotation_euler = (0.25 * number - 0.25, 0.3 * number, 0), (0.4 * number, 0, number)
        copy.scale = (0.5, 0.4 + 0.2 * number, 0.5)
        stage.collection.objects.link(copy)
    assert psnr(*shoot()) > LEAST


def test_what_modifiers_do_is_drawn(shoot: Shoot, stage: Any, make_object: Callable[..., Any], addon: Addon) -> None:
    obj = make_object(1, degree=2)
    obj.scale = (0.6, 0.6, 0.6)
    addon("nodes.display").add_display(obj)
    _, before = shoot()
    levels = addon("ui.levels").add_levels(obj)
    addon("compat").set_input(levels, "Level 1 Visible", False)
    assert bpy.ops.hgs.add_grade() == {"FINISHED"}
    addon("compat").set_input(obj.modifiers["HGS Grade"], "Exposure", -1.5)
    obj.select_set(True)
    assert bpy.ops.hgs.deform(points=2) == {"FINISHED"}
    bpy.data.lattices[0].points[0].co_deform.x += 1.5
    found, wanted = shoot()
    assert psnr(found, wanted) > LEAST
    assert psnr(before, wanted) < 25


def test_a_scene_that_moves_is_drawn_by_its_coarse_levels_until_it_rests(
    shoot: Shoot, make_object: Callable[..., Any], addon: Addon, view: Callable[[], Any], stage: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    obj = make_object(1)
    addon("nodes.display").add_display(obj)
    module = addon("engine.gpu_picture")
    monkeypatch.setattr(module, "MOVING", 100)  # the 20 and 80 of levels 0 and 1
    waiting: list[Callable[[], None]] = []
    monkeypatch.setattr(module, "bpy", fake_timers(waiting))
    picture = module.GpuPicture()
    moving, whole = shoot(picture)
    assert picture.drawn == 100
    levels = addon("ui.levels").add_levels(obj)
    addon("compat").set_input(levels, "Level 2 Visible", False)
    _, coarse = shoot(module.GpuPicture())
    assert psnr(moving, coarse) > LEAST
    addon("compat").set_input(levels, "Level 2 Visible", True)
    stage.view_layers[0].update()
    waiting[0]()  # the clock's
    depsgraph = bpy.context.evaluated_depsgraph_get()
    picture.refresh(Engine(), depsgraph, view())
    assert picture.drawn == 340
    assert psnr(picture.pixels(), whole) > LEAST


def test_gaussians_are_sent_once_until_their_object_changes(
    shoot: Shoot, place: Place, addon: Addon, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    obj, still = place("round"), place("flat")
    still.location.x = 0.3
    picture = addon("engine.gpu_picture").GpuPicture()
    first, _ = shoot(picture)
    stage.camera.location.x += 0.1
    obj.location.z = 0.2  # a place is none of the Gaussians' own
    picture.forget(frozenset())
    found, wanted = shoot(picture)
    assert psnr(found, wanted) > LEAST
    assert psnr(found, first) < 40
    assert picture.scene.uploads == 1
    obj.data.attributes["radiance:base"].data[0].color[3] = 0
    obj.data.update_tag()
    picture.forget(frozenset([obj.name]))
    found, wanted = shoot(picture)
    assert psnr(found, wanted) > LEAST
    assert picture.scene.uploads == 2
    monkeypatch.setattr(addon("engine.gpu_scene"), "read_evaluated", None)
    picture.forget(frozenset(["something else"]))
    shoot(picture)  # reads nothing


@pytest.mark.parametrize("transform", ["Raw", "Standard"])
@pytest.mark.parametrize("film", [False, True])
def test_the_screen_gets_what_the_exact_engine_gives_it(
    card: None, place: Place, stage: Any, addon: Addon, view: Callable[[], Any], transform: str, film: bool
) -> None:
    place("round")
    stage.view_settings.view_transform, stage.render.film_transparent = transform, film
    picture = addon("engine.gpu_picture").GpuPicture()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    picture.refresh(Engine(), depsgraph, view())
    types: Any = gpu.types
    state: Any = gpu.state
    screen = types.GPUOffScreen(SIZE, SIZE, format="RGBA32F")
    with screen.bind():
        state.active_framebuffer_get().clear(color=(0.0, 0.0, 0.0, 0.0))
        picture.show()
        texels = state.active_framebuffer_get().read_color(0, 0, SIZE, SIZE, 4, 0, "FLOAT")
    found = np.array(texels.to_list())[::-1]
    whole = addon("engine.exact_engine").whole_picture
    wanted = addon("engine.exact_viewport").view_picture(whole, depsgraph, view(), 1)
    assert psnr(found, wanted) > LEAST


def test_a_graphics_card_that_fails_leaves_the_view_to_the_processor_and_says_why(
    stage: Any, place: Place, addon: Addon, view: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place("round")
    viewports = addon("engine.viewports")
    monkeypatch.setattr(viewports, "view_of", lambda context: view())
    shown: list[str] = []

    class Processor:
        def __init__(self, draw: Any) -> None:
            pass

        def refresh(self, *anything: Any) -> None:
            shown.append("processor")

        forget = show = refresh

    monkeypatch.setattr(viewports, "ViewportPicture", Processor)
    monkeypatch.setattr(viewports, "gpu", SimpleNamespace(state=SimpleNamespace(blend_set=lambda kind: None)))

    class Broken:
        def refresh(self, *anything: Any) -> None:
            shown.append("card")
            raise RuntimeError("Shader Compile Error, see console for more details")

    monkeypatch.setattr(viewports, "GpuPicture", Broken)
    refusals = addon("engine.gpu_refusals")
    refusals.try_again()
    context = SimpleNamespace(area=None)
    screen = viewports.Viewport(None)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    for _ in range(2):
        screen.draw(Engine(), depsgraph, context)
    assert shown == ["card", "processor", "processor", "processor", "processor"]
    assert "Shader Compile Error" in refusals.reason()
    exact = addon("engine.exact_settings").exact_settings(stage)
    exact.use_gpu = False  # whoever touches the switch wants to try again
    assert refusals.reason() == ""
    del shown[:]
    viewports.Viewport(None).draw(Engine(), depsgraph, context)
    assert "card" not in shown
