# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply Splat Transform: what Ctrl+A does to meshes, done to positions, shapes and colours of Gaussians alike.

Blender's own *Apply* moves positions alone and leaves every Gaussian as large and turned as it was. Such a change is
found by Gaussians whose places were remembered at the import, and mended by the same operator.
"""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
from mathutils import Matrix

from ..core.splats import OFFSET
from ..core.transforming import moved
from ..data import WORLD_OFFSET, OnSplats, active_splats, bare_transform, fill, whole_splats
from ..deform.probes import deform_of
from ..nodes.morph import morphs_of
from ..typed import Outcome, SplatObject
from .player import FOLDER


class TransformRefused(ValueError):  # noqa: N818
    """Why a transform was not applied; the message is for the user."""


def apply_transform(obj: SplatObject) -> None:
    """Apply the object's own transform to its Gaussians, after any that was applied to their positions alone.

    Children keep their places in the world, and so does what the offset of the object's file stands for.

    Raises:
        TransformRefused: if something else would stay behind, or the object is being edited.
    """
    _check(obj)
    bare, matrix = bare_transform(obj.data), np.array(obj.matrix_basis, np.float64)
    linear = np.eye(4)
    linear[:3, :3] = matrix[:3, :3] if bare is None else matrix[:3, :3] @ bare
    splats = whole_splats(obj, obj.data)  # parents as places: Gaussians are numbered anew below
    position = splats.position @ matrix[:3, :3].T + matrix[:3, 3]
    turned = moved(splats, linear)
    fill(obj.data, replace(turned, position=position.astype(np.float32)))
    if OFFSET in turned.facts:
        obj[WORLD_OFFSET] = turned.facts[OFFSET]
    for child in obj.children:
        child.matrix_parent_inverse = obj.matrix_basis @ child.matrix_parent_inverse
    obj.matrix_basis = Matrix.Identity(4)


def _check(obj: SplatObject) -> None:
    """Raise :class:`TransformRefused` where a transform cannot be applied."""
    if obj.mode != "OBJECT":
        raise TransformRefused(f"{obj.name} is being edited; leave the edit mode first")
    if not obj.data.attributes.domain_size("POINT"):
        raise TransformRefused(f"{obj.name} has no Gaussians of its own; its modifiers make them")
    if morphs_of(obj):
        raise TransformRefused(f"{obj.name} has morphs, whose other seeds would stay behind; remove them first")
    if obj.get(FOLDER) is not None:
        raise TransformRefused(
            f"{obj.name} plays a sequence, and every frame brings Gaussians of its own; leave its transform as it is"
        )
    if deform_of(obj) is not None:
        raise TransformRefused(
            f"{obj.name} is deformed, and what deforms it would stay behind; run HGS > Deform > Remove Deformation"
        )
    if obj.data.users > 1:
        raise TransformRefused(
            f"{obj.data.users} objects share the data of {obj.name}; run Object > Relations > Make Single User first"
        )


class HGS_OT_apply_splat_transform(OnSplats, bpy.types.Operator):
    """Apply location, rotation and scale to the Gaussians themselves: places, shapes and colours."""

    bl_idname = "hgs.apply_splat_transform"
    bl_label = "Apply Splat Transform"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Apply it, or report why not."""
        try:
            apply_transform(active_splats(context))
        except TransformRefused as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def register() -> None:
    """Called when the extension is enabled."""
    bpy.utils.register_class(HGS_OT_apply_splat_transform)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.utils.unregister_class(HGS_OT_apply_splat_transform)
