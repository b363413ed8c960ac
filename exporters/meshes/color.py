"""Colours of points on a surface: the average of the Gaussians there, as vertex colours or as a texture."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from PIL.Image import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from hgs_toolkit.exporters.meshes.density import splat
from hgs_toolkit.exporters.meshes.splats import Floats, VisibleSplats
from hgs_toolkit.exporters.meshes.voxels import Grid

COLORS = ("vertex", "texture", "none")

FAINT = 1e-6
"""Weight below which no Gaussian reaches a point; it takes the colour of the nearest that is reached."""

HIDDEN_WEIGHT = 0.01
"""Weight of Gaussians that take no part in the visible surface: they count where there is nothing else."""


THICKEN = 0.5
"""Least thickness for colours, in widths: the surface runs a little beside the discs and must not lose their colour."""


class ColorField:
    """The colour at any point: sum(w c) / sum(w) over the Gaussians there, interpolated on the grid."""

    def __init__(self, splats: VisibleSplats, weights: Floats, grid: Grid, device: torch.device | str = "cpu") -> None:
        amounts = (splats.opacities * np.maximum(weights, HIDDEN_WEIGHT))[:, None]
        values = np.concatenate([amounts, amounts * splats.colors], axis=1)
        self.grid = grid
        thick = replace(splats, scales=np.maximum(splats.scales, THICKEN * splats.scales[:, 1:2]))
        self.sums = splat(thick, values, grid, device)  # (4, X, Y, Z): weight, then weighted red, green, blue

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.uint8]:
        """sRGB bytes (M, 3) at world positions (M, 3)."""
        weight, *rgb = (self.grid.sample(channel, points) for channel in self.sums)
        reached = weight > FAINT
        colors = np.stack(rgb, axis=-1) / np.maximum(weight, FAINT)[:, None]
        if not reached.all() and reached.any():
            from scipy.spatial import cKDTree

            colors[~reached] = colors[reached][cKDTree(points[reached]).query(points[~reached])[1]]
        return np.asarray(np.rint(np.clip(colors, 0, 1) * 255), np.uint8)


class Texture(NamedTuple):
    """What a textured mesh shows.

    Attributes:
        uvs: (V, 2) in 0..1, v upwards.
        image: sRGB; its top row is at v = 1.
    """

    uvs: NDArray[np.float64]
    image: Image


def vertex_colors(mesh: trimesh.Trimesh) -> NDArray[np.uint8] | None:
    """sRGB bytes (V, 3), None where the mesh has no colours at its vertices."""
    visual = mesh.visual
    if not isinstance(visual, ColorVisuals) or visual.kind != "vertex":
        return None
    return np.asarray(visual.vertex_colors[:, :3], np.uint8)


def texture(mesh: trimesh.Trimesh) -> Texture | None:
    """The mesh's texture, None where it has none."""
    visual = mesh.visual
    if not isinstance(visual, TextureVisuals) or not isinstance(visual.material, PBRMaterial):
        return None
    return Texture(np.asarray(visual.uv, np.float64), visual.material.baseColorTexture)


def color_kind(mesh: trimesh.Trimesh) -> str:
    """Which of COLORS a mesh has."""
    if texture(mesh) is not None:
        return "texture"
    return "none" if vertex_colors(mesh) is None else "vertex"


def paint_vertices(mesh: trimesh.Trimesh, field: ColorField) -> trimesh.Trimesh:
    """The mesh with the colour of every vertex, sRGB."""
    mesh.visual = ColorVisuals(mesh, vertex_colors=field(mesh.vertices))
    return mesh
