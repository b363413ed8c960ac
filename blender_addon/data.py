# SPDX-License-Identifier: GPL-3.0-or-later
"""What a splat object is: data with the attributes of Blender's own splats, plus ``level`` and ``parent``."""

from __future__ import annotations

from typing import Any, TypeGuard

import bpy
import numpy as np

from .compat import has_point_clouds, resize
from .core.harmonics import COUNTS, HARMONICS
from .core.references import bare_map, chosen
from .core.rotations import turned_each
from .core.splats import INDEX, OFFSET, TURN, ActivatedSplats, Array
from .core.transforming import parents_by_index
from .typed import SplatData, SplatObject

VALUE_NAMES = {
    "FLOAT_VECTOR": "vector", "FLOAT_COLOR": "color", "FLOAT4": "vector", "QUATERNION": "value", "INT": "value",
    "BOOLEAN": "value",
}  # fmt: skip
"""Name of an element's value, by the attribute's type."""

NUMBER_TYPES: dict[str, type] = {"INT": np.int32, "BOOLEAN": np.bool_}
"""Numpy's types of attributes of whole numbers and truth values; all others are float32."""

REMEMBERED, REMEMBERED_PLACES, REMEMBERED_COUNT = "hgs_remembered", "hgs_remembered_places", "hgs_remembered_count"
"""Properties of data: the numbers of some Gaussians, their places, and how many Gaussians there were in all."""

LEVELS = "hgs_levels"
"""Property of data of no Gaussian: number of levels of those that modifiers make."""

WORLD_OFFSET = "hgs_offset"
"""Property of an object: what to add to its coordinates, in the axes of its file, to have those of the world."""

BARE_WARNING = (
    "its rotation or scale was applied to positions alone (Ctrl+A), so that its Gaussians no longer fit; run HGS > "
    "Appearance > Apply Splat Transform"
)
"""What is said of an object after :func:`bare_transform` found something, behind its name."""

BASE_TYPE = "FLOAT_COLOR"
"""Type of ``radiance:base``: geometry nodes mix all four numbers of a colour, Blender 5.3's own FLOAT4 they do not."""


def splat_data(name: str, splats: ActivatedSplats) -> SplatData:
    """A new point cloud, or mesh of vertices where point clouds cannot be made, with every attribute set."""
    data = _points(name, len(splats)) if has_point_clouds() else _vertices(name, len(splats))
    fill(data, splats)
    return data


def empty_data(name: str, harmonics: int, levels: int) -> SplatData:
    """Splat data of no Gaussian, for objects whose modifiers make them: attributes of so many harmonics, and the number
    of levels that these Gaussians will have."""
    data = _points(name, 0) if has_point_clouds() else _vertices(name, 0)
    kinds = {
        "scale": "FLOAT_VECTOR",
        "rotation": "QUATERNION",
        "radiance:base": BASE_TYPE,
        "level": "INT",
        "parent": "INT",
    }
    attributes: Any = data.attributes  # as in get_values
    for attribute, kind in kinds.items():
        attributes.new(attribute, kind, "POINT")
    for index in range(harmonics):
        attributes.new(f"{HARMONICS}{index}", "FLOAT_VECTOR", "POINT")
    data[LEVELS] = levels
    return data


def count_levels(data: SplatData) -> int:
    """Levels of the tree in splat data; 1 where there is none."""
    if LEVELS in data.keys():  # noqa: SIM118
        return int(data[LEVELS])
    return int(get_values(data, "level").max(initial=0)) + 1 if "level" in data.attributes else 1


def _points(name: str, count: int) -> bpy.types.PointCloud:
    cloud = bpy.data.pointclouds.new(name)
    resize(cloud, count)
    return cloud


def _vertices(name: str, count: int) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    return mesh


def fill(data: SplatData, splats: ActivatedSplats) -> None:
    """Set the attributes of ``data``, which has as many points; those of an earlier scene are replaced."""
    _drop_stale(data, splats)
    set_values(data, "position", "FLOAT_VECTOR", splats.position)
    set_values(data, "scale", "FLOAT_VECTOR", splats.scale)
    set_values(data, "rotation", "QUATERNION", splats.rotation)
    set_values(data, "radiance:base", BASE_TYPE, splats.base)
    for index in range(splats.harmonics.shape[1]):
        set_values(data, f"{HARMONICS}{index}", "FLOAT_VECTOR", splats.harmonics[:, index])
    if splats.level is not None and splats.parent is not None:
        set_values(data, "level", "INT", splats.level)
        set_values(data, "parent", "INT", splats.parent)
        set_values(data, INDEX, "INT", np.arange(len(splats)))
    _remember(data, splats.position)
    data.update_tag()


def _remember(data: SplatData, position: Array) -> None:
    """Keep some Gaussians' places, by which :func:`bare_transform` tells what was done to positions alone."""
    index = chosen(len(position))
    data[REMEMBERED_COUNT], data[REMEMBERED] = len(position), index.tolist()
    data[REMEMBERED_PLACES] = position[index].astype(np.float64).ravel().tolist()


def bare_transform(data: SplatData) -> Array | None:
    """The linear map (3, 3) that was applied to the positions of ``data`` and to nothing else, or None.

    Blender's own Apply (Ctrl+A) does that. Gaussians may have been deleted since, where they carry their numbers.
    """
    if data.get(REMEMBERED) is None:
        return None
    wanted = np.array(data[REMEMBERED][:], np.int64)
    before = np.array(data[REMEMBERED_PLACES][:], np.float64).reshape(-1, 3)
    place = wanted
    if data.attributes.domain_size("POINT") != data[REMEMBERED_COUNT]:
        if INDEX not in data.attributes:
            return None
        numbers = get_values(data, INDEX)
        order = np.argsort(numbers, kind="stable")
        place = order[np.minimum(np.searchsorted(numbers[order], wanted), len(order) - 1)] if len(order) else order
        there = numbers[place] == wanted[: len(place)]
        place, before = place[there], before[: len(place)][there]
    positions: Any = data.attributes["position"]  # whose elements' type the stubs do not know
    points = positions.data
    return bare_map(before, np.array([points[i].vector[:] for i in place.tolist()], np.float64).reshape(-1, 3))


def raw_splats(data: SplatData) -> ActivatedSplats:
    """The Gaussians of data, harmonics turned by TURN; ``level`` and ``parent`` as they are, where they are."""
    names = data.attributes.keys()
    count = sum(name.startswith(HARMONICS) for name in names)
    harmonics = [get_values(data, f"{HARMONICS}{index}") for index in range(count if count in COUNTS else 0)]
    position = get_values(data, "position")
    splats = ActivatedSplats(
        position, get_values(data, "scale"), get_values(data, "rotation"), get_values(data, "radiance:base"),
        np.stack(harmonics, 1) if harmonics else np.zeros((len(position), 0, 3), np.float32),
    )  # fmt: skip
    if "level" in names and "parent" in names:
        splats.level, splats.parent = get_values(data, "level"), get_values(data, "parent")
    if TURN in names:
        splats.harmonics = turned_each(splats.harmonics, get_values(data, TURN))
    return splats


def whole_splats(obj: SplatObject, data: SplatData) -> ActivatedSplats:
    """The Gaussians of ``data`` as files have them: parents are places, and the offset of ``obj`` is a fact.

    ``data`` may be those of ``obj`` or what its modifiers make of them; Gaussians may have been deleted in either.
    """
    splats = raw_splats(data)
    if splats.level is not None and splats.parent is not None:
        index = get_values(data, INDEX) if INDEX in data.attributes else np.arange(len(splats))
        splats.parent = parents_by_index(splats.level, splats.parent, index)
    if obj.get(WORLD_OFFSET) is not None:
        splats.facts[OFFSET] = [float(value) for value in obj[WORLD_OFFSET]]
    return splats


def _drop_stale(data: SplatData, splats: ActivatedSplats) -> None:
    """Remove what other Gaussians had and these have not: more harmonics, turns that harmonics wait for, a tree."""
    stale = [TURN, *(f"{HARMONICS}{index}" for index in range(splats.harmonics.shape[1], COUNTS[-1]))]
    stale += ["level", "parent"] if splats.level is None else []
    for name in stale:
        if name in data.attributes:
            data.attributes.remove(data.attributes[name])


def is_splats(obj: bpy.types.Object | None) -> TypeGuard[SplatObject]:
    """Whether an object holds Gaussians."""
    attributes = getattr(getattr(obj, "data", None), "attributes", None)
    return attributes is not None and "radiance:base" in attributes and "scale" in attributes


def active_splats(context: bpy.types.Context) -> SplatObject:
    """The active object, where ``poll`` has found that it holds Gaussians."""
    obj = context.object
    assert is_splats(obj)
    return obj


class OnSplats:
    """Operators that need a splat object to be active, and not one of another file."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object that may be changed must be active."""
        return is_splats(context.object) and context.object.is_editable


class SplatPanel(bpy.types.Panel):
    """A panel of the sidebar that needs a splat object to be active."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with splats."""
        return is_splats(context.object)


def bare_warnings(scene: bpy.types.Scene) -> list[str]:
    """A sentence for each splat object of a scene whose positions alone were turned or scaled."""
    return [
        f"{obj.name}: {BARE_WARNING}"
        for obj in scene.objects
        if is_splats(obj) and bare_transform(obj.data) is not None
    ]


def get_values(data: SplatData, name: str) -> Array:
    """Values (N,) or (N, k) of a point attribute."""
    attribute: Any = data.attributes[name]  # what elements call their value depends on the attribute's type
    key = VALUE_NAMES[attribute.data_type]
    width = {"FLOAT_VECTOR": 3, "INT": 1, "BOOLEAN": 1}.get(attribute.data_type, 4)
    values: Array = np.empty(len(attribute.data) * width, NUMBER_TYPES.get(attribute.data_type, np.float32))
    attribute.data.foreach_get(key, values)
    return values.reshape(-1, width) if width > 1 else values


def set_values(data: SplatData, name: str, kind: str, values: Array) -> None:
    """Set a point attribute of the type ``kind`` (FLOAT_VECTOR, INT, ...) to ``values`` (N, ...); made if missing."""
    attributes: Any = data.attributes  # as in get_values; and kinds may be newer than the stubs
    attribute = attributes.get(name)
    if attribute is None:
        attribute = attributes.new(name, kind, "POINT")
    flat: Array = np.ascontiguousarray(values, NUMBER_TYPES.get(kind, np.float32)).ravel()
    attribute.data.foreach_set(VALUE_NAMES[kind], flat)
