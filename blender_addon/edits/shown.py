# SPDX-License-Identifier: GPL-3.0-or-later
"""What a splat object shows, with everything that was done to it, as Gaussians."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ..core.splats import TURN_X, ActivatedSplats, Array, SplatError
from ..core.transforming import kept, moved
from ..data import get_values, is_splats, whole_splats
from ..nodes.display import undrawn
from ..nodes.levels_nodes import HIDDEN
from ..typed import SplatData, SplatObject


def shown_splats(context: bpy.types.Context, obj: SplatObject, frame: str) -> ActivatedSplats:
    """What ``obj`` shows, in the world's place, in the axes of ``frame``: modifiers, filters and transforms applied.

    Raises:
        SplatError: if it shows no Gaussian, is hidden or being edited, or its modifiers leave no Gaussians.
    """
    if obj.mode != "OBJECT":
        raise SplatError(f"{obj.name} is being edited; leave the edit mode first")
    if not obj.visible_get(view_layer=context.view_layer):  # Blender evaluates no modifiers of it
        raise SplatError(f"{obj.name} is hidden in the viewport; show it first")
    with undrawn(obj):
        evaluated = obj.evaluated_get(context.evaluated_depsgraph_get())
        if not is_splats(evaluated):
            raise SplatError(f"the modifiers of {obj.name} leave no Gaussians; move or remove those that make others")
        splats, keep = whole_splats(obj, evaluated.data), _shown(evaluated.data)
        matrix = np.array(Matrix.Rotation(-TURN_X[frame], 4, "X") @ evaluated.matrix_world)
    if not keep.any():
        raise SplatError(f"{obj.name} shows no Gaussian: levels, filters or its crop box hide them all")
    splats.frame = frame
    return moved(kept(splats, keep), matrix)


def _shown(data: SplatData) -> Array:
    """Which Gaussians of evaluated data are shown, (N,) truth values."""
    if HIDDEN in data.attributes:
        return ~get_values(data, HIDDEN)
    return np.ones(data.attributes.domain_size("POINT"), bool)
