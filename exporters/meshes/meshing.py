"""Gaussians to triangles, from end to end: grid, field, surface, parts, decimation, colour."""

from __future__ import annotations

from dataclasses import dataclass, replace

import trimesh

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.exporters.meshes.color import COLORS, ColorField, paint_vertices
from hgs_toolkit.exporters.meshes.isosurface import KEEP, isosurface, select_parts
from hgs_toolkit.exporters.meshes.shell import density_level
from hgs_toolkit.exporters.meshes.simplify import MIN_FACES, decimate
from hgs_toolkit.exporters.meshes.splats import surface_splats
from hgs_toolkit.exporters.meshes.surface import indicator
from hgs_toolkit.exporters.meshes.texture import bake, check_texture
from hgs_toolkit.exporters.meshes.voxels import check_resolution, fit_grid
from hgs_toolkit.gaussians import GaussianHierarchy

METHODS = ("surface", "shell")

MIN_LEVEL_FACES = 1_000
"""Triangles that the coarsest level of detail may have, if all of them may have more."""


@dataclass(frozen=True)
class MeshSettings:
    """How a mesh is made; impossible combinations are refused here, before anything is computed."""

    method: str = "surface"
    """``surface``, a closed solid by oriented Poisson reconstruction, or ``shell``, the density cut at a level, which
    has two walls."""
    resolution: int = 256
    """Grid points along the longest side; time and memory grow with its cube."""
    faces: int = 50_000
    """Triangles to reduce the mesh to; 0 keeps all."""
    color: str = "vertex"
    """``vertex`` (sRGB bytes at the vertices), ``texture`` (baked; needs the extra 'texture') or ``none``."""
    keep: str = "largest"
    """The ``largest`` part, or ``all`` parts but crumbs of under 1 % of the largest's area."""
    level: float | None = None
    """Of ``shell`` only: the summed opacity at the surface; None finds one by Otsu's method."""

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("color", COLORS), ("keep", KEEP)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} '{getattr(self, name)}' is unknown; expected one of: {', '.join(known)}")
        if self.faces and self.faces < MIN_FACES:
            raise ConfigError(f"{self.faces} faces; expected at least {MIN_FACES}, or 0 to keep every triangle")
        if self.level is not None and self.method != "shell":
            raise ConfigError(f"a level was given for the method '{self.method}', which finds its own; use 'shell'")
        check_resolution(self.resolution)
        if self.color == "texture":
            check_texture(self.faces)


def mesh(
    scene: GaussianHierarchy,
    method: str = "surface",
    *,
    resolution: int = MeshSettings.resolution,
    faces: int = MeshSettings.faces,
    color: str = MeshSettings.color,
    keep: str = MeshSettings.keep,
    level: float | None = None,
) -> trimesh.Trimesh:
    """A triangle mesh of one scene, in its frame (y up) and units; arguments as in :class:`MeshSettings`.

    ``scene`` is a batch of one. Its background is left out; on a CUDA device it is gridded there.

    Returns:
        The mesh; ``metadata["hgs"]`` names method, resolution, voxel size and the number of triangles before reduction.

    Raises:
        ConfigError: if an argument is unknown, out of range, or asks for more memory than there is.
        FormatError: if too few Gaussians are visible, or they enclose nothing.
        ShapeError: if a value is NaN or infinite, or the scene is not a batch of one.
        MissingExtraError: if a texture is wanted and xatlas is not installed.
    """
    return build_mesh(scene, MeshSettings(method, resolution, faces, color, keep, level))


def build_mesh(scene: GaussianHierarchy, settings: MeshSettings) -> trimesh.Trimesh:
    """As :func:`mesh`, with settings that were checked before."""
    splats = surface_splats(scene)
    grid = fit_grid(splats, settings.resolution)
    solid = settings.method == "surface"
    field = (
        indicator(splats, grid, scene.device) if solid else density_level(splats, grid, scene.device, settings.level)
    )
    whole = select_parts(isosurface(field.values, field.surface, grid), settings.keep, fill=solid)
    weights = field.weights
    del field  # the colours need its memory
    result = decimate(whole, settings.faces, strict=solid) if settings.faces else whole
    if settings.color != "none":
        colors = ColorField(splats, weights, grid, scene.device)
        result = bake(result, colors) if settings.color == "texture" else paint_vertices(result, colors)
    result.metadata["hgs"] = {
        "method": settings.method, "resolution": settings.resolution, "voxel": grid.voxel, "gaussians": len(splats),
        "faces_before_reduction": len(whole.faces),
    }  # fmt: skip
    return result


def mesh_levels(scene: GaussianHierarchy, settings: MeshSettings) -> dict[str, trimesh.Trimesh]:
    """Levels of detail from the tree, finest first: the meshes of the levels 0 to k by name, for every k.

    Each has half the triangles of the one before. Raises as :func:`mesh`.
    """
    meshes = {}
    for last in reversed(range(scene.num_levels)):
        faces = settings.faces >> (scene.num_levels - 1 - last)
        fewest = min(MIN_LEVEL_FACES, settings.faces)
        name = f"levels 0-{last}" if last else "level 0"
        part = scene.levels(range(last + 1), background=False)
        meshes[name] = build_mesh(part, replace(settings, faces=max(faces, fewest)))
    return meshes
