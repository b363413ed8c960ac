# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that every scene of a file carries."""

from __future__ import annotations

from typing import Generic, TypeVar

import bpy

from ..typed import present

Settings = TypeVar("Settings", bound=bpy.types.PropertyGroup)


class SceneSettings(Generic[Settings]):
    """A group of properties of scenes, under a name such as ``hgs_seeds`` that scripts can use as well."""

    def __init__(self, name: str, kind: type[Settings]) -> None:
        self.name, self.kind = name, kind

    def of(self, scene: bpy.types.Scene | None) -> Settings:
        """Those of ``scene``, which a context always has."""
        settings: Settings = getattr(present(scene), self.name)
        return settings

    def register(self) -> None:
        """Give them to all scenes; the group must be registered."""
        pointer = bpy.props.PointerProperty(type=self.kind)  # type: ignore[func-returns-value]  # it returns a property
        setattr(bpy.types.Scene, self.name, pointer)

    def unregister(self) -> None:
        """Take them away."""
        delattr(bpy.types.Scene, self.name)
