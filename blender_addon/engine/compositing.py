# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians over surfaces over the world, as Blender keeps images."""

from __future__ import annotations

from typing import Any

import numpy as np
from bpy.types import Scene, World

from ..core.splats import Array
from ..typed import present
from .drawing import Drawn

RAW = "Raw"
"""The view transform under which an image's numbers are what is shown."""

FAR = 1e10
"""Depth of a pixel with nothing in it, as Blender's own engines have it."""

HALF = 0.5
SMALLEST = 1e-12


def nearest(drawn: Drawn) -> Array:
    """Depths (H, W): of Gaussians where they cover most of what is seen, of the surface behind them elsewhere."""
    picture, surface = drawn.picture, drawn.surface
    behind = np.full(picture.alphas.shape, FAR) if surface is None else np.minimum(surface.depths, FAR)
    return np.where(picture.alphas > HALF, picture.depths, behind)


def over_background(drawn: Drawn, scene: Scene) -> Array:
    """(H, W, 4) as Blender keeps images: linear light of the colours that are to be seen, alpha multiplied in.

    Gaussians are composited in display colours, in which they were trained, and all that is behind them likewise. Under
    the view transform Raw numbers are shown as they are, under any other one they are taken to be linear.
    """
    raw = present(scene.view_settings).view_transform == RAW
    colors, covered, alphas = drawn.picture.colors, drawn.picture.alphas[..., None], drawn.shown[..., None]
    if drawn.surface is not None:
        surface = drawn.surface.colors if raw else to_display(drawn.surface.colors)
        colors, alphas = colors + (1 - covered) * surface, alphas + (1 - covered) * drawn.surface.covers[..., None]
    if not scene.render.film_transparent:
        ground = world_color(scene.world)
        colors = colors + (1 - alphas) * (ground if raw else to_display(ground))
        alphas = np.ones_like(alphas)
    if not raw:
        colors = to_linear(colors / np.maximum(alphas, SMALLEST)) * alphas
    return np.concatenate([colors, alphas], -1)


def world_color(world: World | None) -> Array:
    """The colour of a world of one colour, linear; where it has an image, the colour that its viewport shows."""
    if world is None:
        return np.zeros(3, np.float32)
    nodes: Any = world.node_tree.nodes if world.node_tree else ()  # their inputs' values depend on the sockets' kinds
    for node in nodes:
        if node.type == "BACKGROUND" and not any(each.is_linked for each in node.inputs):
            color, strength = (node.inputs[name].default_value for name in ("Color", "Strength"))
            shown: Array = np.array(color[:3], np.float32) * strength
            return shown
    return np.array(world.color, np.float32)


def to_linear(display: Array) -> Array:
    """Display colours (sRGB) as linear light, IEC 61966-2-1."""
    return np.where(display <= 0.04045, display / 12.92, ((np.maximum(display, 0) + 0.055) / 1.055) ** 2.4)


def to_display(linear: Array) -> Array:
    """Linear light as display colours."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
