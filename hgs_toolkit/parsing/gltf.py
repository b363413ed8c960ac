# SPDX-License-Identifier: Apache-2.0
"""The container binary glTF 2.0, read and framed: its two chunks, its accessors, and where its nodes place its meshes.

Only what the file itself holds is read: no other files, no sparse or compressed accessors. Every count and offset is
compared with the size of the file before anything is allocated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .quaternions import rotation_matrix
from .stored import Floats, ParseError
from .unpacking import is_count

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
HEADER_BYTES, CHUNK_HEADER_BYTES = 12, 8

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
"""NumPy types of components by glTF's number; the 32-bit integers of indices are not among them."""

WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
"""Components of an element by glTF's name of its type."""

MAX_DEPTH = 64
"""Nesting of nodes that is followed; deeper nodes, and circles, are an error."""

MAX_VISITS = 10_000
"""Visits of nodes that every file may ask for; more only with as many nodes, each of which glTF lets be used once."""

MAX_PLACEMENT = 1e30
"""Bound on the numbers of a node, so that their products stay finite."""

Json = dict[str, Any]
Matrix = NDArray[np.float64]


class Glb:
    """A .glb file that is open for reading.

    Attributes:
        document: the file's JSON.

    Raises:
        ParseError: if the file is truncated or is no binary glTF of version 2, or its JSON is no object.
    """

    def __init__(self, path: Path) -> None:
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        if len(data) < HEADER_BYTES + CHUNK_HEADER_BYTES or bytes(data[:4]) != MAGIC:
            raise ParseError("it is no .glb file; expected 'glTF' at its start")
        version, total = struct.unpack("<II", bytes(data[4:HEADER_BYTES]))
        if version != VERSION:
            raise ParseError(f"it is glTF of version {version}; expected {VERSION}")
        if total > len(data):
            raise ParseError(f"it is truncated: its header promises {total} bytes, it has {len(data)}")
        parts = dict(chunks(data[:total]))
        try:
            self.document: Json = json.loads(bytes(parts[JSON_CHUNK]).decode())
        except (KeyError, ValueError, RecursionError) as error:
            raise ParseError(f"its JSON chunk is missing or broken ({error})") from error
        if not isinstance(self.document, dict):
            raise ParseError("its JSON is no object")
        self._binary = parts.get(BINARY_CHUNK, np.empty(0, np.uint8))

    def item(self, kind: str, index: object) -> Json:
        """Entry ``index`` of one of the document's lists, such as ``accessors``."""
        items = self.document.get(kind)
        if isinstance(items, list) and is_count(index, 0, len(items) - 1) and isinstance(items[index], dict):
            item: Json = items[index]
            return item
        raise ParseError(f"it refers to entry {index!r} of '{kind}', which it lacks")

    def values(self, index: object, name: str, width: int) -> Floats:
        """The accessor ``index`` as (N, width) float32; normalised whole numbers are scaled to 0..1 or -1..1."""
        accessor = self.item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ParseError(f"'{name}' is a sparse or empty accessor; only plain ones are read")
        kind = COMPONENTS.get(_key(accessor.get("componentType")))
        if kind is None or WIDTHS.get(_key(accessor.get("type"))) != width:
            raise ParseError(
                f"'{name}' is {accessor.get('type')!r} of components {accessor.get('componentType')!r}; "
                f"expected {width} floats or whole numbers of 8 or 16 bit"
            )
        raw = self._rows(accessor, name, np.dtype(kind), width)
        if kind == "<f4" or not accessor.get("normalized"):
            return raw.astype(np.float32)
        # glTF 2.0, section 3.11: signed values are divided by the largest one, and the result is at least -1.
        return (raw / np.float32(np.iinfo(kind).max)).clip(-1).astype(np.float32)

    def view_bytes(self, index: object, name: str) -> bytes:
        """The bytes of the buffer view ``index``; ``name`` says in messages what it belongs to."""
        view = self.item("bufferViews", index)
        start, length = (view.get(entry, 0) for entry in ("byteOffset", "byteLength"))
        if view.get("buffer") != 0 or "uri" in self.item("buffers", 0):
            raise ParseError("its data are in other files; expected a .glb that holds its own")
        available = len(self._binary)
        if not is_count(start, 0, available) or not is_count(length, 0, available - start):
            raise ParseError(f"'{name}' promises {length!r} bytes at byte {start!r} of {available}")
        return bytes(self._binary[start : start + length])

    def instances(self) -> Iterator[tuple[Json, Json, Matrix]]:
        """Each use of a mesh in the scene: its node, the mesh, and the (4, 4) matrix from the mesh to the world.

        Raises:
            ParseError: if nodes are broken, nested too deep, or used far more often than there are nodes.
        """
        scenes = self.document.get("scenes")
        roots = self.item("scenes", self.document.get("scene", 0)).get("nodes", []) if scenes else self._roots()
        stack = [(index, np.eye(4), 0) for index in reversed(_listed(roots, "nodes"))]
        nodes = self.document.get("nodes")
        visits, most = 0, max(MAX_VISITS, len(nodes) if isinstance(nodes, list) else 0)
        while stack:
            index, above, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise ParseError(f"its nodes are more than {MAX_DEPTH} deep, or a circle")
            node = self.item("nodes", index)
            matrix = above @ _local_matrix(node)
            stack += [(child, matrix, depth + 1) for child in reversed(_listed(node.get("children", []), "children"))]
            if "mesh" in node:
                yield node, self.item("meshes", node["mesh"]), matrix
            visits += 1
            if visits + len(stack) > most:
                raise ParseError(f"its nodes are used more than {most} times in all; expected each of them once")

    def _roots(self) -> list[int]:
        """The nodes that are no other node's children, which are the roots of a file without scenes."""
        nodes = _listed(self.document.get("nodes", []), "nodes")
        children = {
            child
            for node in nodes if isinstance(node, dict)
            for child in _listed(node.get("children", []), "children") if isinstance(child, int)
        }  # fmt: skip
        return [index for index in range(len(nodes)) if index not in children]

    def _rows(self, accessor: Json, name: str, kind: np.dtype[Any], width: int) -> NDArray[Any]:
        """The elements (N, width) of an accessor; a view of the file if they lie side by side."""
        view = self.item("bufferViews", accessor["bufferView"])
        if view.get("buffer") != 0 or "uri" in self.item("buffers", 0):
            raise ParseError("its data are in other files; expected a .glb that holds its own")
        if "extensions" in view:
            raise ParseError(f"'{name}' is compressed; unpack the file first, for instance with gltfpack -noq")
        available, item = len(self._binary), kind.itemsize * width

        def number(owner: Json, entry: str, default: int | None = None) -> int:
            value = owner.get(entry, default)
            if not is_count(value, 0, available):
                raise ParseError(f"'{name}' has {entry} {value!r}; expected 0 to {available}, the bytes of data")
            return value

        count, offset = number(accessor, "count"), number(accessor, "byteOffset", 0)
        start, length = number(view, "byteOffset", 0), number(view, "byteLength")
        stride = number(view, "byteStride", item)
        end = offset + (count - 1) * stride + item if count else 0
        if end > length or start + length > available or stride < item:
            raise ParseError(f"'{name}' promises {end} bytes in {length} at byte {start} of {available}")
        if not count:
            return np.empty((0, width), kind)
        rows = np.lib.stride_tricks.as_strided(self._binary[start + offset : start + end], (count, item), (stride, 1))
        return np.ascontiguousarray(rows).view(kind)


def around_binary(document: Json, size: int) -> tuple[bytes, bytes]:
    """What stands in a .glb before and after the ``size`` bytes of data that its JSON ``document`` describes.

    Raises:
        ParseError: if the file would exceed the 4 GiB of its format.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    padding = -size % 4
    total = HEADER_BYTES + 2 * CHUNK_HEADER_BYTES + len(text) + size + padding
    if total >= 2**32:
        raise ParseError(f"{total} bytes; a .glb file holds at most {2**32 - 1}, write .ply")
    head = struct.pack("<4sII", MAGIC, VERSION, total) + struct.pack("<II", len(text), JSON_CHUNK) + text
    return head + struct.pack("<II", size + padding, BINARY_CHUNK), bytes(padding)


def chunks(data: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The type and the content of each chunk."""
    position = HEADER_BYTES
    while position + CHUNK_HEADER_BYTES <= len(data):
        size, kind = struct.unpack("<II", bytes(data[position : position + CHUNK_HEADER_BYTES]))
        position += CHUNK_HEADER_BYTES
        if position + size > len(data):
            raise ParseError(f"it is truncated: a chunk promises {size} bytes, {len(data) - position} follow")
        yield kind, data[position : position + size]
        position += size


def _local_matrix(node: Json) -> Matrix:
    """The (4, 4) matrix of a node, from its ``matrix`` (column-major) or translation, rotation (xyzw) and scale."""
    if "matrix" in node:
        return _numbers(node["matrix"], 16, "matrix").reshape(4, 4).T
    quat = _numbers(node.get("rotation", [0, 0, 0, 1]), 4, "rotation")[[3, 0, 1, 2]]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(quat) * _numbers(node.get("scale", [1, 1, 1]), 3, "scale")
    matrix[:3, 3] = _numbers(node.get("translation", [0, 0, 0]), 3, "translation")
    return matrix


def _numbers(values: object, count: int, name: str) -> NDArray[np.float64]:
    if (
        not isinstance(values, list) or len(values) != count
        or not all(isinstance(v, int | float) and abs(v) < MAX_PLACEMENT for v in values)
    ):  # fmt: skip
        raise ParseError(f"a node's {name} is no list of {count} finite numbers")
    return np.array(values, np.float64)


def _listed(values: object, name: str) -> list[Any]:
    if not isinstance(values, list):
        raise ParseError(f"its '{name}' are no list")
    return values


def _key(value: object) -> Any:
    """``value`` if it can be looked up in a dict, else None."""
    return value if isinstance(value, int | str) else None
