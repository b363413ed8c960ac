# SPDX-License-Identifier: GPL-3.0-or-later
"""Empty cubes that say where something is done: cropped, graded."""

from __future__ import annotations

import bpy
import numpy as np

from ..data import get_values
from ..typed import SplatObject, present

MARGIN = 1.05
"""Factor by which a new box is larger than what it holds."""


def add_box(context: bpy.types.Context, obj: SplatObject, name: str) -> bpy.types.Object:
    """An empty cube around the object's Gaussians, which goes where the object goes; the empty."""
    # Where modifiers make the Gaussians, the data have none.
    own = obj.data.attributes.domain_size("POINT") > 0
    places = get_values(obj.data, "position") if own else np.array(obj.bound_box)
    low, high = places.min(0), places.max(0)
    box = bpy.data.objects.new(name, None)
    box.empty_display_type = "CUBE"
    box.parent = obj
    box.location = (low + high) / 2
    box.scale = np.maximum((high - low) / 2 * MARGIN, 1e-3)
    present(context.collection).objects.link(box)
    return box
