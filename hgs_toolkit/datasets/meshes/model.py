"""A textured mesh as flat arrays: what the renderer needs and nothing else."""

from __future__ import annotations

import io
import logging
import posixpath
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from trimesh.resolvers import Resolver
from trimesh.visual.material import PBRMaterial

from hgs_toolkit.cameras import world_rotation
from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES
from hgs_toolkit.datasets.meshes.library import MeshFile
from hgs_toolkit.errors import DataError

logger = logging.getLogger(__name__)

MAX_MESH_BYTES = 1 << 29

MAX_TEXTURE_PIXELS = 1 << 26

GRAY = np.array([0.7, 0.7, 0.7, 1.0], dtype=np.float32)
"""Colour of surfaces that carry none."""

CREASE_COSINE = np.float32(np.cos(np.radians(40)))
"""Corners whose smooth normal leaves the face's by more than 40 degrees are drawn flat."""


@dataclass(frozen=True)
class Surface:
    """A material.

    Attributes:
        color: (4,) float32 sRGB and alpha in [0, 1]; multiplies the texture.
        texture: (h, w, 4) uint8 sRGB and straight alpha, first row on top; None without one.
    """

    color: Values
    texture: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Model:
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
    surfaces: tuple[Surface, ...]

    @property
    def bytes(self) -> int:
        """Memory of arrays and textures."""
        arrays = (self.corners, self.normals, self.uvs, self.colors, self.surface)
        textures = (surface.texture for surface in self.surfaces if surface.texture is not None)
        return sum(array.nbytes for array in arrays) + sum(texture.nbytes for texture in textures)


def load_model(mesh: MeshFile, up: str = "y", texture_size: int = 512) -> Model:
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
        for geometry, transform in _geometries(_parse(mesh))
        if len(geometry.faces)
    ]
    if not pieces:
        raise DataError(f"{mesh.label} has no triangles; expected a surface")
    corners, normals, uvs, colors = (np.concatenate([piece[key] for piece in pieces]) for key in range(4))
    rotation = world_rotation("z_up", "y_up").double().numpy() if up == "z" else np.eye(3)
    rotation = rotation if mesh.rotation is None else mesh.rotation
    return Model(
        corners=_fit(corners @ rotation.T, mesh.label),
        normals=(normals @ rotation.T).astype(np.float32),
        uvs=uvs.astype(np.float32),
        colors=colors.astype(np.float32),
        surface=np.repeat(np.arange(len(pieces)), [len(piece[0]) for piece in pieces]),
        surfaces=tuple(piece[4] for piece in pieces),
    )


class _Assets(Resolver):
    """Gives trimesh the files beside a model and remembers those it could not have, which trimesh passes over."""

    def __init__(self, mesh: MeshFile) -> None:
        self._mesh = mesh
        self.refused: list[str] = []

    def get(self, key: str) -> bytes:
        """The file ``key``, relative to the model; never one outside its folder or archive."""
        name = posixpath.normpath(posixpath.join(posixpath.dirname(self._mesh.name), key.strip().replace("\\", "/")))
        try:
            data = self._mesh.store.read(name, MAX_MESH_BYTES)
            if not name.lower().endswith((".mtl", ".bin")):
                _check_texture(data, name)
        except DataError as error:
            self.refused.append(str(error))
            raise FileNotFoundError(key) from error
        return data

    def write(self, name: str, data: Any) -> None:
        raise NotImplementedError

    def namespaced(self, namespace: str) -> Resolver:
        raise NotImplementedError

    def keys(self) -> list[str]:
        return self._mesh.store.names


def _check_texture(data: bytes, name: str) -> None:
    """Refuse what is no image, or too large to decode, from its header."""
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(f"the texture {name} has {len(data):,} bytes; expected at most {MAX_IMAGE_BYTES:,}")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"the texture {name} is not a readable image: {error}") from error
    if pixels > MAX_TEXTURE_PIXELS:
        raise DataError(f"the texture {name} has {pixels:,} pixels; expected at most {MAX_TEXTURE_PIXELS:,}")


def _parse(mesh: MeshFile) -> Any:
    """trimesh's scene or mesh of a file; missing materials and textures are logged."""
    data, assets = mesh.store.read(mesh.name, MAX_MESH_BYTES), _Assets(mesh)
    suffix = posixpath.splitext(mesh.name)[1][1:].lower()
    try:
        scene = trimesh.load(io.BytesIO(data), file_type=suffix, resolver=assets, process=False)
    except MemoryError:
        raise
    except Exception as error:  # trimesh's readers raise whatever they stumble over
        reason = "; ".join(dict.fromkeys(assets.refused)) or f"{type(error).__name__}: {error}"
        raise DataError(f"{mesh.label} cannot be read: {reason}") from error
    if assets.refused:
        reasons = "; ".join(dict.fromkeys(assets.refused))
        logger.warning("%s is drawn without some of its textures or materials: %s", mesh.label, reasons)
    return scene


def _geometries(scene: Any) -> list[tuple[Any, npt.NDArray[np.float64]]]:
    """The triangle meshes of a trimesh object and their transforms (4, 4), in a fixed order; points and lines have no
    surface and are left out.
    """
    if not isinstance(scene, trimesh.Scene):
        return [(scene, np.eye(4))] if isinstance(scene, trimesh.Trimesh) else []
    placed = [scene.graph[node] for node in sorted(scene.graph.nodes_geometry)]
    meshes = [(scene.geometry[name], np.asarray(transform)) for transform, name in placed]
    return [(mesh, transform) for mesh, transform in meshes if isinstance(mesh, trimesh.Trimesh)]


def _piece(
    geometry: Any, transform: npt.NDArray[np.float64], mesh: MeshFile, texture_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Values, Values, Surface]:
    """Corners, corner normals, uvs and corner colours of one trimesh mesh, and its material."""
    faces = np.asarray(geometry.faces)
    vertices = np.asarray(geometry.vertices) @ transform[:3, :3].T + transform[:3, 3]
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-300)
    smooth = (np.asarray(geometry.vertex_normals) @ np.linalg.pinv(transform[:3, :3]))[faces]
    smooth /= np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-300)
    cosine = (smooth * flat[:, None]).sum(axis=-1, keepdims=True)
    normals = np.where(np.abs(cosine) > CREASE_COSINE, smooth * np.sign(cosine), flat[:, None])
    try:
        surface = _surface(getattr(geometry.visual, "material", None), texture_size)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{mesh.label} has a broken texture: {error}") from error
    return corners, normals, _uvs(geometry, faces), _corner_colors(geometry, faces), surface


def _uvs(geometry: Any, faces: npt.NDArray[np.int64]) -> Values:
    uv = getattr(geometry.visual, "uv", None)
    if uv is None or len(uv) != len(geometry.vertices) or not np.isfinite(uv).all():
        return np.zeros((len(faces), 3, 2), dtype=np.float32)
    return _float32(uv)[faces]


def _corner_colors(geometry: Any, faces: npt.NDArray[np.int64]) -> Values:
    """Vertex or face colours (F, 3, 4); GRAY where a mesh has neither colours nor a material, 1 beside a material."""
    visual = geometry.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        color = visual.vertex_attributes.get("color")
        if color is None or len(color) != len(geometry.vertices):
            return np.ones((len(faces), 3, 4), dtype=np.float32)
        return _float32(trimesh.visual.to_rgba(color), scale=255)[faces]
    if visual.kind == "vertex":
        return _float32(visual.vertex_colors, scale=255)[faces]
    if visual.kind == "face":
        return np.repeat(_float32(visual.face_colors, scale=255)[:, None], 3, axis=1)
    return np.broadcast_to(GRAY, (len(faces), 3, 4))


def _float32(values: npt.ArrayLike, scale: float = 1.0) -> Values:
    scaled: Values = np.asarray(values, dtype=np.float32) / np.float32(scale)
    return scaled


def _surface(material: Any, texture_size: int) -> Surface:
    if material is None:
        return Surface(np.ones(4, dtype=np.float32))
    if isinstance(material, PBRMaterial):
        return _gltf_surface(material, texture_size)
    image = getattr(material, "image", None)
    color = _float32(material.diffuse, scale=255)
    color[3] = _mtl_opacity(material.kwargs)
    if image is not None and not color[:3].any():
        color[:3] = 1  # some exporters write Kd 0 beside a texture
    return Surface(color, None if image is None else _texture(image, texture_size))


def _gltf_surface(material: PBRMaterial, texture_size: int) -> Surface:
    """glTF 2.0, 3.9: the factor is linear; a power law turns a product of linear values into one of sRGB values."""
    factor = material.baseColorFactor
    color = np.ones(4, dtype=np.float32) if factor is None else _float32(factor, scale=255)
    color[:3] **= 1 / 2.2
    texture = None if material.baseColorTexture is None else _texture(material.baseColorTexture, texture_size)
    mode = material.alphaMode or "OPAQUE"
    if mode == "OPAQUE":
        color[3] = 1
    if texture is not None and mode != "BLEND":
        cutoff = 255 * (0.5 if material.alphaCutoff is None else material.alphaCutoff)
        texture[..., 3] = 255 if mode == "OPAQUE" else 255 * (texture[..., 3] >= cutoff)
    return Surface(color, texture)


def _mtl_opacity(entries: dict[str, Any]) -> float:
    """The MTL file's ``d`` (dissolve), or 1 - ``Tr``."""
    for key, sign, offset in (("d", 1, 0), ("tr", -1, 1)):
        try:
            return min(max(offset + sign * float(entries[key][-1]), 0.0), 1.0)
        except (KeyError, IndexError, ValueError, TypeError):
            continue
    return 1.0


def _texture(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """(h, w, 4) uint8 with no side longer than ``size``."""
    converted = image.convert("RGBA")
    factor = -(-max(converted.size) // size)
    return np.array(converted.reduce(factor) if factor > 1 else converted, dtype=np.uint8)


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
