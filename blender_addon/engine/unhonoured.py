# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a scene that the exact engine passes over, in words for the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bpy.types import Object, Scene, ViewLayer

from ..compat import get_input
from ..data import is_splats
from ..nodes.display import display_of
from ..typed import present
from .solid_objects import KINDS

SHOWN = (*KINDS, "POINTCLOUD", "EMPTY", "CAMERA", "LIGHT", "ARMATURE", "LATTICE", "SPEAKER", "LIGHT_PROBE")
"""Types of objects that are drawn, or that no engine draws."""

HONOURED_PASSES = frozenset(
    f"use_pass_{name}" for name in ("combined", "z", "normal", "object_index", "cryptomatte_object")
)

NO_PASSES = frozenset({"use_pass_cryptomatte_accurate"})
"""Settings that are named like passes and change none."""


def unhonoured(scene: Scene, layer: ViewLayer) -> list[str]:
    """What is set and makes no difference, a phrase each; empty where nothing is."""
    return [*_of_render(scene), *_of_layer(layer), *_of_objects([obj for obj in layer.objects if not obj.hide_render])]


def _of_render(scene: Scene) -> Iterator[str]:
    render = scene.render
    if render.use_multiview:
        yield "stereoscopy (one view is drawn)"
    if render.use_freestyle:
        yield "Freestyle"
    if render.use_motion_blur and any(point.location[1] < 1 for point in _shutter_points(render)):
        yield "the shutter's curve (every moment counts alike)"
    world: Any = scene.world
    nodes = world.node_tree.nodes if world is not None and world.node_tree is not None else ()
    if any(node.type.startswith("TEX_") or node.type == "VOLUME_SCATTER" for node in nodes):
        yield "the world's texture (its viewport colour is shown)"


def _shutter_points(render: Any) -> Iterator[Any]:
    curve = getattr(render, "motion_blur_shutter_curve", None)
    return iter(curve.curves[0].points) if curve is not None else iter(())


def _of_layer(layer: ViewLayer) -> Iterator[str]:
    if layer.material_override is not None:
        yield "the view layer's material override"
    names = [name for name in layer.bl_rna.properties.keys() if name.startswith("use_pass_")]  # noqa: SIM118
    extra = [name for name in names if name not in HONOURED_PASSES | NO_PASSES and getattr(layer, name)]
    if extra:
        labels = (present(layer.bl_rna.properties[name]).name for name in extra)
        yield f"the passes {', '.join(labels)}"


def _of_objects(objects: list[Object]) -> Iterator[str]:
    others = sorted({obj.type.lower().replace("_", " ") for obj in objects if obj.type not in SHOWN})
    if others:
        yield f"objects of the types {', '.join(others)}"
    solid = any(obj.type in KINDS and not is_splats(obj) and obj.visible_camera for obj in objects)
    if solid and any(obj.type == "LIGHT" for obj in objects):
        yield "lamps (a lamp on the camera shades other objects, by the viewport colour of their materials)"
    displays = [display for obj in objects if is_splats(obj) and (display := display_of(obj))]
    if any(get_input(display, "Lit") > 0 for display in displays):
        yield "Lit (Gaussians glow as they were filmed)"
