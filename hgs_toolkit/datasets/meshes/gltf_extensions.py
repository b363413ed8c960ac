"""What trimesh does not read of glTF files: texture transforms, other sets of texture coordinates; and what is refused.

trimesh passes over extensions that it does not know, which would draw a model wrongly without a word. So the file's
JSON is looked at first. KHR_texture_transform is applied to the texture coordinates; a file that requires other
extensions than those named here, or has quantised coordinates, sparse accessors or fans of triangles, is refused.
Textures that cannot be decoded are taken out and named.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.meshes.texture_files import WEBP, drop_unreadable
from hgs_toolkit.errors import DataError, MissingExtraError
from hgs_toolkit.parsing.gltf import BINARY_CHUNK, HEADER_BYTES, JSON_CHUNK, MAGIC, around_binary, chunks
from hgs_toolkit.parsing.stored import ParseError

DRACO = "KHR_draco_mesh_compression"
TRANSFORM = "KHR_texture_transform"

READ = frozenset({DRACO, TRANSFORM, WEBP, "KHR_mesh_quantization", "KHR_lights_punctual"})
"""Extensions that a file may require."""

LOOKS = "KHR_materials_"
"""Start of the names of extensions that change the looks of a surface, of which only the base colour is drawn."""

FLOAT = 5126
TRIANGLE_FAN = 6

WAY_OUT = "save it again without them, for instance from Blender as .glb without compression"

Json = dict[str, Any]
UvMap = npt.NDArray[np.float64]
"""(2, 3) affine map of texture coordinates (u, v, 1), v down as in glTF."""


def prepare_gltf(data: bytes, read: Callable[[str], bytes]) -> tuple[bytes, dict[str, UvMap], list[str]]:
    """A .glb or .gltf file as trimesh is to read it.

    Args:
        read: gives a file beside the model.

    Returns:
        The file, the maps of texture coordinates by the material's name, and what is the matter with textures that were
        left out.

    Raises:
        DataError: if the file needs what is not read.
        MissingExtraError: if it is compressed by Draco, and DracoPy is not installed.
    """
    document, binary = _split(data)
    if document is None:
        return data, {}, []  # trimesh says what is wrong
    try:
        _check(document)
        refused = drop_unreadable(document, binary, read)
        maps = _texture_maps(document)
        changed = _give_materials(document) or bool(refused or maps)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise DataError(f"its description is broken ({type(error).__name__}: {error})") from error
    if not changed:
        return data, {}, []
    if binary is None:
        return json.dumps(document).encode(), maps, refused
    head, tail = around_binary(document, len(binary))
    return head + binary + tail, maps, refused


def apply_uv_map(uvs: npt.NDArray[Any], uv_map: UvMap) -> npt.NDArray[np.float64]:
    """Texture coordinates (V, 2), v up as trimesh has them, after the map."""
    down = np.column_stack([uvs[:, 0], 1 - uvs[:, 1], np.ones(len(uvs))]) @ uv_map.T
    return np.column_stack([down[:, 0], 1 - down[:, 1]])


def _split(data: bytes) -> tuple[Json | None, bytes | None]:
    """The JSON of a file, None if it is broken, and the binary chunk of a .glb."""
    try:
        if not data.startswith(MAGIC):
            document, binary = json.loads(data), None
        else:
            parts = dict(chunks(np.frombuffer(data, np.uint8)[: int.from_bytes(data[8:HEADER_BYTES], "little")]))
            document = json.loads(bytes(parts[JSON_CHUNK]))
            binary = bytes(parts.get(BINARY_CHUNK, b""))
    except (KeyError, ValueError, RecursionError, ParseError):
        return None, None
    return (document, binary) if isinstance(document, dict) else (None, None)


def _check(document: Json) -> None:
    """Raise for what the file needs and is not read."""
    required = document.get("extensionsRequired", [])
    if unread := [name for name in required if name not in READ and not str(name).startswith(LOOKS)]:
        raise DataError(f"it needs the glTF extensions {', '.join(map(str, unread))}, which are not read; {WAY_OUT}")
    primitives = _primitives(document)
    draco = [primitive for primitive in primitives if DRACO in primitive.get("extensions", {})]
    if draco and importlib.util.find_spec("DracoPy") is None:
        raise MissingExtraError("DracoPy", "meshes", "reading glTF files that are compressed by Draco")
    for primitive in primitives:
        if primitive.get("mode") == TRIANGLE_FAN:
            raise DataError(f"it has fans of triangles, which are not read; {WAY_OUT}")
        used = {"indices": primitive["indices"]} if "indices" in primitive else {}
        used |= primitive.get("attributes", {})
        if any("sparse" in document["accessors"][index] for index in used.values()):
            raise DataError(f"it has sparse accessors, which are not read; {WAY_OUT}")
        for name, index in primitive.get("attributes", {}).items():
            accessor = document["accessors"][index]
            whole = accessor["componentType"] != FLOAT
            if whole and (name.startswith("TEXCOORD_") or (name == "POSITION" and accessor.get("normalized"))):
                raise DataError(f"its {name} is quantised to whole numbers, which is not read; {WAY_OUT}")


def _primitives(document: Json) -> list[Json]:
    return [primitive for mesh in document.get("meshes", []) for primitive in mesh["primitives"]]


def _give_materials(document: Json) -> bool:
    """Give primitives with colours and no material the plain one, which glTF draws them with; whether there were any.

    trimesh then keeps their colours as they are, and does not make bytes of numbers of 16 bits.
    """
    colored = [p for p in _primitives(document) if "COLOR_0" in p.get("attributes", {}) and "material" not in p]
    if colored:
        document.setdefault("materials", []).append({})
    for primitive in colored:
        primitive["material"] = len(document["materials"]) - 1
    return bool(colored)


def _texture_maps(document: Json) -> dict[str, UvMap]:
    """Name the materials whose texture coordinates are not taken as they are, and return their maps.

    Where a texture wants another set of coordinates than the first, the primitives are changed to have it as the first.
    """
    maps: dict[str, UvMap] = {}
    taken = {material.get("name") for material in document.get("materials", [])}
    for index, material in enumerate(document.get("materials", [])):
        texture = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        if not isinstance(texture, dict):
            continue
        transform = texture.get("extensions", {}).get(TRANSFORM, {})
        chosen = transform.get("texCoord", texture.get("texCoord", 0))
        if not transform and not chosen:
            continue
        name = f"material {index}"
        while name in taken:
            name += "'"
        material["name"] = name
        taken.add(name)
        maps[name] = _uv_map(transform)
        for primitive in _primitives(document):
            attributes = primitive.get("attributes", {})
            if primitive.get("material") == index and chosen and f"TEXCOORD_{chosen}" in attributes:
                attributes["TEXCOORD_0"] = attributes[f"TEXCOORD_{chosen}"]
    return maps


def _uv_map(transform: Json) -> UvMap:
    """Scale, then rotation, then offset. The angle goes counter-clockwise in the image, in which v points down."""
    (x, y), (width, height) = transform.get("offset", (0, 0)), transform.get("scale", (1, 1))
    cosine, sine = math.cos(transform.get("rotation", 0)), math.sin(transform.get("rotation", 0))
    return np.array([[cosine * width, sine * height, x], [-sine * width, cosine * height, y]], np.float64)
