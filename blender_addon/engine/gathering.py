# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussians that a camera of Blender sees: those of every object and instance, after all modifiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, TypeGuard

import numpy as np
from bpy.types import Camera, Depsgraph, DepsgraphObjectInstance, Object

from ..core.harmonics import COUNTS, HARMONICS
from ..core.projection import Lens, Solids, in_camera, joined
from ..core.rotations import turned_each
from ..core.splats import PLAIN, SLOPE, TURN, ActivatedSplats, Array
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


class ObjectTable:
    """The objects of an image, numbered as they are found.

    Attributes:
        names: of each, by its number.
        indices: the number that the user gave it (Pass Index).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.indices: list[int] = []
        self._numbers: dict[str, int] = {}

    def number(self, obj: Object) -> int:
        """The number of ``obj``; instances of one object share theirs."""
        if obj.name not in self._numbers:
            self._numbers[obj.name] = len(self.names)
            self.names.append(obj.name)
            self.indices.append(obj.pass_index)
        return self._numbers[obj.name]


class Gathered(NamedTuple):
    """N Gaussians that a camera sees."""

    solids: Solids
    owners: Array  # (N,) numbers of their objects
    levels: Array  # (N,) -1 for the background
    cut: Array  # (N,) whether their objects are holdouts


def gather(
    depsgraph: Depsgraph, to_camera: Array, table: ObjectTable | None = None, *, parallel: bool = False
) -> Gathered:
    """All Gaussians that are visible to the camera, in its coordinates; their objects are added to ``table``."""
    table = table or ObjectTable()
    known: dict[int, tuple[ActivatedSplats, Array]] = {}
    parts = [NOTHING]
    marks: list[tuple[int, Array, bool]] = []
    for instance, data in splat_instances(depsgraph):
        key = data.as_pointer()  # on 5.3 the session_uid of all evaluated point clouds is 0
        if key not in known:
            known[key] = read_evaluated(data), read_levels(data)
        splats, levels = known[key]
        matrix = np.array(instance.matrix_world, np.float64)
        parts.append(in_camera(splats, to_camera @ matrix, parallel=parallel))
        marks.append((table.number(present(instance.object)), levels, is_cut(instance, depsgraph)))
    return Gathered(
        joined(parts),
        np.concatenate([np.empty(0, np.int32), *(np.full(len(levels), owner, np.int32) for owner, levels, _ in marks)]),
        np.concatenate([np.empty(0, np.int32), *(levels for _, levels, _ in marks)]),
        np.concatenate([np.empty(0, bool), *(np.full(len(levels), cut) for _, levels, cut in marks)]),
    )


def splat_instances(depsgraph: Depsgraph) -> Iterator[tuple[DepsgraphObjectInstance, SplatData]]:
    """Objects and instances of Gaussians that cameras see, with their evaluated data."""
    for instance in depsgraph.object_instances:
        data = getattr(instance.object, "data", None)
        if is_seen(instance) and holds_splats(data):
            yield instance, data


def is_seen(instance: DepsgraphObjectInstance) -> bool:
    """Whether an object, and what makes an instance of it, are visible to cameras."""
    makers = [instance.object, instance.parent if instance.is_instance else None]
    return instance.show_self and all(maker.visible_camera for maker in makers if maker is not None)


def is_cut(instance: DepsgraphObjectInstance, depsgraph: Depsgraph) -> bool:
    """Whether an object, or what makes an instance of it, is a holdout by itself or by its collection."""
    makers = [instance.object, instance.parent if instance.is_instance else None]
    return any(
        maker.is_holdout or present(maker.original).holdout_get(view_layer=depsgraph.view_layer)
        for maker in makers if maker is not None
    )  # fmt: skip


def read_levels(data: SplatData) -> Array:
    """Levels (N,) of evaluated data, in the order of :func:`read_evaluated`; 0 where there is no tree."""
    if "level" not in data.attributes:
        return np.zeros(len(get_values(data, "radiance:base")[:: _step(data)]), np.int32)
    return get_values(data, "level")[:: _step(data)]


def _step(data: SplatData) -> int:
    """From one Gaussian's values to the next one's among those of evaluated data."""
    # Cards are sorted from the back, and equal depths are to be in the file's order.
    return -CORNERS if _is_cards(data) else 1


def _is_cards(data: SplatData) -> bool:
    return CENTER in data.attributes and len(getattr(data, "polygons", ())) > 0


def read_evaluated(data: SplatData) -> ActivatedSplats:
    """Gaussians of evaluated data: the cards that the display makes of them, or points."""

    def read(name: str) -> Array:
        return get_values(data, name)[:: _step(data)]

    count = COUNTS[harmonics_degree(data)]
    base = read(PLAIN if PLAIN in data.attributes else "radiance:base")
    columns = [read(f"{HARMONICS}{index}") for index in range(count)]
    harmonics = np.stack(columns, 1) if columns else np.zeros((len(base), 0, 3), np.float32)
    if SLOPE in data.attributes:
        harmonics = harmonics / read(SLOPE)[:, None]
    if TURN in data.attributes:
        harmonics = turned_each(harmonics, read(TURN))
    return ActivatedSplats(
        read(CENTER if _is_cards(data) else "position"), read("scale"), read("rotation"), base, harmonics
    )  # fmt: skip


def holds_splats(data: object) -> TypeGuard[SplatData]:
    """Whether evaluated data hold Gaussians that can be drawn."""
    attributes = getattr(data, "attributes", None)
    return attributes is not None and all(name in attributes for name in ("radiance:base", "scale", "rotation"))
