"""Reading a mesh file through trimesh: the file itself, and the materials and textures beside it."""

from __future__ import annotations

import io
import logging
import posixpath
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from trimesh.resolvers import Resolver

from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES
from hgs_toolkit.datasets.meshes.library import MeshFile
from hgs_toolkit.errors import DataError

logger = logging.getLogger(__name__)

MAX_MESH_BYTES = 1 << 29
"""Size, bytes, of the largest mesh file or material file that is read."""

MAX_TEXTURE_PIXELS = 1 << 26
"""Number of pixels of the largest texture that is decoded."""


def read_geometries(mesh: MeshFile) -> list[tuple[Any, npt.NDArray[np.float64]]]:
    """The triangle meshes of a file, as trimesh objects, with their transforms (4, 4), in a fixed order.

    Points and lines have no surface and are left out. Missing materials and textures are logged.

    Raises:
        DataError: naming the model, if it cannot be read.
    """
    scene = _parse(mesh)
    if not isinstance(scene, trimesh.Scene):
        return [(scene, np.eye(4))] if isinstance(scene, trimesh.Trimesh) else []
    placed = [scene.graph[node] for node in sorted(scene.graph.nodes_geometry)]
    meshes = [(scene.geometry[name], np.asarray(transform)) for transform, name in placed]
    return [(mesh, transform) for mesh, transform in meshes if isinstance(mesh, trimesh.Trimesh)]


def _parse(mesh: MeshFile) -> Any:
    """trimesh's scene or mesh of a file; missing materials and textures are logged."""
    data, assets = mesh.store.read(mesh.name, MAX_MESH_BYTES), _FilesBeside(mesh)
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


class _FilesBeside(Resolver):
    """Gives trimesh the files beside a model, and keeps the reasons for those it refused, which trimesh passes over."""

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
