"""Colours of points on a surface: the average of the Gaussians there, as vertex colours or as a texture."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from PIL.Image import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import Grid
from hgs_toolkit.exporters.meshes.settings import Color
from hgs_toolkit.exporters.meshes.visible import Floats, VisibleGaussians

FAINT = 1e-6
"""Weight below which no Gaussian reaches a point; the point then takes the colour of the nearest reached point."""

HIDDEN_WEIGHT = 0.01
"""Weight of Gaussians that are hidden inside the solid: they give a colour only where no other Gaussian does."""

THICKEN = 0.5
"""Thickness, in widths, to which thin discs are thickened for colours: the surface runs a little beside the discs and
must still meet their colour."""


class ColorField:
    """The colour at any point: sum(w c) / sum(w) over the Gaussians there, interpolated on the grid."""

    def __init__(
        self, gaussians: VisibleGaussians, weights: Floats, grid: Grid, device: torch.device | str = "cpu"
    ) -> None:
        amounts = (gaussians.opacities * np.maximum(weights, HIDDEN_WEIGHT))[:, None]
        values = np.concatenate([amounts, amounts * gaussians.colors], axis=1)
        self.grid = grid
        thick = replace(gaussians, scales=np.maximum(gaussians.scales, THICKEN * gaussians.scales[:, 1:2]))
        self.sums = sum_on_grid(thick, values, grid, device)  # (4, X, Y, Z): weight, then weighted red, green, blue

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
    """The texture of a mesh and its texture coordinates.

    Attributes:
        uvs: (V, 2) in 0..1, v upwards.
        image: sRGB; its top row is at v = 1.
    """

    uvs: NDArray[np.float64]
    image: Image


def vertex_colors(mesh: trimesh.Trimesh) -> NDArray[np.uint8] | None:
    """The sRGB bytes (V, 3) of the vertices, None if the mesh has no vertex colours."""
    visual = mesh.visual
    if not isinstance(visual, ColorVisuals) or visual.kind != "vertex":
        return None
    return np.asarray(visual.vertex_colors[:, :3], np.uint8)


def texture(mesh: trimesh.Trimesh) -> Texture | None:
    """The mesh's texture, None if it has none."""
    visual = mesh.visual
    if not isinstance(visual, TextureVisuals) or not isinstance(visual.material, PBRMaterial):
        return None
    return Texture(np.asarray(visual.uv, np.float64), visual.material.baseColorTexture)


def png(image: Image) -> bytes:
    """The image as a PNG file."""
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def color_kind(mesh: trimesh.Trimesh) -> Color:
    """The kind of colour that a mesh has."""
    if texture(mesh) is not None:
        return "texture"
    return "none" if vertex_colors(mesh) is None else "vertex"


def paint_vertices(mesh: trimesh.Trimesh, field: ColorField) -> trimesh.Trimesh:
    """Give every vertex of the mesh its sRGB colour, in place; returns the mesh."""
    mesh.visual = ColorVisuals(mesh, vertex_colors=field(mesh.vertices))
    return mesh
