"""Run by blender_pictures.py with a Python that has bpy: the renders of docs/blender.md, from .hgs files, as PNG.

PYTHON tools/blender_scenes.py ARCHIVE SEED_FOLDER OUT [NAME ...]     names of SHEETS; without any, all of them
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="hgs-blender-")

import bpy
import numpy as np
from mathutils import Vector

MODULE = "bl_ext.user_default.hgs_toolkit"
EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
SIZE = 256
WHITE, DUSK = (1.0, 1.0, 1.0), (0.18, 0.2, 0.26)


def addon(name: str) -> Any:
    return importlib.import_module(f"{MODULE}.{name}")


def start(ground: tuple[float, float, float] = WHITE) -> Any:
    """An empty scene with the toolkit's frontal camera: 2.7 away, focal length of two picture widths."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    if MODULE not in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_enable(module=MODULE)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.world = bpy.data.worlds.new("world")
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (*ground, 1)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_width, camera.data.lens = 36, 72
    look(camera, Vector((0, -2.7, 0)), Vector((0, 0, 0)))
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def look(camera: Any, position: Vector, target: Vector) -> None:
    camera.location = position
    camera.rotation_euler = (target - position).to_track_quat("-Z", "Y").to_euler()


def load(path: Path, x: float = 0.0) -> Any:
    bpy.ops.hgs.import_splats(filepath=str(path))
    obj = bpy.context.object
    obj.location.x = x
    return obj


def render(path: Path, engine: str, **options: Any) -> None:
    bpy.ops.hgs.set_up_scene(**options)
    draw(path, engine)


def draw(path: Path, engine: str) -> None:
    scene = bpy.context.scene
    scene.render.engine, scene.render.filepath = engine, str(path)
    bpy.ops.render.render(write_still=True)


def draw_engines(seeds: list[Path], out: Path) -> None:
    for name, engine in (("cycles", "CYCLES"), ("eevee", EEVEE), ("exact", "HGS_EXACT")):
        start()
        load(seeds[0])
        render(out / f"engine_{name}.png", engine)


def draw_levels(seeds: list[Path], out: Path) -> None:
    """The whole tree, cut after every level; then it grows from its roots."""
    start()
    obj = load(seeds[0])
    levels = addon("ui.levels")
    modifier, count = levels.add_levels(obj), levels.count_levels(obj.data)
    for last in range(count):
        for level in range(count):
            addon("compat").set_input(modifier, f"Level {level} Visible", level <= last)
        render(out / f"level_{last}.png", "HGS_EXACT")
    for step in range(count):
        addon("compat").set_input(modifier, "Grow", step / (count - 1))
        render(out / f"grow_{step}.png", "HGS_EXACT")


def draw_morph(seeds: list[Path], out: Path) -> None:
    scene = start()
    obj, other = load(seeds[0]), load(seeds[1])
    other.hide_render = True
    morph = addon("nodes.morph")
    morph.animate(morph.add_morph(obj, other), 1, 5)
    for frame in range(1, 6):
        scene.frame_set(frame)
        render(out / f"morph_{frame}.png", "HGS_EXACT")


def draw_scene(seeds: list[Path], out: Path) -> None:
    """Splats among meshes, under lamps: Cycles, linear colours."""
    scene = start(DUSK)
    scene.render.resolution_x, scene.render.resolution_y = 440, 220
    for index, seed in enumerate(seeds[:3]):
        load(seed, 0.95 * (index - 1))
    bpy.ops.mesh.primitive_plane_add(size=30, location=(0, 0, -0.47))
    paint((0.35, 0.4, 0.36))
    bpy.ops.mesh.primitive_cube_add(size=0.36, location=(-0.45, -0.6, -0.29), rotation=(0, 0, 0.5))
    paint((0.65, 0.16, 0.12))
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.22, location=(0.5, 0.35, -0.25), segments=64, ring_count=32)
    bpy.ops.object.shade_smooth()
    paint((0.12, 0.3, 0.6))
    bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.3, 0.4))
    bpy.context.object.data.energy, bpy.context.object.data.angle = 3.0, 0.1
    look(scene.camera, Vector((0.6, -6.6, 1.5)), Vector((0, 0, -0.1)))
    bpy.ops.hgs.set_up_scene(colors="SCENE", smooth=True)
    scene.cycles.samples, scene.cycles.max_bounces = 8, 1
    draw(out / "scene.png", "CYCLES")


def paint(color: tuple[float, float, float]) -> None:
    material = bpy.data.materials.new("paint")
    if material.node_tree is None:
        material.use_nodes = True
    material.diffuse_color = (*color, 1)
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*color, 1)
    bpy.context.object.data.materials.append(material)


def draw_light(seeds: list[Path], out: Path) -> None:
    """One seed under a lamp from the left and from the right."""
    for name, side in (("left", -1), ("right", 1)):
        start((0.05, 0.05, 0.06))
        obj = load(seeds[0])
        addon("compat").set_input(addon("nodes.display").display_of(obj), "Lit", 1.0)
        bpy.ops.object.light_add(type="SUN", rotation=(math.radians(40), side * math.radians(60), 0))
        bpy.context.object.data.energy = 5.0
        render(out / f"lit_{name}.png", EEVEE, colors="SCENE")


def draw_deformed(seeds: list[Path], out: Path) -> None:
    """One seed as it is, in a lattice that leans and in one that twists, and through a wide lens."""

    def twisted(x: float, y: float, z: float) -> tuple[float, float, float]:
        turn = 1.4 * (y + 0.5)
        return math.cos(turn) * x + math.sin(turn) * z, y, math.cos(turn) * z - math.sin(turn) * x

    shapes: dict[str, Callable[[float, float, float], tuple[float, float, float]]] = {
        "0": lambda x, y, z: (x, y, z), "1": lambda x, y, z: (x + 0.35 * (y + 0.5) ** 2, 0.9 * y, z), "2": twisted,
    }  # fmt: skip
    for name, shape in shapes.items():
        scene = start()
        obj = load(seeds[0])
        for each in scene.objects:
            each.select_set(each == obj)
        bpy.ops.hgs.deform(points=6)
        for point in next(each for each in scene.objects if each.type == "LATTICE").data.points:
            point.co_deform = shape(*point.co)
        render(out / f"deform_{name}.png", "HGS_EXACT")
    scene = start()
    load(seeds[0])
    lens = scene.camera.data.dof
    lens.use_dof, lens.focus_distance, lens.aperture_fstop, scene.hgs_exact.samples = True, 2.35, 0.25, 24
    render(out / "deform_3.png", "HGS_EXACT")


def draw_grade(seeds: list[Path], out: Path) -> None:
    """One seed as it is, darker and less colourful, of another hue, and with the fine levels alone tinted."""
    grades: list[dict[str, Any]] = [
        {}, {"Exposure": -1.2, "Saturation": 0.35}, {"Hue": 2.0}, {"By Level": True, "First Level": 3, "Last Level": 3,
         "Tint": (0.25, 0.5, 1.0, 1.0)},
    ]  # fmt: skip
    for number, inputs in enumerate(grades):
        start()
        obj = load(seeds[0])
        if inputs:
            bpy.ops.hgs.add_grade()
        for name, value in inputs.items():
            addon("compat").set_input(obj.modifiers["HGS Grade"], name, value)
        render(out / f"grade_{number}.png", "HGS_EXACT")


def draw_cleanup(seeds: list[Path], out: Path) -> None:
    """One seed with floaters about it, after Find Floaters, and after a ball erased what it holds."""
    scene = start()
    obj = load(seeds[0])
    data, random = addon("data"), np.random.default_rng(0)
    places, sizes, base = (data.get_values(obj.data, name) for name in ("position", "scale", "radiance:base"))
    directions = random.normal(size=(40, 3))
    places[-40:] = 0.75 * directions / np.linalg.norm(directions, axis=1, keepdims=True)  # strewn about
    sizes[-40:], base[-40:, 3] = 0.015, 1.0
    data.set_values(obj.data, "position", "FLOAT_VECTOR", places)
    data.set_values(obj.data, "scale", "FLOAT_VECTOR", sizes)
    data.set_values(obj.data, "radiance:base", "FLOAT_COLOR", base)
    render(out / "cleanup_0.png", "HGS_EXACT")
    bpy.ops.hgs.find_floaters(share=0.005, gap=0.06)
    render(out / "cleanup_1.png", "HGS_EXACT")
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.25, location=(-0.1, -0.3, 0.15))
    ball = bpy.context.object
    ball.hide_render = True
    for each in scene.objects:
        each.select_set(each in (ball, obj))
    bpy.context.view_layer.objects.active = obj
    bpy.ops.hgs.erase_in_volume()
    render(out / "cleanup_2.png", "HGS_EXACT")


def draw_scatter(seeds: list[Path], out: Path) -> None:
    """A field of seeds whose levels go with the distance."""
    scene = start(DUSK)
    scene.render.resolution_x, scene.render.resolution_y = 640, 240
    chosen = [load(seed) for seed in seeds[:3]]
    bpy.ops.mesh.primitive_plane_add(size=30, location=(0, 9, -0.5))
    paint((0.3, 0.34, 0.28))
    bpy.ops.mesh.primitive_plane_add(size=11, location=(0, 4.5, 0))  # where the copies' origins come to lie
    ground = bpy.context.object
    ground.hide_render = True
    for each in scene.objects:
        each.select_set(each == ground or each in chosen)
    bpy.ops.hgs.scatter()
    modifier = addon("edits.scatter").scatter_of(bpy.context.object)
    for name, value in {"Count": 45, "Least Size": 0.8, "Full Detail To": 5.0}.items():
        addon("compat").set_input(modifier, name, value)
    for each in chosen:
        each.hide_render = True
    look(scene.camera, Vector((0, -6.5, 2.6)), Vector((0, 2.2, -0.2)))
    scene.camera.data.lens = 50
    render(out / "scatter.png", "HGS_EXACT")


SHEETS = {
    "engines": draw_engines, "levels": draw_levels, "morph": draw_morph, "lit": draw_light, "scene": draw_scene,
    "deform": draw_deformed, "grade": draw_grade, "cleanup": draw_cleanup, "scatter": draw_scatter,
}  # fmt: skip


def main() -> None:
    archive, folder, out = (Path(text).resolve() for text in sys.argv[1:4])
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    seeds = sorted(folder.rglob("*.hgs"))
    for name in sys.argv[4:] or SHEETS:
        SHEETS[name](seeds, out)


main()
