"""From Gaussians to a mesh, step by step: grid, scalar field, isosurface, parts, decimation, colour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import trimesh

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.meshes.color import ColorField, paint_vertices
from hgs_toolkit.exporters.meshes.grid import fit_grid
from hgs_toolkit.exporters.meshes.isosurface import isosurface, select_parts
from hgs_toolkit.exporters.meshes.joining import join_parts
from hgs_toolkit.exporters.meshes.outlines import seen_outset
from hgs_toolkit.exporters.meshes.poisson import find_walls, surface_at
from hgs_toolkit.exporters.meshes.settings import Color, Keep, MeshSettings, Method
from hgs_toolkit.exporters.meshes.shell import density_level
from hgs_toolkit.exporters.meshes.simplify import decimate
from hgs_toolkit.exporters.meshes.texture import TEXTURE_SIZE, bake
from hgs_toolkit.exporters.meshes.visible import visible_gaussians
from hgs_toolkit.gaussians import GaussianHierarchy

MIN_LEVEL_FACES = 1_000
"""Number of triangles below which no level of detail is reduced, unless the finest has fewer."""


def mesh(
    scene: GaussianHierarchy,
    method: Method = MeshSettings.method,
    *,
    resolution: int = MeshSettings.resolution,
    faces: int | None = MeshSettings.faces,
    color: Color = MeshSettings.color,
    keep: Keep = MeshSettings.keep,
    level: float | None = None,
    outset: float | None = MeshSettings.outset,
) -> trimesh.Trimesh:
    """A triangle mesh of one scene, in its frame (y up) and units; arguments as in :class:`MeshSettings`.

    ``scene`` is a batch of one. Its background is left out. On a CUDA device the grid is computed there.

    Returns:
        The mesh; ``metadata["hgs"]`` names method, resolution, voxel size, the number of triangles before reduction,
        that of bridges between parts (see :mod:`hgs_toolkit.exporters.meshes.joining`) and the outset.

    Raises:
        ConfigError: if an argument is unknown, out of range, or asks for more memory than there is.
        FormatError: if too few Gaussians are visible, or they enclose nothing.
        ShapeError: if a value is NaN or infinite, or the scene is not a batch of one.
        MissingExtraError: if a texture is wanted and xatlas is not installed.
    """
    return build_mesh(scene, MeshSettings(method, resolution, faces, color, keep, level, outset))


def build_mesh(scene: GaussianHierarchy, settings: MeshSettings) -> trimesh.Trimesh:
    """The mesh of a scene; :func:`mesh` with the settings as one object."""
    return reconstruct(scene, settings).finished(settings.triangles)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A surface with every triangle and without colours, from which meshes of any size are made.

    Attributes:
        whole: the surface.
        colors: the colour at any point; None if none is wanted.
        settings: how the surface was made.
        facts: what ``metadata["hgs"]`` of each mesh says.
    """

    whole: trimesh.Trimesh
    colors: ColorField | None
    settings: MeshSettings
    facts: dict[str, Any]

    def finished(self, faces: int, texture_size: int = TEXTURE_SIZE) -> trimesh.Trimesh:
        """The surface with about ``faces`` triangles (0: all) and its colours."""
        strict = self.settings.method == "surface"
        result = decimate(self.whole, faces, strict=strict) if faces else self.whole
        result = result.copy() if result is self.whole else result
        if self.colors is not None:
            textured = self.settings.color == "texture"
            result = bake(result, self.colors, texture_size) if textured else paint_vertices(result, self.colors)
        result.metadata["hgs"] = self.facts
        return result


def reconstruct(scene: GaussianHierarchy, settings: MeshSettings) -> Reconstruction:
    """The surface of a scene; raises as :func:`mesh`."""
    gaussians = visible_gaussians(scene)
    grid = fit_grid(gaussians, settings.resolution)
    solid = settings.method == "surface"
    outset = settings.outset
    if solid:
        walls = find_walls(gaussians, grid, scene.device)
        if outset is None:
            outset = seen_outset(scene, walls, settings.resolution)
        field = surface_at(walls, outset)
        del walls  # what follows needs its memory
    else:
        field = density_level(gaussians, grid, scene.device, settings.level)
    bridges = join_parts(field.values, field.surface) if solid and settings.keep == "largest" else 0
    whole = select_parts(isosurface(field.values, field.surface, grid), settings.keep, fill=solid)
    shown, weights = replace(gaussians, means=field.points), field.weights
    del field  # the colours need its memory
    colors = None if settings.color == "none" else ColorField(shown, weights, grid, scene.device)
    facts = {
        "method": settings.method, "resolution": settings.resolution, "voxel": grid.voxel, "gaussians": len(gaussians),
        "faces_before_reduction": len(whole.faces), "bridges": bridges, **({"outset": outset} if solid else {}),
    }  # fmt: skip
    return Reconstruction(whole, colors, settings, facts)


def mesh_levels(scene: GaussianHierarchy, settings: MeshSettings) -> dict[str, trimesh.Trimesh]:
    """Levels of detail by name, finest first: for every level k that has Gaussians a mesh of the levels up to k.

    Each has at most half the triangles of the one before it. Raises as :func:`mesh`.
    """
    depths = [depth for depth, count in enumerate(scene.level_counts) if count]
    if not depths:
        raise FormatError("the scene has no Gaussians outside its background; expected levels to make meshes of")
    meshes = dict[str, trimesh.Trimesh]()
    faces, fewest = settings.triangles, min(MIN_LEVEL_FACES, settings.triangles)
    for last in reversed(depths):
        name = f"levels {depths[0]}-{last}" if last > depths[0] else f"level {last}"
        part = scene.levels(range(last + 1), background=False)
        meshes[name] = build_mesh(part, replace(settings, faces=max(faces, fewest)))
        faces = len(meshes[name].faces) // 2
    return meshes
