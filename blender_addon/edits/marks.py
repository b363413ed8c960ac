# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians of an object are erased, which are selected in edit mode, which a mesh holds."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.types import NodesModifier, Object
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from mathutils.kdtree import KDTree

from ..core.splats import Array
from ..data import get_values, set_values
from ..nodes.modifiers import add_after_makers, find_modifier
from ..typed import SplatData, SplatObject
from .cleanup_nodes import ERASED, NAME, SIGNATURE, cleanup_group

SELECTED = ".selection"
"""Attribute in which Blender keeps what is selected of a point cloud."""


def add_cleanup(obj: SplatObject) -> NodesModifier:
    """Give a splat object the modifier that hides what is erased, after its morphs; the one it has, if it has one."""
    if found := cleanup_of(obj):
        return found
    return add_after_makers(obj, NAME, cleanup_group())


def cleanup_of(obj: SplatObject) -> NodesModifier | None:
    """The modifier of :func:`add_cleanup`, or None."""
    return find_modifier(obj, SIGNATURE)


def erased_of(data: SplatData) -> Array:
    """Which Gaussians are erased, (N,) truth values."""
    if ERASED in data.attributes:
        return get_values(data, ERASED)
    return np.zeros(data.attributes.domain_size("POINT"), bool)


def erase(obj: SplatObject, chosen: Array, *, restore: bool = False) -> int:
    """Erase (or restore) the Gaussians where ``chosen`` (N,) is true; how many it was new for."""
    before = erased_of(obj.data)
    after = before & ~chosen if restore else before | chosen
    set_values(obj.data, ERASED, "BOOLEAN", after)
    obj.data.update_tag()
    add_cleanup(obj)
    return int((before != after).sum())


def selected_of(obj: SplatObject) -> Array:
    """Which Gaussians are selected in edit mode, (N,) truth values; the object must be out of it."""
    data = obj.data
    selected = np.zeros(data.attributes.domain_size("POINT"), bool)
    if isinstance(data, bpy.types.Mesh):
        data.vertices.foreach_get("select", selected)
    elif SELECTED in data.attributes:
        selected = get_values(data, SELECTED)
    return selected


def select(obj: SplatObject, chosen: Array) -> None:
    """Make ``chosen`` (N,) what is selected in edit mode; the object must be out of it."""
    if isinstance(obj.data, bpy.types.Mesh):
        obj.data.vertices.foreach_set("select", chosen)
    else:
        set_values(obj.data, SELECTED, "BOOLEAN", chosen)
    obj.data.update_tag()


def nearest(body: Array, others: Array) -> Array:
    """Distances (M,) from points ``others`` (M, 3) to the nearest of ``body`` (N, 3)."""
    tree = KDTree(len(body))
    for index, place in enumerate(body.tolist()):
        tree.insert(place, index)
    tree.balance()
    distances: Any = [tree.find(place)[2] for place in others.tolist()]
    return np.array(distances, np.float64)


def inside(volume: Object, obj: SplatObject, depsgraph: bpy.types.Depsgraph) -> Array:
    """Which Gaussians of ``obj`` a closed mesh with normals outwards holds, (N,) truth values."""
    tree: Any = BVHTree.FromObject(volume, depsgraph)
    matrix = np.array(volume.matrix_world.inverted() @ obj.matrix_world)
    places = get_values(obj.data, "position") @ matrix[:3, :3].T + matrix[:3, 3]
    corners = np.array(volume.evaluated_get(depsgraph).bound_box)
    found: Array = ((places >= corners.min(0)) & (places <= corners.max(0))).all(1)
    up = Vector((0, 0, 1))
    for index in np.flatnonzero(found):
        _, normal, _, _ = tree.ray_cast(places[index].tolist(), up)
        found[index] = normal is not None and normal.z > 0
    return found
