# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact engine's image of a 3D view by the graphics card: fewer Gaussians while something moves, all at rest."""

from __future__ import annotations

import contextlib
from typing import Any

import bpy
import numpy as np
from bpy.types import Depsgraph, RenderEngine, Scene

import gpu

from ..core.projection import MARGIN, Lens
from ..core.splats import Array
from ..core.texels import as_texture, far_to_near, place_of
from ..typed import present
from .compositing import RAW, to_display, world_color
from .exact_viewport import REST, ViewportCamera
from .gathering import OPENCV, lens_of_matrix
from .gpu_scene import GpuScene, texture
from .shaders import screen_shader, splats_shader, surfaces_shader

MOVING = 200_000
"""Gaussians that are drawn while something moves: sorting so many takes a fiftieth of a second."""

SQUARE = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))

HOLDOUTS = "it has holdouts over a transparent film, which the graphics card does not draw"


class NotOnGpu(Exception):  # noqa: N818
    """What the graphics card does not draw, for the user."""


class GpuPicture:
    """The newest image of one 3D view, and whether all Gaussians are in it.

    Attributes:
        scene: what is held on the graphics card.
        drawn: how many Gaussians the image has.
    """

    def __init__(self) -> None:
        self.scene = GpuScene()
        self.drawn = 0
        self._changed: frozenset[str] | None = None
        self._stale = True
        self._view: ViewportCamera | None = None
        self._offscreen: Any = None
        self._due = self._raw = False

    def forget(self, changed: frozenset[str] | None = None) -> None:
        """The objects of the names ``changed`` have other data than before, for None all; the image is stale."""
        never = self._stale and self._changed is None
        self._changed = None if changed is None or never else changed | (self._changed or frozenset())
        self._stale, self._view = True, None

    def refresh(self, engine: RenderEngine, depsgraph: Depsgraph, view: ViewportCamera) -> None:
        """Draw what is missing: a view within the budget when it is new, all of it when it has rested.

        Raises:
            NotOnGpu: for a scene that the graphics card does not draw.
            TooMuch: for one that it does not hold.
            Exception: whatever Blender's module gpu raises.
        """
        if view == self._view and not self._due:
            return
        moving = view != self._view
        self._view, self._due = view, False
        if self._stale:
            self.scene.refresh(depsgraph, self._changed)
            self._stale, self._changed = False, frozenset()
        self.draw(present(depsgraph.scene), view, MOVING if moving else None)
        if moving and self.scene.holds_more_than(MOVING):
            bpy.app.timers.register(lambda: self._ask(engine, view), first_interval=REST)

    def draw(self, scene: Scene, view: ViewportCamera, budget: int | None) -> None:
        """Draw ``view`` of what :meth:`refresh` has read, with so many Gaussians; None for all."""
        settings = present(scene.view_settings)
        self._raw = settings.view_transform == RAW
        ground = world_color(scene.world)
        ground = ground if self._raw else to_display(ground)
        if scene.render.film_transparent and any(each.cut for each in self.scene.placements):
            raise NotOnGpu(HOLDOUTS)
        if self._offscreen is None or (self._offscreen.width, self._offscreen.height) != (view.width, view.height):
            types: Any = gpu.types  # whose classes take nothing, by the stubs
            self._offscreen = types.GPUOffScreen(view.width, view.height, format="RGBA16F")
        lens = lens_of_matrix(np.array(view.projection), view.width, view.height)
        constants = _constants(lens, np.array(view.projection), [*ground.tolist(), float(self._raw)])
        to_camera = OPENCV @ np.array(view.matrix, np.float64)
        with self._offscreen.bind():
            clear = (0.0,) * 4 if scene.render.film_transparent else (*ground.tolist(), 1.0)
            state: Any = gpu.state  # whose framebuffer is nothing, by the stubs
            state.active_framebuffer_get().clear(color=clear, depth=1.0)
            gpu.state.depth_test_set("LESS_EQUAL")
            self._draw_surfaces(constants, to_camera)
            self._draw_splats(constants, to_camera, lens, budget)
            gpu.state.depth_test_set("NONE")

    def show(self) -> None:
        """Put the image on the screen, over what is there."""
        if self._offscreen is not None:
            gpu.state.blend_set("ALPHA_PREMULT")
            shader = screen_shader()
            shader.bind()
            shader.uniform_float("raw", float(self._raw))
            shader.uniform_sampler("image", self._offscreen.texture_color)
            _square().draw(shader)
            gpu.state.blend_set("NONE")

    def pixels(self) -> Array:
        """The image (H, W, 4) in display colours, upper row first."""
        texels = self._offscreen.texture_color.read()
        texels.dimensions = self._offscreen.width * self._offscreen.height * 4
        return np.array(texels, np.float32).reshape(self._offscreen.height, self._offscreen.width, 4)[::-1]

    def _draw_surfaces(self, constants: dict[str, list[float]], to_camera: Array) -> None:
        if self.scene.surfaces is None:
            return
        shader = surfaces_shader()
        shader.bind()
        gpu.state.depth_mask_set(True)
        gpu.state.blend_set("NONE")
        shader.uniform_float("to_camera", to_camera.T.ravel().tolist())
        for name in ("lens", "lens_kind", "screen", "ground"):
            shader.uniform_float(name, constants[name])
        self.scene.surfaces.draw(shader)

    def _draw_splats(self, constants: dict[str, list[float]], to_camera: Array, lens: Lens, budget: int | None) -> None:
        entries, places = self._sorted(to_camera, lens, budget)
        self.drawn = len(entries)
        if not self.drawn:
            return
        shader = splats_shader()
        shader.bind()
        gpu.state.depth_mask_set(False)
        gpu.state.blend_set("ALPHA_PREMULT")
        for name, values in constants.items():
            shader.uniform_float(name, values)
        shader.uniform_float("screen", [*constants["screen"][:2], float(self.scene.harmonics), 0.0])
        tables = (texture(as_texture(entries), "RG32F"), texture(places[None], "RGBA32F"), *self.scene.tables)
        for name, table in zip(("order", "places", "shapes", "colors", "harmonics"), tables, strict=True):
            shader.uniform_sampler(name, table)
        _square().draw_instanced(shader, instance_start=0, instance_count=self.drawn)
        gpu.state.blend_set("NONE")

    def _sorted(self, to_camera: Array, lens: Lens, budget: int | None) -> tuple[Array, Array]:
        """Numbers of Gaussians and of their objects (M, 2), the farthest first, and the objects' places as texels."""
        depths, entries, places = [np.zeros(0)], [np.zeros((0, 2), np.float32)], [np.zeros((0, 4), np.float32)]
        counts = self.scene.counts(budget)
        for number, (placement, count) in enumerate(zip(self.scene.placements, counts, strict=True)):
            splats = self.scene.splats(placement)
            matrix = to_camera @ placement.matrix
            rows = splats.chosen(count)
            depths.append(splats.centres[rows] @ matrix[2, :3].astype(np.float32) + np.float32(matrix[2, 3]))
            start = self.scene.starts[placement.key]
            entries.append(np.column_stack([start + rows, np.full(len(rows), number)]).astype(np.float32))
            places.append(place_of(matrix, parallel=lens.orthographic, cut=placement.cut))
        order = far_to_near(np.concatenate(depths), lens)
        return np.concatenate(entries)[order], np.concatenate(places)

    def _ask(self, engine: RenderEngine, view: ViewportCamera) -> None:
        """A timer's: have the view drawn once more with all Gaussians, if it is still the same."""
        if view == self._view:
            self._due = True
            with contextlib.suppress(ReferenceError):  # the view is shaded otherwise by now
                engine.tag_redraw()


def _constants(lens: Lens, projection: Array, ground: list[float]) -> dict[str, list[float]]:
    """What a view's shaders are told: the lens in pixels, the slopes at which the affine map ends, two factors of the
    depth on the screen, its size, and the background."""
    centres, focals, sizes = (lens.cx, lens.cy), (lens.fx, lens.fy), (lens.width, lens.height)
    margins = [(MARGIN - 1) * 0.5 * size / focal for size, focal in zip(sizes, focals, strict=True)]
    low = [-c / f - m for c, f, m in zip(centres, focals, margins, strict=True)]
    high = [(s - c) / f + m for s, c, f, m in zip(sizes, centres, focals, margins, strict=True)]
    return {
        "lens": [lens.fx, lens.fy, lens.cx, lens.cy],
        "bounds": [*low, *high],
        "lens_kind": [float(lens.orthographic), -float(projection[2][2]), float(projection[2][3]), 0.0],
        "screen": [float(lens.width), float(lens.height), 0.0, 0.0],
        "ground": ground,
    }


def _square() -> Any:
    """Two triangles over all of a view, or of a Gaussian."""
    types: Any = gpu.types  # as above
    form = types.GPUVertFormat()
    form.attr_add(id="corner", comp_type="F32", len=2, fetch_mode="FLOAT")
    buffer = types.GPUVertBuf(form, len(SQUARE))
    buffer.attr_fill("corner", SQUARE)
    return types.GPUBatch(type="TRI_STRIP", buf=buffer)
