# SPDX-License-Identifier: GPL-3.0-or-later
"""What the types of Blender's interface (fake-bpy-module) leave open, said in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import bpy

Thing = TypeVar("Thing")

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]
"""What an operator returns: one of these words."""

SplatData = bpy.types.Mesh | bpy.types.PointCloud
"""What can hold Gaussians: vertices of a mesh, or points."""


def present(thing: Thing | None) -> Thing:
    """``thing``, where it is never missing although its type says it might: a context's scene, a panel's layout."""
    assert thing is not None
    return thing


if TYPE_CHECKING:

    class SplatObject(bpy.types.Object):
        """An object that holds Gaussians: of :func:`data.is_splats`."""

        data: SplatData

    class _FileHelper:
        """What Blender's helpers bring along, which the stubs have without types."""

        filepath: str

        def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
            """Ask for a file, then execute."""

    class ImportHelper(_FileHelper):
        """Operators that read a file."""

    class ExportHelper(_FileHelper):
        """Operators that write a file."""

else:
    from bpy_extras.io_utils import ExportHelper, ImportHelper  # noqa: F401 (for operators to take from here)

    SplatObject = bpy.types.Object
