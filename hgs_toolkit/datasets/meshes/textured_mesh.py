"""A textured mesh as flat arrays of triangles, as the renderer takes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh

from hgs_toolkit.cameras import world_rotation
from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.meshes.library import MeshFile
from hgs_toolkit.datasets.meshes.materials import Material, read_material
from hgs_toolkit.datasets.meshes.obj_text import GRAY
from hgs_toolkit.datasets.meshes.reading import read_geometries
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.srgb import linear_to_srgb

logger = logging.getLogger(__name__)

CREASE_COSINE = np.float32(np.cos(np.radians(40)))
"""Cosine of the angle, 40 degrees, between smooth and flat normal beyond which a corner is drawn flat."""


@dataclass(frozen=True)
class TexturedMesh:
    """F triangles in the y-up world, centred, inside the unit sphere.

    Attributes:
        corners: (F, 3, 3) float32 positions.
        normals: (F, 3, 3) float32 unit normals of the corners.
        uvs: (F, 3, 2) float32 texture coordinates, v up; 0 where there are none.
        colors: (F, 3, 4) float32 sRGB and alpha of the corners; 1 where the mesh has none.
        surface: (F,) index into ``surfaces``.
        surfaces: materials.
    """

    corners: Values
    normals: Values
    uvs: Values
    colors: Values
    surface: npt.NDArray[np.intp]
    surfaces: tuple[Material, ...]

    @property
    def bytes(self) -> int:
        """Memory of arrays and textures."""
        arrays = (self.corners, self.normals, self.uvs, self.colors, self.surface)
        textures = (surface.texture for surface in self.surfaces if surface.texture is not None)
        return sum(array.nbytes for array in arrays) + sum(texture.nbytes for texture in textures)


def load_textured_mesh(mesh: MeshFile, up: str = "y", texture_size: int = 512) -> TexturedMesh:
    """Read a model, set it upright, centre its bounding box and scale it into the unit sphere.

    Args:
        mesh: the file.
        up: the file's up axis, ``y`` or ``z`` (where the catalogue does not give the rotation).
        texture_size: larger textures are averaged down to this side; a few times the image's size is enough.

    Raises:
        DataError: naming the model, if it cannot be read or has no triangles or no extent.
    """
    pieces = [
        _piece(geometry, transform, mesh, texture_size)
        for geometry, transform in read_geometries(mesh)
        if len(geometry.faces)
    ]
    if not pieces:
        raise DataError(f"{mesh.label} has no triangles; expected a surface")
    corners, normals, uvs, colors = (np.concatenate([piece[key] for piece in pieces]) for key in range(4))
    rotation = world_rotation("z_up", "y_up").double().numpy() if up == "z" else np.eye(3)
    rotation = rotation if mesh.rotation is None else mesh.rotation
    return TexturedMesh(
        corners=_fit(corners @ rotation.T, mesh.label),
        normals=(normals @ rotation.T).astype(np.float32),
        uvs=uvs.astype(np.float32),
        colors=colors.astype(np.float32),
        surface=np.repeat(np.arange(len(pieces)), [len(piece[0]) for piece in pieces]),
        surfaces=tuple(piece[4] for piece in pieces),
    )


def _piece(
    geometry: Any, transform: npt.NDArray[np.float64], mesh: MeshFile, texture_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Values, Values, Material]:
    """Corners, corner normals, uvs and corner colours of one trimesh mesh, and its material."""
    faces = np.asarray(geometry.faces)
    if np.shape(geometry.vertices)[1:] != (3,):
        raise DataError(f"{mesh.label} has vertices without three coordinates")
    if faces.min() < 0 or faces.max() >= len(geometry.vertices):
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise DataError(f"{mesh.label} has a face with vertex {wrong}, but {len(geometry.vertices)} vertices from 0 on")
    vertices = np.asarray(geometry.vertices) @ transform[:3, :3].T + transform[:3, 3]
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-300)
    smooth = (np.asarray(geometry.vertex_normals) @ np.linalg.pinv(transform[:3, :3]))[faces]
    smooth /= np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-300)
    cosine = (smooth * flat[:, None]).sum(axis=-1, keepdims=True)
    normals = np.where(np.abs(cosine) > CREASE_COSINE, smooth * np.sign(cosine), flat[:, None])
    try:
        surface = read_material(getattr(geometry.visual, "material", None), texture_size)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{mesh.label} has a broken texture: {error}") from error
    uvs = _uvs(geometry)
    if uvs is None and surface.texture is not None:
        logger.warning("%s has a texture but no texture coordinates; it is drawn in its middle colour", mesh.label)
        surface = Material(surface.color * _mean_color(surface.texture))
    placed = np.zeros((len(faces), 3, 2), dtype=np.float32) if uvs is None else uvs[faces]
    colors = _corner_colors(geometry, faces, linear=mesh.is_gltf)
    return corners, normals, placed, colors, surface


def _uvs(geometry: Any) -> Values | None:
    """(V, 2) texture coordinates, None where there are none, or broken ones."""
    uv = getattr(geometry.visual, "uv", None)
    if uv is None or len(uv) != len(geometry.vertices) or not np.isfinite(uv).all():
        return None
    return _float32(uv)


def _mean_color(texture: npt.NDArray[np.uint8]) -> Values:
    """(4,) mean colour and alpha of a texture, 0 to 1."""
    return _float32(texture.reshape(-1, 4).mean(axis=0), scale=255)


def _corner_colors(geometry: Any, faces: npt.NDArray[np.int64], *, linear: bool) -> Values:
    """Vertex or face colours (F, 3, 4); gray where a mesh has neither colours nor a material, 1 beside a material.

    Args:
        linear: whether the colours beside a material are linear light, as those of glTF 2.0 (3.7.2.1).
    """
    visual = geometry.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        color = visual.vertex_attributes.get("color")
        if color is None or len(color) != len(geometry.vertices):
            return np.ones((len(faces), 3, 4), dtype=np.float32)
        return _rgba(np.asarray(color), linear=linear)[faces]
    if visual.kind == "vertex":
        return _float32(visual.vertex_colors, scale=255)[faces]
    if visual.kind == "face":
        return np.repeat(_float32(visual.face_colors, scale=255)[:, None], 3, axis=1)
    return np.broadcast_to(np.array([*GRAY, 1], dtype=np.float32), (len(faces), 3, 4))


def _rgba(colors: npt.NDArray[Any], *, linear: bool) -> Values:
    """Colours (V, 3 | 4), whole numbers or in 0..1, as sRGB and alpha (V, 4) in 0..1."""
    scale = float(np.iinfo(colors.dtype).max) if np.issubdtype(colors.dtype, np.integer) else 1.0
    rgba = np.ones((len(colors), 4), dtype=np.float32)
    rgba[:, : colors.shape[1]] = np.clip(_float32(colors, scale), 0, 1)
    if linear:
        rgba[:, :3] = linear_to_srgb(rgba[:, :3])
    return rgba


def _float32(values: npt.ArrayLike, scale: float = 1.0) -> Values:
    scaled: Values = np.asarray(values, dtype=np.float32) / np.float32(scale)
    return scaled


def _fit(corners: npt.NDArray[np.float64], label: str) -> Values:
    """The corners moved and scaled so that their bounding box is centred in the unit sphere, which they touch."""
    points = corners.reshape(-1, 3)
    if not np.isfinite(points).all():
        raise DataError(f"{label} has vertices that are not finite")
    centered = corners - (points.min(axis=0) + points.max(axis=0)) / 2
    radius = np.sqrt((centered**2).sum(axis=-1).max())
    if radius == 0:
        raise DataError(f"{label} has no extent: all its vertices are in one place")
    return _float32(centered / radius)
