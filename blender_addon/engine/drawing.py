# SPDX-License-Identifier: GPL-3.0-or-later
"""One image of everything that a camera sees, and what there is to know about its pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from bpy.types import Depsgraph

from ..core.projection import Lens, Solids, cropped, project
from ..core.rasterizing import OnProgress, SplatImage, rasterize
from ..core.splats import Array
from .gathering import Gathered, ObjectTable, gather
from .solid_objects import SurfaceLayer, draw_solids

NORMALS, LEVELS, OWNERS = "normals", "levels", "owners"
"""What can be known about pixels besides."""


class Drawn(NamedTuple):
    """An image.

    Attributes:
        picture: the Gaussians; holdouts are black.
        shown: (H, W) how far Gaussians that are no holdouts cover a pixel.
        surface: what other objects show behind them; None without any.
        known: sums over the Gaussians of a pixel, weighted by their shares: NORMALS (H, W, 3) in the camera's axes,
            LEVELS (H, W, L) shares of the levels from -1 on, OWNERS (H, W, K) shares of the objects of ``table``.
        table: the objects.
    """

    picture: SplatImage
    shown: Array
    surface: SurfaceLayer | None
    known: dict[str, Array]
    table: ObjectTable


def draw(
    depsgraph: Depsgraph, to_camera: Array, lens: Lens, part: tuple[int, int, int, int], *,
    wanted: frozenset[str] = frozenset(), table: ObjectTable | None = None,
    tell: Callable[[str], None] | None = None, progress: OnProgress | None = None,
) -> Drawn | None:  # fmt: skip
    """The part (left, top, width, height) of an image; None if it was stopped.

    Args:
        to_camera: (4, 4) from the world to the camera, OpenCV's axes.
        wanted: of NORMALS, LEVELS and OWNERS.
        table: objects of other images of the same scene, to which new ones are added.
        tell: is told what is being done.
        progress: as :func:`~.rasterizing.rasterize` calls it.
    """
    tell = tell or (lambda _: None)
    table = ObjectTable() if table is None else table
    surface = draw_solids(depsgraph, to_camera, lens, part, table)
    tell("Collecting Gaussians")
    gathered = gather(depsgraph, to_camera, table, parallel=lens.orthographic)
    solids = gathered.solids
    if gathered.cut.any():
        solids = solids._replace(colors=np.where(gathered.cut[:, None], 0.0, solids.colors))
    splats = cropped(project(solids, lens), *part)
    tell(f"Drawing {len(splats.depths):,} Gaussians")
    columns = _columns(gathered, splats.rows, wanted, len(table.names), parallel=lens.orthographic)
    further = np.concatenate(list(columns.values()), 1) if columns else None
    limits = None if surface is None else surface.depths
    picture = rasterize(splats, *part[2:], limits=limits, further=further, progress=progress)
    if picture is None:
        return None
    ends = np.cumsum([values.shape[1] for values in columns.values()])
    known = dict(zip(columns, np.split(picture.sums, ends[:-1], -1), strict=True)) if columns else {}
    shown = known["shown"][..., 0] if "shown" in known else picture.alphas
    return Drawn(picture, shown, surface, known, table)


def _columns(
    gathered: Gathered, rows: Array, wanted: frozenset[str], objects: int, *, parallel: bool
) -> dict[str, Array]:  # fmt: skip
    """What is summed up besides, as columns (M, C) for the Gaussians ``rows`` (M,)."""
    columns: dict[str, Array] = {}
    shows = ~gathered.cut[rows]
    if gathered.cut.any():
        columns["shown"] = shows[:, None].astype(np.float32)
    if NORMALS in wanted:
        columns[NORMALS] = _normals(gathered.solids, rows, parallel=parallel) * shows[:, None]
    if LEVELS in wanted:
        columns[LEVELS] = _one_hot(gathered.levels[rows] + 1, int(gathered.levels.max(initial=0)) + 2, shows)
    if OWNERS in wanted:
        columns[OWNERS] = _one_hot(gathered.owners[rows], objects, shows)
    return columns


def _one_hot(numbers: Array, count: int, shows: Array) -> Array:
    columns = np.zeros((len(numbers), count), np.float32)
    columns[np.arange(len(numbers)), numbers] = shows
    return columns


def _normals(solids: Solids, rows: Array, *, parallel: bool) -> Array:
    """Unit vectors (M, 3) along the shortest axes of Gaussians, towards the camera."""
    axes, points = solids.axes[rows], solids.points[rows]
    lengths = np.linalg.norm(axes, axis=1)  # (M, 3) of the columns
    shortest = lengths.argmin(1)
    normals = np.take_along_axis(axes, shortest[:, None, None], 2)[..., 0]
    if len(rows):
        # The shortest axis of a needle seen from its end is short to nothing: its direction is lost with its length.
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    away = normals[:, 2] if parallel else (normals * points).sum(1)
    result: Array = normals * np.where(away > 0, -1.0, 1.0)[:, None]
    return result
