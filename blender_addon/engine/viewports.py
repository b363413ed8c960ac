# SPDX-License-Identifier: GPL-3.0-or-later
"""Who draws a 3D view of the exact engine: the graphics card where it can, else the processor."""

from __future__ import annotations

import logging

from bpy.types import Context, Depsgraph, Object, RenderEngine

import gpu

from ..typed import present
from .exact_settings import exact_settings
from .exact_viewport import Draw, ViewportPicture, view_of
from .gpu_picture import GpuPicture, NotOnGpu
from .gpu_refusals import fail, has_failed, refuse
from .gpu_scene import TooMuch

logger = logging.getLogger(__name__)


class Viewport:
    """One 3D view."""

    def __init__(self, draw: Draw) -> None:
        self._by_processor = ViewportPicture(draw)
        self._by_gpu: GpuPicture | None = None
        self._refused = False

    def forget(self, depsgraph: Depsgraph) -> None:
        """Something has changed; ``depsgraph`` says which objects have other data."""
        self._by_processor.forget()
        self._refused = False
        if self._by_gpu is not None:
            self._by_gpu.forget(changed_objects(depsgraph))

    def draw(self, engine: RenderEngine, depsgraph: Depsgraph, context: Context) -> None:
        """Put the view's image on the screen, made anew where it is stale."""
        if exact_settings(depsgraph.scene).use_gpu and not has_failed() and not self._refused:
            if self._draw_by_gpu(engine, depsgraph, context):
                return
            if context.area is not None:
                context.area.tag_redraw()  # the sidebar says why
        self._by_gpu = None
        self._by_processor.refresh(engine, depsgraph, view_of(context))
        gpu.state.blend_set("ALPHA_PREMULT")
        engine.bind_display_space_shader(present(depsgraph.scene))
        self._by_processor.show()
        engine.unbind_display_space_shader()
        gpu.state.blend_set("NONE")

    def _draw_by_gpu(self, engine: RenderEngine, depsgraph: Depsgraph, context: Context) -> bool:
        try:
            if self._by_gpu is None:
                self._by_gpu = GpuPicture()
            self._by_gpu.refresh(engine, depsgraph, view_of(context))
            self._by_gpu.show()
        except (NotOnGpu, TooMuch) as error:
            refuse(str(error))
            self._refused = True
            return False
        except Exception as error:  # drivers fail in many ways, and a 3D view has to show something
            logger.warning("the graphics card failed", exc_info=True)
            fail(error)
            return False
        refuse("")
        return True


def changed_objects(depsgraph: Depsgraph) -> frozenset[str]:
    """Names of the objects whose data were evaluated anew."""
    updates = [each for each in depsgraph.updates if each.is_updated_geometry]
    return frozenset(present(each.id).name for each in updates if isinstance(each.id, Object))
