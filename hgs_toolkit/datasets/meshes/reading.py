"""Reading a mesh file through trimesh: the file itself, and the materials and textures beside it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import posixpath
import re
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import trimesh
from trimesh.resolvers import Resolver

from hgs_toolkit.datasets.meshes.gltf_extensions import UvMap, apply_uv_map, prepare_gltf
from hgs_toolkit.datasets.meshes.library import MeshFile
from hgs_toolkit.datasets.meshes.obj_text import MERGED_LIBRARY, ObjText, material_names, plain_mtl, plain_obj
from hgs_toolkit.datasets.meshes.texture_files import check_texture
from hgs_toolkit.errors import DataError, MissingExtraError

logger = logging.getLogger(__name__)

MAX_MESH_BYTES = 1 << 29
"""Size, bytes, of the largest mesh file or material file that is read."""


IDLE_COORDINATES = re.compile(rb"(property[^\r\n]*) (texture_u|texture_v|u|v|s|t|texcoord)([ \t]*\r?\n)")
"""Lines of the header of a .ply that declare texture coordinates, by the names that trimesh knows."""


def read_geometries(mesh: MeshFile) -> list[tuple[Any, npt.NDArray[np.float64]]]:
    """The triangle meshes of a file, as trimesh objects, with their transforms (4, 4), in a fixed order.

    Points and lines have no surface and are left out. Missing materials and textures are logged. A .dae file is turned
    y up where it says that another axis is.

    Raises:
        DataError: naming the model, if it cannot be read.
    """
    scene, turn = _parse(mesh)
    if not isinstance(scene, trimesh.Scene):
        return [(scene, np.eye(4))] if isinstance(scene, trimesh.Trimesh) else []
    placed = [scene.graph[node] for node in sorted(scene.graph.nodes_geometry)]
    meshes = [(scene.geometry[name], turn @ np.asarray(transform)) for transform, name in placed]
    return [(mesh, transform) for mesh, transform in meshes if isinstance(mesh, trimesh.Trimesh)]


def _parse(mesh: MeshFile) -> tuple[Any, npt.NDArray[np.float64]]:
    """trimesh's scene or mesh of a file, and the turn (4, 4) that a .dae file asks for; see read_geometries."""
    data, assets = mesh.store.read(mesh.name, MAX_MESH_BYTES), _FilesBeside(mesh)
    suffix = mesh.suffix[1:]
    try:
        if suffix == "dae" and importlib.util.find_spec("collada") is None:
            raise MissingExtraError("pycollada", "meshes", "reading .dae files")
        if suffix == "obj":
            data = assets.read_libraries(plain_obj(data)).encode()
        maps: dict[str, UvMap] = {}
        if mesh.is_gltf:
            data, maps, refused = prepare_gltf(data, assets.get)
            assets.refused += refused
        elif suffix == "ply":
            data = _without_idle_coordinates(data)
        scene = trimesh.load(io.BytesIO(data), file_type=suffix, resolver=assets, process=False)
        _map_textures(scene, maps)
    except (MemoryError, MissingExtraError):
        raise
    except DataError as error:
        raise DataError(f"{mesh.label} cannot be read: {error}") from error
    except Exception as error:  # trimesh's readers raise whatever they stumble over
        reason = "; ".join(dict.fromkeys(assets.refused)) or f"{type(error).__name__}: {error}"
        raise DataError(f"{mesh.label} cannot be read: {reason}") from error
    if assets.refused:
        reasons = "; ".join(dict.fromkeys(assets.refused))
        logger.warning("%s is drawn without some of its textures or materials: %s", mesh.label, reasons)
    return scene, _collada_turn(data) if suffix == "dae" else np.eye(4)


def _map_textures(scene: Any, maps: dict[str, UvMap]) -> None:
    """Apply the maps, by the names of materials, to the texture coordinates of the meshes."""
    for geometry in scene.geometry.values() if maps else ():
        name = getattr(getattr(geometry.visual, "material", None), "name", None)
        if name in maps and geometry.visual.uv is not None:
            geometry.visual.uv = apply_uv_map(geometry.visual.uv, maps[name])


def _without_idle_coordinates(data: bytes) -> bytes:
    """A .ply whose texture coordinates have another name where it has no texture: its colours would not be read."""
    end = max(data.find(b"end_header"), 0)
    header = data[:end]
    if b"TextureFile" in header or b" red" not in header:
        return data
    return IDLE_COORDINATES.sub(rb"\1 idle_\2\3", header) + data[end:]


def _collada_turn(data: bytes) -> npt.NDArray[np.float64]:
    """(4, 4) from the axes that a COLLADA file declares (asset/up_axis; y up by default) to y up."""
    declared = re.search(rb"<up_axis>\s*([XYZ])_UP\s*</up_axis>", data)
    turn = np.eye(4)
    if declared and declared[1] != b"Y":
        turn[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]] if declared[1] == b"Z" else [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    return turn


class _FilesBeside(Resolver):
    """Gives trimesh the files beside a model, and keeps the reasons for those it refused, which trimesh passes over."""

    def __init__(self, mesh: MeshFile) -> None:
        self._mesh = mesh
        self._folders = [posixpath.dirname(mesh.name)]
        self._names = {name.lower(): name for name in mesh.store.names}  # other systems take the case as equal
        self._materials = ""
        self.refused: list[str] = []

    def get(self, key: str) -> bytes:
        """The file ``key``, relative to the model; never one outside its folder or archive."""
        if key == MERGED_LIBRARY:
            return self._materials.encode()
        name = self._find(key.strip().replace("\\", "/"))
        try:
            data = self._mesh.store.read(name, MAX_MESH_BYTES)
            if not name.lower().endswith((".mtl", ".bin")):
                check_texture(data, name)
        except DataError as error:
            self.refused.append(str(error))
            raise FileNotFoundError(key) from error
        return data

    def read_libraries(self, obj: ObjText) -> str:
        """Read the material libraries of an OBJ file, to be asked for as MERGED_LIBRARY; returns its text."""
        for library in obj.libraries:
            with contextlib.suppress(FileNotFoundError):  # remembered in ``refused``
                self._materials += plain_mtl(self.get(library))
                self._folders.append(posixpath.dirname(self._find(library.replace("\\", "/"))))
        missing = sorted(obj.materials - material_names(self._materials)) if self._materials else []
        if missing:
            self.refused.append(f"{', '.join(obj.libraries)} defines no material {', '.join(missing)}")
        return obj.text

    def _find(self, path: str) -> str:
        """The name of the file in the store: beside the model or its materials, or, for the paths of another computer,
        the file of that name beside the model."""
        folder = posixpath.dirname(self._mesh.name)
        paths = dict.fromkeys((path, unquote(path)))  # glTF and COLLADA name files as URIs, where a space is %20
        places = [posixpath.normpath(posixpath.join(known, path)) for path in paths for known in self._folders]
        places += [posixpath.normpath(posixpath.join(folder, posixpath.basename(path))) for path in paths]
        return next((self._names[place.lower()] for place in places if place.lower() in self._names), places[0])

    def write(self, name: str, data: Any) -> None:
        raise NotImplementedError

    def namespaced(self, namespace: str) -> Resolver:
        raise NotImplementedError

    def keys(self) -> list[str]:
        return self._mesh.store.names
