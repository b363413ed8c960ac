# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine "HGS Splat (exact)": F12 gives the toolkit's own image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import bpy
import numpy as np
from bpy.types import Depsgraph, RenderPass, RenderSettings, Scene, ViewLayer, World

import gpu

from ..core.projection import Lens, cropped, project
from ..core.rasterizing import OnProgress, SplatImage, rasterize
from ..core.splats import Array
from ..typed import present
from .exact_viewport import ViewportPicture, view_of
from .gathering import NotDrawable, gather, lens_of, world_to_camera
from .solid_objects import SurfaceLayer, draw_solids

RAW = "Raw"
"""The view transform under which an image's numbers are what is shown."""

FAR = 1e10
"""Depth of a pixel with nothing in it, as Blender's own engines have it."""

HALF = 0.5
SMALLEST = 1e-12


class HGS_RE_exact(bpy.types.RenderEngine):
    """Draws Gaussians in numpy, composited as the toolkit does; other objects hide them and are shaded plainly."""

    bl_idname = "HGS_EXACT"
    bl_label = "HGS Splat (exact)"
    bl_use_preview = False

    _shown: ViewportPicture | None = None

    def update_render_passes(self, scene: Scene | None = None, renderlayer: ViewLayer | None = None) -> None:
        """Tell the compositor which passes there are."""
        self.register_pass(scene, renderlayer, "Combined", 4, "RGBA", "COLOR")
        if present(renderlayer).use_pass_z:
            self.register_pass(scene, renderlayer, "Depth", 1, "Z", "VALUE")

    def render(self, depsgraph: Depsgraph) -> None:  # type: ignore[override]  # the stubs have a property beside it
        """Called by Blender for every image: F12, animations and the command line."""
        scene = present(depsgraph.scene)
        if scene.camera is None:
            self.report({"ERROR"}, "the scene has no camera")
            return
        camera = scene.camera.evaluated_get(depsgraph)
        try:
            lens = lens_of(camera, depsgraph, *picture_size(scene.render))
        except NotDrawable as error:
            self.report({"ERROR"}, str(error))
            return
        part = border(scene.render, lens.width, lens.height)
        to_camera = world_to_camera(camera)
        drawn = draw(depsgraph, to_camera, lens, part, tell=self._tell, progress=self._go_on)
        if drawn is not None:
            picture, backdrop = drawn
            self._deliver(over_background(picture, backdrop, scene), nearest(picture, backdrop))

    def view_update(self, context: bpy.types.Context, depsgraph: Depsgraph | None) -> None:
        """Called by Blender when something in a 3D view has changed."""
        self._viewport().forget()

    def view_draw(self, context: bpy.types.Context, depsgraph: Depsgraph | None) -> None:
        """Called by Blender when a 3D view is drawn."""
        depsgraph, viewport = present(depsgraph), self._viewport()
        viewport.refresh(self, depsgraph, view_of(context))
        gpu.state.blend_set("ALPHA_PREMULT")
        self.bind_display_space_shader(present(depsgraph.scene))
        viewport.show()
        self.unbind_display_space_shader()
        gpu.state.blend_set("NONE")

    def _viewport(self) -> ViewportPicture:
        """One for each 3D view, as engines are."""
        if self._shown is None:
            self._shown = ViewportPicture(whole_picture)
        return self._shown

    def _tell(self, text: str) -> None:
        self.update_stats("", text)

    def _go_on(self, done: float) -> bool:
        self.update_progress(done)
        return not self.test_break()

    def _deliver(self, pixels: Array, depths: Array) -> None:
        height, width = depths.shape
        result = self.begin_result(0, 0, width, height)
        passes = result.layers[0].passes
        _fill(passes["Combined"], pixels)
        if "Depth" in passes:
            _fill(passes["Depth"], depths[..., None])
        self.end_result(result)


def draw(
    depsgraph: Depsgraph, to_camera: Array, lens: Lens, part: tuple[int, int, int, int], *,
    tell: Callable[[str], None] | None = None, progress: OnProgress | None = None,
) -> tuple[SplatImage, SurfaceLayer | None] | None:  # fmt: skip
    """The part (left, top, width, height) of an image, and what is behind its Gaussians; None if it was stopped.

    Args:
        to_camera: (4, 4) from the world to the camera, OpenCV's axes.
        tell: is told what is being done.
        progress: as :func:`~.rasterizing.rasterize` calls it.
    """
    tell = tell or (lambda _: None)
    backdrop = draw_solids(depsgraph, to_camera, lens, part)
    tell("Collecting Gaussians")
    splats = cropped(project(gather(depsgraph, to_camera, parallel=lens.orthographic), lens), *part)
    tell(f"Drawing {len(splats.depths):,} Gaussians")
    limits = None if backdrop is None else backdrop.depths
    picture = rasterize(splats, *part[2:], limits=limits, progress=progress)
    return None if picture is None else (picture, backdrop)


def whole_picture(depsgraph: Depsgraph, to_camera: Array, lens: Lens) -> Array:
    """All of an image as :func:`over_background` makes it."""
    drawn = draw(depsgraph, to_camera, lens, (0, 0, lens.width, lens.height))
    assert drawn is not None, "nothing stops it"
    return over_background(*drawn, present(depsgraph.scene))


def picture_size(render: RenderSettings) -> tuple[int, int]:
    """Width and height in pixels, as Blender rounds them."""
    percentage = render.resolution_percentage
    return int(render.resolution_x * percentage / 100), int(render.resolution_y * percentage / 100)


def border(render: RenderSettings, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part of the image that is asked for, pixels."""
    if not render.use_border:
        return 0, 0, width, height
    left, right = (int(edge * width) for edge in (render.border_min_x, render.border_max_x))
    low, high = (int(edge * height) for edge in (render.border_min_y, render.border_max_y))
    return left, height - high, right - left, high - low


def nearest(picture: SplatImage, backdrop: SurfaceLayer | None) -> Array:
    """Depths (H, W): of Gaussians where they cover most of what is seen, of the surface behind them elsewhere."""
    behind = np.full(picture.alphas.shape, FAR) if backdrop is None else np.minimum(backdrop.depths, FAR)
    return np.where(picture.alphas > HALF, picture.depths, behind)


def over_background(picture: SplatImage, backdrop: SurfaceLayer | None, scene: Scene) -> Array:
    """(H, W, 4) as Blender keeps images: linear light of the colours that are to be seen, alpha multiplied in.

    Gaussians are composited in display colours, in which they were trained, and all that is behind them likewise. Under
    the view transform Raw numbers are shown as they are, under any other one they are taken to be linear.
    """
    raw = present(scene.view_settings).view_transform == RAW
    colors, alphas = picture.colors, picture.alphas[..., None]
    if backdrop is not None:
        surface = backdrop.colors if raw else to_display(backdrop.colors)
        colors, alphas = colors + (1 - alphas) * surface, alphas + (1 - alphas) * backdrop.covers[..., None]
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


def _fill(target: RenderPass, rows: Array) -> None:
    """Write (H, W, channels), upper row first, into a pass, whose lowest row is first."""
    rect: Any = target.rect  # a property of many numbers, which the stubs take for one
    rect.foreach_set(np.ascontiguousarray(rows[::-1], np.float32).ravel())


def _panels() -> Iterator[Any]:
    """Blender's own panels that every engine is offered (output, camera, world, ...)."""
    for panel in bpy.types.Panel.__subclasses__():
        if "BLENDER_RENDER" in getattr(panel, "COMPAT_ENGINES", ()):
            yield panel


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_RE_exact)
    for panel in _panels():
        panel.COMPAT_ENGINES.add(HGS_RE_exact.bl_idname)


def unregister() -> None:
    """Called when it is disabled."""
    for panel in _panels():
        panel.COMPAT_ENGINES.discard(HGS_RE_exact.bl_idname)
    bpy.utils.unregister_class(HGS_RE_exact)
