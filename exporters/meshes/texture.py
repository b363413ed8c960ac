"""Baked textures: xatlas (an extra) unwraps the mesh into charts, and every texel takes the colour of its point."""

from __future__ import annotations

import logging

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from hgs_toolkit.exporters.meshes.color import ColorField
from hgs_toolkit.exporters.meshes.settings import MAX_TEXTURED_FACES, check_texture

logger = logging.getLogger(__name__)

TEXTURE_SIZE = 1024
"""Height and width, texels."""

TEXEL_GAP = 4
"""Gap between charts, texels, so that smaller mip levels do not mix them."""


def bake(mesh: trimesh.Trimesh, field: ColorField, size: int = TEXTURE_SIZE) -> trimesh.Trimesh:
    """The mesh with UVs and a texture (size, size) of the colours in space; vertices at seams are doubled.

    Raises:
        MissingExtraError: if xatlas is not installed.
    """
    check_texture(MAX_TEXTURED_FACES)
    if len(mesh.faces) > MAX_TEXTURED_FACES:  # fewer would tear it; what was computed so far is not thrown away
        logger.warning("unwrapping %d triangles for a texture can take minutes", len(mesh.faces))
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = size, TEXEL_GAP, True
    atlas.generate(pack_options=pack)
    source, faces, uvs = atlas[0]
    uvs = np.asarray(uvs, np.float64)  # the atlas can be larger than asked for; its coordinates are shares of it
    positions = np.asarray(mesh.vertices)[source]
    image = Image.fromarray(_texels(positions, faces, uvs, field, size)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    material = PBRMaterial(baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0)
    return trimesh.Trimesh(
        positions, np.asarray(faces, np.int64), process=False, visual=TextureVisuals(uv=uvs, material=material),
        vertex_normals=mesh.vertex_normals[source],
    )  # fmt: skip


def _texels(
    positions: NDArray[np.float64], faces: NDArray[np.uint32], uvs: NDArray[np.float64], field: ColorField, size: int
) -> NDArray[np.uint8]:
    """(size, size, 3), row 0 at v = 0: the colour at the point of the surface that each texel shows."""
    face, weights = cover_texels(uvs[faces] * size, size)
    covered = face >= 0
    corners = positions[faces[face[covered]]]  # (T, 3, 3)
    image = np.zeros((size, size, 3), np.uint8)
    image[covered] = field(np.einsum("tk,tki->ti", weights[covered], corners))
    # Texels between the charts take the nearest colour, so that interpolation across a chart's edge finds its own.
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return np.asarray(image[tuple(nearest)])


def cover_texels(corners: NDArray[np.float64], size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which triangle covers each texel's centre, (size, size), -1 for none, and barycentric weights (size, size, 3).

    Args:
        corners: (F, 3, 2) in texels; the centre of texel [row, column] is (column + 0.5, row + 0.5).
    """
    face = np.full((size, size), -1, np.int64)
    weights = np.zeros((size, size, 3))
    low = np.clip(np.floor(corners.min(axis=1) - 0.5).astype(int), 0, size)
    high = np.clip(np.ceil(corners.max(axis=1) + 0.5).astype(int), 0, size)
    for index, (a, b, c) in enumerate(corners):
        area = _cross(b - a, c - a)
        if area == 0:
            continue
        columns, rows = (np.arange(low[index, k], high[index, k]) for k in (0, 1))
        points = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), axis=-1)  # (rows, columns, 2)
        bary = np.stack([_cross(c - b, points - b), _cross(a - c, points - c), _cross(b - a, points - a)], -1) / area
        inside = (bary >= -1e-9).all(axis=-1)
        block = (slice(low[index, 1], high[index, 1]), slice(low[index, 0], high[index, 0]))
        face[block][inside] = index
        weights[block][inside] = bary[inside]
    return face, weights


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
