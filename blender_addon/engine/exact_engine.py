# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine "HGS Splat (exact)": F12 gives the toolkit's own image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bpy
import numpy as np
from bpy.types import Depsgraph, RenderPass, RenderSettings, Scene, ViewLayer

from ..core.cryptomatte import metadata
from ..core.exposures import through_lens
from ..core.projection import Lens
from ..core.splats import Array
from ..data import bare_warnings
from ..typed import present
from .compositing import over_background
from .drawing import OWNERS, Drawn, draw
from .exact_settings import ENGINE, exact_settings
from .exposing import Average, Exposure, exposures, sharp_exposure
from .gathering import NotDrawable, ObjectTable, lens_of, world_to_camera
from .passes import COMBINED, CRYPTOMATTE, cryptomatte, object_shares, passes_of, sharp_passes, wanted_by
from .unhonoured import unhonoured
from .viewports import Viewport

PANELS = ("DATA_PT_camera_dof", "DATA_PT_camera_dof_aperture")
"""Panels of EEVEE whose settings this engine honours as well."""


class Stopped(Exception):  # noqa: N818
    """The user stopped the image."""


class HGS_RE_exact(bpy.types.RenderEngine):
    """Draws Gaussians in numpy, composited as the toolkit does; other objects hide them and are shaded plainly."""

    bl_idname = ENGINE
    bl_label = "HGS Splat (exact)"
    bl_use_preview = False

    _shown: Viewport | None = None
    _frame: float | None = None
    _begun, _share = 0.0, 1.0
    """Progress at which the image at hand begins, and its part of the whole."""

    def update_render_passes(self, scene: Scene | None = None, renderlayer: ViewLayer | None = None) -> None:
        """Tell the compositor which passes there are."""
        for kind in passes_of(present(renderlayer), level=exact_settings(scene).use_level):
            self.register_pass(scene, renderlayer, kind.name, len(kind.channels), kind.channels, kind.type)

    def render(self, depsgraph: Depsgraph) -> None:  # type: ignore[override]  # the stubs have a property beside it
        """Called by Blender for every image: F12, animations and the command line."""
        scene, layer = present(depsgraph.scene), present(depsgraph.view_layer)
        if scene.camera is None:
            self.report({"ERROR"}, "the scene has no camera")
            return
        try:
            shots = exposures(scene, depsgraph)
            images, names = self._images(depsgraph, shots)
        except NotDrawable as error:
            self.report({"ERROR"}, str(error))
            return
        except Stopped:
            return
        finally:
            self._go_to(depsgraph, None)
        self._deliver(layer, images, names)
        if len(shots) > 1:
            self.report({"INFO"}, f"averaged {len(shots)} images of lens and time; Render > Sampling changes how many")
        for warning in bare_warnings(scene):
            self.report({"WARNING"}, warning)
        if ignored := unhonoured(scene, layer):
            self.report({"WARNING"}, f"the exact engine does not honour {'; '.join(ignored)}")

    def _images(self, depsgraph: Depsgraph, shots: list[Exposure]) -> tuple[dict[str, Array], list[str]]:
        """Every pass by its name, and the names of the objects that are in them.

        Colours and Cryptomatte are averaged over ``shots``; the other passes are those of the camera itself.
        """
        scene, layer = present(depsgraph.scene), present(depsgraph.view_layer)
        kinds = passes_of(layer, level=exact_settings(scene).use_level)
        table, average = ObjectTable(), Average()
        images: dict[str, Array] = {}
        sharp = [kind for kind in kinds if kind.name != COMBINED and not kind.name.startswith(CRYPTOMATTE)]
        if sharp:
            self._begun, self._share = 0.0, 1 / (len(shots) + 1)
            drawn, to_camera = self._shoot(depsgraph, sharp_exposure(scene), wanted_by(sharp), table)
            images |= sharp_passes(sharp, drawn, to_camera)
        mattes = frozenset([OWNERS]) if layer.use_pass_cryptomatte_object else frozenset()
        for number, shot in enumerate(shots):
            self._begun, self._share = (number + bool(sharp)) / (len(shots) + bool(sharp)), 1 / len(shots)
            drawn, _ = self._shoot(depsgraph, shot, mattes, table)
            average.add(over_background(drawn, scene), object_shares(drawn) if mattes else None)
        images[COMBINED] = average.colors
        if average.shares is not None:
            images |= cryptomatte(average.shares, table.names, layer)
        return images, table.names

    def _shoot(
        self, depsgraph: Depsgraph, shot: Exposure, wanted: frozenset[str], table: ObjectTable
    ) -> tuple[Drawn, Array]:
        """The image of one point of the lens at one moment, and the matrix from the world to the camera."""
        self._go_to(depsgraph, shot.frame)
        scene = present(depsgraph.scene)
        camera = present(scene.camera).evaluated_get(depsgraph)
        lens = lens_of(camera, depsgraph, *picture_size(scene.render))
        to_camera = world_to_camera(camera)
        if shot.point is not None:
            to_camera = through_lens(to_camera, shot.point, shot.focus)
        part = border(scene.render, lens.width, lens.height)
        drawn = draw(depsgraph, to_camera, lens, part, wanted=wanted, table=table, tell=self._tell,
                     progress=self._go_on)  # fmt: skip
        if drawn is None:
            raise Stopped
        return drawn, to_camera

    def _go_to(self, depsgraph: Depsgraph, frame: float | None) -> None:
        """Let the scene be at ``frame``; None: where it was."""
        scene = present(depsgraph.scene)
        if frame is None and self._frame is not None:
            self.frame_set(int(self._frame), self._frame % 1)
            self._frame = None
        now = scene.frame_current_final
        if frame is not None and frame != now:
            self._frame = now if self._frame is None else self._frame
            self.frame_set(int(frame // 1), frame % 1)

    def view_update(self, context: bpy.types.Context, depsgraph: Depsgraph | None) -> None:
        """Called by Blender when something in a 3D view has changed."""
        self._viewport().forget(present(depsgraph))

    def view_draw(self, context: bpy.types.Context, depsgraph: Depsgraph | None) -> None:
        """Called by Blender when a 3D view is drawn."""
        self._viewport().draw(self, present(depsgraph), context)

    def _viewport(self) -> Viewport:
        """One for each 3D view, as engines are."""
        if self._shown is None:
            self._shown = Viewport(whole_picture)
        return self._shown

    def _tell(self, text: str) -> None:
        self.update_stats("", text)

    def _go_on(self, done: float) -> bool:
        self.update_progress(self._begun + self._share * done)
        return not self.test_break()

    def _deliver(self, layer: ViewLayer, images: Mapping[str, Array], names: list[str]) -> None:
        height, width = images[COMBINED].shape[:2]
        result = self.begin_result(0, 0, width, height, layer=layer.name)
        passes = result.layers[0].passes
        for name, pixels in images.items():
            if name in passes:
                _fill(passes[name], pixels)
        self.end_result(result)
        if any(name.startswith(CRYPTOMATTE) for name in images):
            whole = self.get_result()  # the one that is saved
            for key, value in metadata(f"{layer.name}.{CRYPTOMATTE}", names).items():
                whole.stamp_data_add_field(key, value)


def whole_picture(depsgraph: Depsgraph, to_camera: Array, lens: Lens) -> Array:
    """All of an image as :func:`over_background` makes it."""
    drawn = draw(depsgraph, to_camera, lens, (0, 0, lens.width, lens.height))
    assert drawn is not None, "nothing stops it"
    return over_background(drawn, present(depsgraph.scene))


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


def _fill(target: RenderPass, rows: Array) -> None:
    """Write (H, W, channels), upper row first, into a pass, whose lowest row is first."""
    rect: Any = target.rect  # a property of many numbers, which the stubs take for one
    rect.foreach_set(np.ascontiguousarray(rows[::-1], np.float32).ravel())


def _panels() -> Iterator[Any]:
    """Blender's own panels that every engine is offered (output, camera, world, ...), and those of PANELS."""
    for panel in bpy.types.Panel.__subclasses__():
        if "BLENDER_RENDER" in getattr(panel, "COMPAT_ENGINES", ()) or panel.__name__ in PANELS:
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
