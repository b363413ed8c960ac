# SPDX-License-Identifier: GPL-3.0-or-later
"""A warning when a file with the extension's engine is saved: computers without it render with another one."""

from __future__ import annotations

import logging
import textwrap
from typing import Any

import bpy

from ..typed import present
from .exact_settings import ENGINE

logger = logging.getLogger(__name__)

WARNING = (
    "is saved with the engine HGS Splat (exact); a computer without this extension, such as one of a render farm, "
    "renders it with EEVEE"
)

LINE = 64
"""Longest line of the message, characters."""

_warned: set[str] = set()
"""Files whose saving was warned of since Blender started."""


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]  # the stubs have it without types
def on_save(*_: Any) -> None:
    """Called by Blender after a file was saved; said once for each file."""
    path = bpy.data.filepath
    scenes = [scene.name for scene in bpy.data.scenes if scene.render.engine == ENGINE]
    if not scenes or path in _warned:
        return
    _warned.add(path)
    text = f"{', '.join(scenes)} {WARNING}"
    logger.warning(text)
    if not bpy.app.background:
        present(bpy.context.window_manager).popup_menu(lambda menu, _: _draw(menu, text), title="HGS", icon="ERROR")


def _draw(menu: Any, text: str) -> None:
    for line in textwrap.wrap(text, LINE):
        menu.layout.label(text=line)


def register() -> None:
    """Called when the extension is enabled."""
    bpy.app.handlers.save_post.append(on_save)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.app.handlers.save_post.remove(on_save)
    _warned.clear()
