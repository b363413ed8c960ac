# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: a mesh of loose vertices, four for each Gaussian, that is deformed in place of a splat object.

Blender's own modifiers deform it on every version, on 5.3's point clouds too, which take no modifiers of that kind.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.types import Armature, Mesh, NodesModifier, Object
from mathutils.bvhtree import BVHTree

from ..compat import get_input, set_input
from ..core.binding import PROBES, bone_weights, in_triangles, probe_points
from ..core.splats import Array
from ..data import get_values, set_values
from ..nodes.display import harmonics_degree, last_modifiers
from ..nodes.modifiers import add_modifier, find_modifier
from ..typed import SplatObject, present
from .deform_nodes import NAME, NUMBER, REST, SIGNATURE, deform_group
from .follow_nodes import CORNERS, LOCAL, follow_group

WEIGHT_STEPS = 64
"""Steps to which weights of bones are rounded, so that vertices of one weight are set together."""


LATTICE_MARGIN = 1.05
"""Side of a new lattice over the extent of the splats: beyond its outermost points it deforms nothing evenly."""


class DeformRefused(ValueError):  # noqa: N818
    """Why nothing was bound; the message is for the user."""


def deform_of(obj: Object) -> NodesModifier | None:
    """The modifier that deforms a splat object, or None."""
    return find_modifier(obj, SIGNATURE)


def probes_of(obj: Object) -> Object | None:
    """The probes of a splat object, or None."""
    modifier = deform_of(obj)
    found: Object | None = None if modifier is None else get_input(modifier, "Probes")
    return found


def add_probes(obj: SplatObject) -> Object:
    """The probes of a splat object, with the modifier that follows them; made if there are none."""
    known = probes_of(obj)
    if known is not None:
        return known
    position = get_values(obj.data, "position")
    points, step = probe_points(position)
    mesh = bpy.data.meshes.new(f"{obj.name} probes")
    mesh.vertices.add(len(points))
    mesh.vertices.foreach_set("co", points.ravel())
    probes = bpy.data.objects.new(mesh.name, mesh)  # in no collection: it is nothing to look at
    probes.parent = obj
    set_values(obj.data, NUMBER, "INT", np.arange(len(position)))
    set_values(obj.data, REST, "FLOAT_VECTOR", position)
    modifier = deform_of(obj) or add_modifier(obj, NAME, deform_group(harmonics_degree(obj.data)))
    set_input(modifier, "Probes", probes)
    set_input(modifier, "Step", step)
    last = last_modifiers(obj)
    if last:
        obj.modifiers.move(len(obj.modifiers) - 1, list(obj.modifiers).index(last[0]))
    return probes


def remove_probes(obj: SplatObject) -> None:
    """Take the deformation away: splats are where they were."""
    probes, modifier = probes_of(obj), deform_of(obj)
    if modifier is not None:
        obj.modifiers.remove(modifier)
    for name in (NUMBER, REST):
        if name in obj.data.attributes:
            obj.data.attributes.remove(obj.data.attributes[name])
    if probes is not None:
        mesh = probes.data
        bpy.data.objects.remove(probes)
        if isinstance(mesh, Mesh) and not mesh.users:
            bpy.data.meshes.remove(mesh)


def bind_lattice(obj: SplatObject, lattice: Object) -> None:
    """Let a lattice deform a splat object."""
    modifier: Any = add_probes(obj).modifiers.new(lattice.name, "LATTICE")
    modifier.object = lattice


def bind_curve(obj: SplatObject, curve: Object, axis: str) -> None:
    """Let a splat object run along a curve by its own ``axis`` (POS_X, ...)."""
    modifier: Any = add_probes(obj).modifiers.new(curve.name, "CURVE")
    modifier.object, modifier.deform_axis = curve, axis


def bind_armature(obj: SplatObject, armature: Object) -> None:
    """Let the bones of an armature, which is at rest, hold a splat object: each Gaussian the four nearest ones.

    Raises:
        DeformRefused: if it has no bones that deform.
    """
    data = armature.data
    bones = [bone for bone in data.bones if bone.use_deform] if isinstance(data, Armature) else []
    if not bones:
        raise DeformRefused(f"{armature.name} has no bones that deform")
    to_splats = np.array(obj.matrix_world.inverted_safe() @ armature.matrix_world, np.float64)
    heads, tails = (np.array([getattr(bone, name) for bone in bones], np.float64) @ to_splats[:3, :3].T
                    + to_splats[:3, 3] for name in ("head_local", "tail_local"))  # fmt: skip
    weights = bone_weights(get_values(obj.data, "position").astype(np.float64), heads, tails)
    probes = add_probes(obj)
    steps = np.round(weights * WEIGHT_STEPS).astype(int)
    for bone, column in zip(bones, steps.T, strict=True):
        group = probes.vertex_groups.get(bone.name) or probes.vertex_groups.new(name=bone.name)
        for step in np.unique(column[column > 0]).tolist():
            vertices = PROBES * np.flatnonzero(column == step)[:, None] + np.arange(PROBES)
            group.add(vertices.ravel().tolist(), step / WEIGHT_STEPS, "REPLACE")
    modifier: Any = probes.modifiers.new(armature.name, "ARMATURE")
    modifier.object = armature


def bind_mesh(obj: SplatObject, proxy: Object) -> None:
    """Let a splat object follow the triangles of a mesh, which are at rest as the mesh's own data are.

    Raises:
        DeformRefused: if the mesh has no triangles, its modifiers change how many vertices it has, or something
            deforms the splats already.
    """
    mesh = proxy.data
    assert isinstance(mesh, Mesh)
    if probes_of(obj) is not None:
        raise DeformRefused(f"{obj.name} is deformed already; remove that, and let {proxy.name} be deformed instead")
    evaluated: Any = proxy.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    if len(evaluated.vertices) != len(mesh.vertices):
        raise DeformRefused(
            f"the modifiers of {proxy.name} make {len(evaluated.vertices)} vertices of {len(mesh.vertices)}; splats "
            "follow a mesh whose modifiers only move them (apply Subdivision and the like first)"
        )
    vertices, triangles = _triangles(mesh, np.array(obj.matrix_world.inverted_safe() @ proxy.matrix_world, np.float64))
    if not len(triangles):
        raise DeformRefused(f"{proxy.name} has no triangles")
    position = get_values(obj.data, "position")
    tree: Any = BVHTree.FromPolygons(vertices.tolist(), triangles.tolist(), all_triangles=True)
    nearest = np.array([tree.find_nearest(place)[2] for place in position.tolist()])
    probes = add_probes(obj)
    chosen = np.repeat(triangles[nearest], PROBES, 0)  # all four of a Gaussian, so that they move as one
    points, _ = probe_points(position)
    data: Any = probes.data
    for column, name in enumerate(CORNERS):
        set_values(data, name, "INT", chosen[:, column])
    set_values(data, LOCAL, "FLOAT_VECTOR", in_triangles(points.astype(np.float64), vertices[chosen]))
    set_input(add_modifier(probes, proxy.name, follow_group()), "Mesh", proxy)


def _triangles(mesh: Mesh, matrix: Array) -> tuple[Array, Array]:
    """Vertices (V, 3), moved by ``matrix``, and the triangles (T, 3) that have an area."""
    mesh.calc_loop_triangles()
    places, corners = np.empty(3 * len(mesh.vertices), np.float32), np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", places)
    mesh.loop_triangles.foreach_get("vertices", corners)
    vertices = places.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    triangles = corners.reshape(-1, 3)
    edges = vertices[triangles[:, 1:]] - vertices[triangles[:, :1]]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    return vertices, triangles[area > 1e-6 * max(area.max(initial=0), 1e-12)]


def new_lattice(context: bpy.types.Context, obj: SplatObject, points: int) -> Object:
    """A lattice around a splat object, which it moves along with, of ``points`` points a side."""
    data = bpy.data.lattices.new(f"{obj.name} lattice")
    data.points_u = data.points_v = data.points_w = points
    lattice = bpy.data.objects.new(data.name, data)
    position = get_values(obj.data, "position")
    low, high = position.min(0), position.max(0)
    lattice.parent = obj
    lattice.location, lattice.scale = (
        ((low + high) / 2).tolist(),
        (LATTICE_MARGIN * np.maximum(high - low, 1e-3)).tolist(),
    )
    present(context.collection).objects.link(lattice)
    return lattice
