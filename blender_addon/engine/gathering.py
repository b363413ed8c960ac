# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussians that a camera of Blender sees: those of every object and instance, after all modifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

import numpy as np
from bpy.types import Camera, Depsgraph, Object

from ..core.harmonics import COUNTS, HARMONICS
from ..core.projection import Lens, Solids, in_camera, joined
from ..core.splats import ActivatedSplats, Array
from ..data import get_values
from ..nodes.display import harmonics_degree
from ..nodes.display_nodes import CENTER
from ..typed import SplatData, present

CORNERS = 4
"""Number of a card's corners, each of which carries the Gaussian's values."""

OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Blender's camera axes (y up, z backward) to ours."""


NOTHING = Solids(np.empty((0, 3)), np.empty((0, 3, 3)), np.empty((0, 3)), np.empty(0))


class NotDrawable(ValueError):  # noqa: N818
    """Why there is no image, for the user."""


def lens_of(camera: Object, depsgraph: Depsgraph, width: int, height: int) -> Lens:
    """The lens of a camera object for images of so many pixels.

    Raises:
        NotDrawable: if it is a panorama's, or no camera.
    """
    data = camera.data
    if not isinstance(data, Camera) or data.type == "PANO":
        raise NotDrawable("the exact engine draws perspective and orthographic cameras, no panoramic ones")
    render = present(depsgraph.scene).render
    p = camera.calc_matrix_camera(
        depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
    )
    return replace(lens_of_matrix(np.array(p), width, height), near=data.clip_start, far=data.clip_end)


def lens_of_matrix(p: Array, width: int, height: int) -> Lens:
    """The lens that OpenGL's (4, 4) projection matrix ``p`` means for images of so many pixels."""
    fx, fy = 0.5 * width * p[0][0], 0.5 * height * p[1][1]
    parallel = bool(p[3][3])
    side = 3 if parallel else 2
    sign = 1 if parallel else -1
    cx, cy = 0.5 * width * (1 + sign * p[0][side]), 0.5 * height * (1 - sign * p[1][side])
    # Depths that come out at -1 and 1.
    with np.errstate(divide="ignore"):  # a far plane beyond 32 bits
        near, far = ((p[2][3] - end) / p[2][2] if parallel else p[2][3] / (p[2][2] + end) for end in (-1, 1))
    return Lens(width, height, fx, fy, cx, cy, float(near), float(far), parallel)


def world_to_camera(camera: Object) -> Array:
    """(4, 4) to the camera's coordinates, OpenCV axes; Blender films through a camera without its scale."""
    return OPENCV @ np.linalg.inv(np.array(camera.matrix_world.normalized(), np.float64))


def gather(depsgraph: Depsgraph, to_camera: Array, *, parallel: bool = False) -> Solids:
    """All visible Gaussians in the camera's coordinates."""
    known: dict[int, ActivatedSplats] = {}
    parts = [NOTHING]
    for instance in depsgraph.object_instances:
        data = getattr(instance.object, "data", None)
        if not instance.show_self or not holds_splats(data):
            continue
        key = data.as_pointer()  # on 5.3 the session_uid of all evaluated point clouds is 0
        if key not in known:
            known[key] = read_evaluated(data)
        matrix = np.array(instance.matrix_world, np.float64)
        parts.append(in_camera(known[key], to_camera @ matrix, parallel=parallel))
    return joined(parts)


def read_evaluated(data: SplatData) -> ActivatedSplats:
    """Gaussians of evaluated data: the cards that the display makes of them, or points."""
    is_cards = CENTER in data.attributes and len(getattr(data, "polygons", ())) > 0
    step = -CORNERS if is_cards else 1  # cards are sorted from the back, and equal depths are to be in the file's order

    def read(name: str) -> Array:
        return get_values(data, name)[::step]

    count = COUNTS[harmonics_degree(data)]
    base = read("radiance:base")
    harmonics = [read(f"{HARMONICS}{index}") for index in range(count)]
    return ActivatedSplats(
        read(CENTER if is_cards else "position"), read("scale"), read("rotation"), base,
        np.stack(harmonics, 1) if harmonics else np.zeros((len(base), 0, 3), np.float32),
    )  # fmt: skip


def holds_splats(data: object) -> TypeGuard[SplatData]:
    """Whether evaluated data hold Gaussians that can be drawn."""
    attributes = getattr(data, "attributes", None)
    return attributes is not None and all(name in attributes for name in ("radiance:base", "scale", "rotation"))
