# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the exact engine, which every scene carries."""

from __future__ import annotations

import bpy

from ..typed import present
from .gpu_refusals import try_again

ENGINE = "HGS_EXACT"
"""Identifier of the engine."""

NAME = "hgs_exact"
"""Property of scenes that holds the settings."""


def _try_gpu_again(_settings: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    """Whoever touches the switch has the graphics card tried once more."""
    try_again()


class HgsExactSettings(bpy.types.PropertyGroup):
    """How the exact engine draws."""

    samples: bpy.props.IntProperty(
        name="Samples",
        description="Images that are averaged for depth of field and motion blur, each through another point of the "
        "lens at another moment; without either there is one",
        default=32, min=2, max=4096,
    )  # fmt: skip
    use_level: bpy.props.BoolProperty(
        name="Level",
        description="Pass of the level that contributes most, plus 2; 1 is the background, 0 nothing",
        default=False,
    )
    use_gpu: bpy.props.BoolProperty(
        name="Graphics Card in 3D Views",
        description="Draw 3D views by the graphics card; off, or where it fails, by the processor",
        default=True,
        update=_try_gpu_again,
    )


def exact_settings(scene: bpy.types.Scene | None) -> HgsExactSettings:
    """Those of ``scene``, which a context always has."""
    settings: HgsExactSettings = getattr(present(scene), NAME)
    return settings


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HgsExactSettings)
    pointer = bpy.props.PointerProperty(type=HgsExactSettings)  # type: ignore[func-returns-value]  # as in ui
    setattr(bpy.types.Scene, NAME, pointer)


def unregister() -> None:
    """Called when it is disabled."""
    delattr(bpy.types.Scene, NAME)
    bpy.utils.unregister_class(HgsExactSettings)
