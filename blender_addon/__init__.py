# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender extension of hgs_toolkit.

Modules that know ``bpy`` are imported when the extension is enabled, so that the others can be used and tested with
any Python.
"""

from __future__ import annotations

import importlib
from types import ModuleType

MODULES = (
    "ui.preferences",
    "ui.import_operator",
    "ui.transforms",
    "ui.scene_setup",
    "engine.exact_settings",
    "engine.exact_engine",
    "engine.save_warning",
    "ui.exact_panels",
    "ui.viewing",
    "ui.appearance",
    "ui.levels",
    "edits.cleanup",
    "edits.brush",
    "edits.grade",
    "edits.scatter",
    "deform.deforming",
    "ui.exporting",
    "ui.player",
    "ui.cameras",
    "ui.generate",
    "ui.seeds",
    "ui.mesh_making",
    "ui.asset_library",
)
"""Modules with ``register`` and ``unregister``, in the order in which they are registered."""


def _modules() -> list[ModuleType]:
    return [importlib.import_module(f".{name}", __package__) for name in MODULES]


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for module in _modules():
        module.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled, and when it ends."""
    for module in reversed(_modules()):
        module.unregister()
