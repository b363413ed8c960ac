"""Simple hulls for physics engines: one convex hull, or several whose union follows the mesh (coacd, an extra)."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError, MissingExtraError
from hgs_toolkit.exporters.meshes.placement import MeshPlacement, place_meshes
from hgs_toolkit.exporters.meshes.settings import Collision
from hgs_toolkit.exporters.meshes.simplify import decimate
from hgs_toolkit.files import atomic_path

logger = logging.getLogger(__name__)

MAX_VERTICES = 128
"""Number of vertices of a hull at most: engines limit them to 255, and fewer are quicker."""

DECOMPOSED_FACES = 4_000
"""Number of triangles of the mesh that is decomposed: more take minutes and change next to nothing."""

CONCAVITY = 0.05
"""Depth to which hulls may fill hollows, as a share of the size of the mesh: coacd's default."""


def check_collision(kind: Collision) -> None:
    """Raise a MissingExtraError if a decomposition is wanted and coacd is not installed."""
    if kind == "decomposed" and importlib.util.find_spec("coacd") is None:
        raise MissingExtraError("coacd", "collision", "a decomposed collision hull")


def collision_path(path: Path) -> Path:
    """Where the hull of the mesh ``path`` goes: beside it, an .obj with an object for each convex part."""
    return path.with_name(f"{path.stem}.collision.obj")


def collision_hulls(mesh: trimesh.Trimesh, kind: Collision) -> list[trimesh.Trimesh]:
    """Convex meshes of at most MAX_VERTICES vertices each that together stand for ``mesh``.

    They hold it but for what the reduction to so few vertices cuts off: about a hundredth of its size.

    Raises:
        MissingExtraError: as :func:`check_collision`.
        FormatError: if the mesh has no volume.
    """
    check_collision(kind)
    if kind == "convex":
        return [_convex(np.asarray(mesh.vertices))]
    import coacd

    coacd.set_log_level("error")
    joined = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    joined.merge_vertices(merge_tex=True, merge_norm=True)
    simple = decimate(joined, DECOMPOSED_FACES, strict=False)
    parts = coacd.run_coacd(
        coacd.Mesh(simple.vertices, simple.faces), threshold=CONCAVITY, seed=0,
        decimate=True, max_ch_vertex=MAX_VERTICES,
    )  # fmt: skip
    return [_convex(np.asarray(vertices, np.float64)) for vertices, _ in parts]


def _convex(points: NDArray[np.float64]) -> trimesh.Trimesh:
    """The convex hull of points (N, 3), of its outermost MAX_VERTICES vertices if it has more."""
    try:
        hull: trimesh.Trimesh = trimesh.convex.convex_hull(points)
    except Exception as error:  # qhull's errors have no common type
        raise FormatError("the mesh is flat and has no collision hull; leave --collision out") from error
    if len(hull.vertices) > MAX_VERTICES:
        directions = _sphere(MAX_VERTICES)
        hull = trimesh.convex.convex_hull(hull.vertices[np.unique((hull.vertices @ directions.T).argmax(axis=0))])
    return hull


def _sphere(count: int) -> NDArray[np.float64]:
    """Directions (count, 3) spread evenly: a Fibonacci lattice."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)


def write_collision(
    path: Path, mesh: trimesh.Trimesh, hulls: list[trimesh.Trimesh], placement: MeshPlacement, *, force: bool = True
) -> Path:
    """Write the hulls of ``mesh`` where they belong to the file ``path``, in the unit and axes of that file."""
    placed = place_meshes({"": mesh} | {f"hull_{number}": hull for number, hull in enumerate(hulls)}, placement)
    del placed[""]  # it only decided about size and floor
    lines, first = [], 1
    for name, hull in placed.items():
        lines.append(f"o {name}")
        lines += ["v {:.7g} {:.7g} {:.7g}".format(*vertex) for vertex in hull.vertices]
        lines += ["f {} {} {}".format(*(face + first)) for face in hull.faces]
        first += len(hull.vertices)
    target = collision_path(path)
    with atomic_path(target, force=force) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return target
