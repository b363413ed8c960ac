# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinary objects in the exact engine's images: they hide what is behind them, and are shaded plainly.

One ray through the middle of every pixel, so that a surface and a Gaussian are compared where the Gaussian is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from bpy.types import Depsgraph, DepsgraphObjectInstance, Material, Mesh, Object
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ..core.projection import Lens
from ..core.splats import Array
from ..typed import present
from .gathering import ObjectTable, holds_splats, is_cut, is_seen

KINDS = ("MESH", "CURVE", "SURFACE", "FONT", "META")
"""Types of objects that have surfaces."""

DEFAULT_COLOR = (0.8, 0.8, 0.8)
"""Blender's colour of an object without a material."""

SHADE = 0.4
"""Brightness of a surface seen edge-on, as a share of one that faces the camera."""


class SurfaceLayer(NamedTuple):
    """What pixels show where no Gaussian is in front."""

    depths: Array  # (H, W) along the camera's axis, infinite where there is no surface
    colors: Array  # (H, W, 3) linear
    covers: Array  # (H, W) 1 where a surface is seen, 0 elsewhere and where it is a holdout
    normals: Array  # (H, W, 3) in the camera's coordinates, towards it
    owners: Array  # (H, W) numbers of the objects, -1 where there is no surface


class Triangles(NamedTuple):
    """Triangles in the camera's coordinates."""

    vertices: Array  # (V, 3)
    corners: Array  # (T, 3) numbers of vertices
    colors: Array  # (T, 4) linear, and 0 for a holdout
    owner: int  # number of the object


def draw_solids(
    depsgraph: Depsgraph, to_camera: Array, lens: Lens, part: tuple[int, int, int, int], table: ObjectTable
) -> SurfaceLayer | None:
    """The part (left, top, width, height) of the image that is asked for; None if there is nothing but Gaussians.

    The objects are added to ``table``.
    """
    meshes = list(surfaces(depsgraph, to_camera, table))
    if not meshes:
        return None
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    corners = np.concatenate([mesh.corners + start for mesh, start in zip(meshes, starts, strict=False)])
    colors = np.concatenate([mesh.colors for mesh in meshes])
    owners = np.repeat([mesh.owner for mesh in meshes], [len(mesh.corners) for mesh in meshes])
    tree: Any = BVHTree.FromPolygons(vertices.tolist(), corners.tolist(), all_triangles=True)  # untyped in the stubs

    width, height = part[2:]
    depths = np.full(height * width, np.inf)
    shades, normals = np.zeros((height * width, 4)), np.zeros((height * width, 3))
    hit = np.full(height * width, -1)
    for index, (origin, direction) in enumerate(_rays(lens, part)):
        place, normal, triangle, _ = tree.ray_cast(origin, direction)
        if place is not None:
            depths[index], hit[index] = place.z, owners[triangle]
            normals[index] = normal if normal.dot(direction) < 0 else -normal
            shades[index] = colors[triangle]
            shades[index, :3] *= SHADE + (1 - SHADE) * abs(normal.dot(direction.normalized()))
    shape = (height, width)
    covers = shades[:, 3]
    return SurfaceLayer(
        depths.reshape(shape), (shades[:, :3] * covers[:, None]).reshape(*shape, 3), covers.reshape(shape),
        normals.reshape(*shape, 3), hit.reshape(shape),
    )  # fmt: skip


def _rays(lens: Lens, part: tuple[int, int, int, int]) -> Iterator[tuple[Vector, Vector]]:
    """Start and direction through the middle of every pixel, row by row, from the near plane on."""
    left, top, width, height = part
    for row in range(height):
        y = (top + row + 0.5 - lens.cy) / lens.fy
        for column in range(width):
            x = (left + column + 0.5 - lens.cx) / lens.fx
            if lens.orthographic:
                yield Vector((x, y, lens.near)), Vector((0, 0, 1))
            else:
                yield lens.near * Vector((x, y, 1)), Vector((x, y, 1))


def surfaces(depsgraph: Depsgraph, to_camera: Array, table: ObjectTable) -> Iterator[Triangles]:
    """Triangles of every object that has a surface and is no splat object; the objects are added to ``table``."""
    for instance, obj in _surface_instances(depsgraph):
        mesh = obj.to_mesh()
        if mesh is not None:
            matrix = to_camera @ np.array(instance.matrix_world, np.float64)
            cover = 0.0 if is_cut(instance, depsgraph) else 1.0
            materials = [slot.material for slot in obj.material_slots]
            triangles = _triangles(mesh, matrix, materials, cover, table.number(obj))
            if len(triangles.corners):
                yield triangles
        obj.to_mesh_clear()


def surfaces_key(depsgraph: Depsgraph) -> tuple[object, frozenset[str]]:
    """What tells surfaces at other places, of other colours or other objects apart, and the names of their objects."""
    key, names = [], set()
    for instance, obj in _surface_instances(depsgraph):
        colors = tuple(tuple(slot.material.diffuse_color) for slot in obj.material_slots if slot.material)
        matrix = np.array(instance.matrix_world, np.float64).tobytes()
        key.append((obj.name, matrix, colors, is_cut(instance, depsgraph)))
        names.add(obj.name)
        if instance.is_instance and instance.parent is not None:
            names.add(instance.parent.name)
    return key, frozenset(names)


def _surface_instances(depsgraph: Depsgraph) -> Iterator[tuple[DepsgraphObjectInstance, Object]]:
    for instance in depsgraph.object_instances:
        obj = present(instance.object)
        if is_seen(instance) and obj.type in KINDS and not holds_splats(obj.data):
            yield instance, obj


def _triangles(
    mesh: Mesh, matrix: Array, materials: list[Material | None], cover: float, owner: int
) -> Triangles:  # fmt: skip
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    count = len(mesh.loop_triangles)
    corners, slots = np.empty(3 * count, np.int32), np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("vertices", corners)
    mesh.loop_triangles.foreach_get("material_index", slots)
    palette = [material.diffuse_color[:3] if material else DEFAULT_COLOR for material in materials] or [DEFAULT_COLOR]
    colors = np.array(palette)[np.clip(slots, 0, len(palette) - 1)]
    points = vertices.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return Triangles(points, corners.reshape(-1, 3), np.hstack([colors, np.full((count, 1), cover)]), owner)
