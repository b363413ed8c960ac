# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact engine in a 3D view (its shading Rendered): a coarse image while something moves, finer ones at rest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import bpy
import numpy as np
from bpy.types import Context, Depsgraph, RenderEngine
from gpu_extras.presets import draw_texture_2d

import gpu

from ..core.projection import Lens
from ..core.splats import Array
from ..typed import present
from .gathering import OPENCV, lens_of_matrix

STEPS = (6, 3, 1)
"""Sides of an image's pixels on the screen, the coarsest first."""

REST = 0.25
"""Seconds without a change after which a finer image is begun."""

PATIENCE = 1.5
"""Seconds of drawing an image after which no finer one is begun: Blender stands still meanwhile. With many Gaussians
all images take about as long; with few of them, or with meshes, their pixels count."""

Draw = Callable[[Depsgraph, Array, Lens], Array]
"""An image (H, W, 4), upper row first, from a depsgraph, the matrix from world to camera and a lens."""

Rows = tuple[tuple[float, ...], ...]


class ViewportCamera(NamedTuple):
    """What a 3D view shows."""

    matrix: Rows  # world to camera, OpenGL's axes
    projection: Rows
    width: int  # pixels of the screen
    height: int


def view_of(context: Context) -> ViewportCamera:
    """The view that is being drawn."""
    data, region = present(context.region_data), present(context.region)
    matrix, projection = (tuple(map(tuple, np.array(each).tolist())) for each in (data.view_matrix, data.window_matrix))
    return ViewportCamera(matrix, projection, region.width, region.height)


def view_picture(draw: Draw, depsgraph: Depsgraph, view: ViewportCamera, step: int) -> Array:
    """The image of ``view`` with pixels that are ``step`` pixels of the screen wide.

    It begins in the lower left corner, as textures do, and may reach over the right and the upper edge.
    """
    width, height = -(-view.width // step), -(-view.height // step)
    lens = lens_of_matrix(np.array(view.projection), view.width, view.height)
    over = height - view.height / step
    lens = replace(lens, width=width, height=height, fx=lens.fx / step, fy=lens.fy / step, cx=lens.cx / step,
                   cy=lens.cy / step + over)  # fmt: skip
    return draw(depsgraph, OPENCV @ np.array(view.matrix, np.float64), lens)


class ViewportPicture:
    """The newest image of one 3D view, and when a finer one is due."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._view: ViewportCamera | None = None
        self._texture: Any = None
        self._stage, self._seconds = 0, 0.0
        self._due = False

    def forget(self) -> None:
        """The scene has changed: what was drawn is worth nothing."""
        self._view = None

    def refresh(self, engine: RenderEngine, depsgraph: Depsgraph, view: ViewportCamera) -> None:
        """Draw what is missing: the coarsest image of another view, or the next finer one of the same when due."""
        if view != self._view:
            self._view, self._stage = view, 0
        elif self._due and self._finer_is_worth_it():
            self._stage += 1
        elif self._texture is not None:
            return
        self._due = False
        started = time.perf_counter()
        pixels = view_picture(self._draw, depsgraph, view, STEPS[self._stage])
        self._seconds = time.perf_counter() - started
        self._texture = _texture(pixels)
        if self._finer_is_worth_it():
            bpy.app.timers.register(lambda: self._ask(engine, view), first_interval=REST)

    def show(self) -> None:
        """Put the image on the screen."""
        if self._texture is not None:
            step = STEPS[self._stage]
            draw_texture_2d(self._texture, (0, 0), self._texture.width * step, self._texture.height * step)

    def _finer_is_worth_it(self) -> bool:
        return self._stage + 1 < len(STEPS) and self._seconds < PATIENCE

    def _ask(self, engine: RenderEngine, view: ViewportCamera) -> None:
        """A timer's: have the view drawn once more, if it is still the same."""
        if view == self._view:
            self._due = True
            with contextlib.suppress(ReferenceError):  # the view is shaded otherwise by now
                engine.tag_redraw()


def _texture(pixels: Array) -> Any:
    """Pixels (H, W, 4), upper row first, as a texture."""
    height, width = pixels.shape[:2]
    values = np.ascontiguousarray(pixels[::-1], np.float32).ravel()
    types: Any = gpu.types  # whose classes take nothing, by the stubs
    return types.GPUTexture((width, height), format="RGBA32F", data=types.Buffer("FLOAT", len(values), values))
