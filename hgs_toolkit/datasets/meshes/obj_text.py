"""OBJ and MTL files in a plain form, in which trimesh reads all of them; it loses parts of others without a word.

Relative indices become absolute ones and polygons become triangles. Indentation, comments, line continuations and old
line ends are removed, several material libraries become one, and a material without a colour gets one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hgs_toolkit.datasets.meshes.polygons import triangles
from hgs_toolkit.errors import DataError

GRAY = (0.7, 0.7, 0.7)
"""Colour, sRGB, of surfaces without one of their own."""

MERGED_LIBRARY = "materials of all libraries.mtl"
"""Name under which the plain text refers to the one library that replaces all of its own."""

COUNTED = ("v", "vt", "vn")
"""Statements that indices count, in the order in which a corner ``v/vt/vn`` of a face names them."""


@dataclass(frozen=True)
class ObjText:
    """An OBJ file in plain form.

    Attributes:
        text: statements without indentation, comments and relative indices; lines end with a line feed.
        libraries: the material libraries that the file names, in its order.
        materials: the materials that its faces use.
    """

    text: str
    libraries: tuple[str, ...]
    materials: frozenset[str]


def plain_obj(data: bytes) -> ObjText:
    """The plain form of an OBJ file.

    Texture coordinates without a material library are left out, and with them a material that trimesh would make up.

    Raises:
        DataError: naming the line, if an index is no whole number, 0, or beyond the vertices.
    """
    counts, highest = dict.fromkeys(COUNTED, 0), dict.fromkeys(COUNTED, 0)
    lines: list[str] = []
    libraries: list[str] = []
    materials: set[str] = set()
    positions: list[str] = []
    textured = re.search(rb"^\s*mtllib\s", data, re.MULTILINE) is not None
    for number, line in enumerate(_lines(data), start=1):
        key, _, rest = line.partition(" ")
        if key in counts:
            counts[key] += 1
            if key == "v":
                positions.append(rest)
            if key != "vt" or textured:
                lines.append(f"{key} {rest.partition('#')[0]}")
        elif key in ("f", "fo"):
            corners = [_corner(part, counts, highest, number) for part in rest.partition("#")[0].split()]
            lines += [
                "f " + " ".join(_written(corners[k], textured) for k in face) for face in _faces(corners, positions)
            ]
        elif key == "mtllib":
            libraries += _library_names(rest)
        elif key == "usemtl":
            materials.add(" ".join(rest.split()))
            lines.append(line)
        elif key in ("o", "g", "s"):
            lines.append(line)
    for key, count in counts.items():
        if highest[key] > count:
            raise DataError(f"a face uses the {highest[key]}th '{key}', but the file has {count}")
    header = f"mtllib {MERGED_LIBRARY}\n" if libraries else ""
    return ObjText(header + "\n".join(lines) + "\n", tuple(dict.fromkeys(libraries)), frozenset(materials))


def plain_mtl(data: bytes) -> str:
    """The plain form of an MTL file: file names without options, and a colour for every material.

    A material without Kd is white beside a texture and gray without one.
    """
    blocks: list[list[str]] = [[]]
    for line in _lines(data):
        if line.lower().startswith("newmtl"):
            blocks.append([])
        blocks[-1].append(_without_options(line) if line.lower().startswith("map_kd ") else line)
    for block in blocks[1:]:
        keys = {line.split()[0].lower() for line in block if line}
        if "kd" not in keys:
            block.append("Kd 1 1 1" if "map_kd" in keys else "Kd {} {} {}".format(*GRAY))
    return "\n".join(line for block in blocks for line in block) + "\n"


def material_names(mtl: str) -> frozenset[str]:
    """The materials that an MTL text defines."""
    split = (line.split() for line in mtl.splitlines())
    return frozenset(" ".join(words[1:]) for words in split if words and words[0].lower() == "newmtl")


def _lines(data: bytes) -> list[str]:
    """Statements with single spaces behind their first word, whatever the line ends and indentation are."""
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", " ")
    return [line.strip().replace("\t", " ") for line in text.split("\n")]


def _corner(part: str, counts: dict[str, int], highest: dict[str, int], line: int) -> list[int]:
    """The absolute indices ``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn``, 0 where there is none; ``highest`` is kept."""
    absolute = []
    for text, key in zip(part.split("/"), COUNTED, strict=False):
        try:
            index = int(text) if text else 0
        except ValueError as error:
            raise DataError(f"line {line} has the index '{text}'; expected a whole number") from error
        if index < 0:
            index += counts[key] + 1
        if index < 1 and text:
            raise DataError(f"line {line} has the index {text}, before the first '{key}'; OBJ counts from 1")
        highest[key] = max(highest[key], index)
        absolute.append(index)
    return absolute


def _faces(corners: list[list[int]], positions: list[str]) -> list[tuple[int, ...]]:
    """Triangles as places in ``corners``; ``positions`` are the vertices so far, as text."""
    if len(corners) < 4:
        return [tuple(range(len(corners)))]
    try:
        points = [tuple(map(float, positions[corner[0] - 1].split(None, 3)[:3])) for corner in corners]
    except (IndexError, ValueError):  # a vertex that comes later, or is no position: what reads it will say so
        return [(0, k, k + 1) for k in range(1, len(corners) - 1)]
    return list(triangles(points))


def _written(corner: list[int], textured: bool) -> str:
    indices = [str(index) if index else "" for index in corner]
    if len(indices) > 1 and not textured:
        indices[1] = ""
    return "/".join(indices).rstrip("/")


def _library_names(rest: str) -> list[str]:
    """One name with spaces, or several names: they end in .mtl."""
    names, words = [], []
    for word in rest.split():
        words.append(word)
        if word.lower().endswith(".mtl"):
            names.append(" ".join(words))
            words = []
    return names + ([" ".join(words)] if words else [])


def _without_options(line: str) -> str:
    """A map statement without options such as ``-s 1 1 1`` and ``-clamp on``."""
    key, *words = line.split()
    while words and words[0].startswith("-") and len(words) > 1:
        words.pop(0)
        while len(words) > 1 and _is_option_value(words[0]):
            words.pop(0)
    return " ".join([key, *words])


def _is_option_value(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word in ("on", "off", "r", "g", "b", "m", "l", "z")
    return True
