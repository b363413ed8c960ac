"""Finding mesh files: in a folder, and in the zip archives inside it, such as Sweet Home 3D's .sh3f furniture.

Such an archive lists its models in PluginFurnitureCatalog.properties (Java properties, ISO 8859-1): ``model#7=path``,
and to each number a name, a category, tags, a creator, and sometimes the rotation that sets the model upright. The
licence stands once for all of them. Elsewhere the licence is read from a file beside the models.
"""

from __future__ import annotations

import logging
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from hgs_toolkit.datasets.attribution import UNKNOWN, Credit
from hgs_toolkit.datasets.critters.raycast import Array
from hgs_toolkit.datasets.sources.photographs import gather
from hgs_toolkit.datasets.storage import FileStore, ZipStore, open_store
from hgs_toolkit.errors import DataError
from hgs_toolkit.stand_ins import stand_in

MESH_SUFFIXES = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off", ".dae")
"""Suffixes of the files that are read."""

OTHER_SUFFIXES = (".fbx", ".ac", ".blend", ".3ds", ".3mf", ".x3d", ".wrl", ".usd", ".usda", ".usdc", ".usdz")
"""Suffixes of mesh files that are not read; messages count them and say what to do."""

GLTF_SUFFIXES = (".glb", ".gltf")

ARCHIVE_SUFFIXES = (".zip", ".sh3f")

logger = logging.getLogger(__name__)

ENTRY = r"^[^\S\n]*{key}[^\S\n]*[=:][^\S\n]*(.*?)[^\S\n]*$"
"""Pattern of a line of the catalogue; a value may be empty."""

CATALOG = "PluginFurnitureCatalog.properties"
MAX_CATALOG_BYTES = 1 << 24

LICENCE_STEMS = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT")
MAX_LICENCE_BYTES = 1 << 20
MAX_LICENCE_LINE = 200
"""Characters of a licence file's first line that are kept."""


@dataclass(frozen=True)
class MeshFile:
    """One model, not yet read.

    Attributes:
        store: the folder or archive it lies in, with its materials and textures.
        name: relative path inside ``store``.
        title: what ``--match`` looks at: archive and path, and the catalogue's name, category and tags.
        rotation: (3, 3) that sets the model upright, from the catalogue; None otherwise.
        credit: author and licence, where the catalogue or a licence file says them; None otherwise.
        place: its path below the folder that was searched; an archive counts as a folder.
    """

    store: FileStore
    name: str
    title: str
    rotation: Array | None = None
    credit: Credit | None = None
    place: str = ""

    @property
    def label(self) -> str:
        """What messages call it: folder or archive, and path."""
        return f"{self.store.path.name}/{self.name}"

    @property
    def suffix(self) -> str:
        """That of its name, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def is_gltf(self) -> bool:
        """Whether it is a glTF file, of either kind."""
        return self.suffix in GLTF_SUFFIXES


def find_meshes(folder: str | Path, match: str = "", problems: list[str] | None = None) -> list[MeshFile]:
    """The models below ``folder`` (or in one archive) whose title contains the regular expression ``match``.

    Sorted by archive and path, so that the order does not depend on the file system; upper and lower case are equal.
    ``problems`` takes what is wrong with archives that are left out, which is raised if that is None.

    Raises:
        DataError: if there is no model, none matches, or ``match`` is not a regular expression.
    """
    try:
        pattern = re.compile(match, re.IGNORECASE)
    except re.error as error:
        raise DataError(f"--match '{match}' is not a regular expression: {error}") from error
    store = open_store(folder)
    found = _in_archive(store) if isinstance(store, ZipStore) else _in_folder(store, problems)
    others = _not_read(store)
    if not found:
        there = "".join(f"; {reason}" for reason in (others, *(problems or [])[:1]) if reason)
        raise DataError(f"{folder} holds no model; expected files ending in {', '.join(MESH_SUFFIXES)}{there}")
    if others:
        logger.warning("%s: %s", folder, others)
    matching = [mesh for mesh in found if pattern.search(mesh.title)]
    if not matching:
        raise DataError(
            f"none of the {len(found)} models in {folder} matches '{match}'; the first is: {found[0].title}"
        )
    return matching


def _not_read(store: FileStore) -> str:
    """One sentence about the mesh files of a store in formats that are not read; empty if there are none."""
    suffixes = (PurePosixPath(name).suffix.lower() for name in store.names)
    counts = Counter(suffix for suffix in suffixes if suffix in OTHER_SUFFIXES)
    if not counts:
        return ""
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return f"files that are not read: {listed}; save them as .glb, for example with Blender"


def _in_folder(store: FileStore, problems: list[str] | None) -> list[MeshFile]:
    meshes, licences = [], _licence_files(store)
    for name in store.names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in MESH_SUFFIXES:
            meshes.append(MeshFile(store, name, name, None, _from_licence_file(store, name, licences), name))
        elif suffix in ARCHIVE_SUFFIXES and not zipfile.is_zipfile(store.path / name):
            what = stand_in(store.path / name) or "is no zip archive, or a damaged one"
            logger.warning("%s %s; its models are left out", store.path / name, what)
        elif suffix in ARCHIVE_SUFFIXES:
            place = str(PurePosixPath(name).with_suffix("")) + "/"
            for found in gather([partial(_in_archive_at, store.path / name, place)], problems):
                meshes += found
    return meshes


def _in_archive_at(path: Path, place: str) -> list[MeshFile]:
    return _in_archive(ZipStore(path), place)


def _in_archive(store: FileStore, place: str = "") -> list[MeshFile]:
    """The models of an archive that lies at ``place``."""
    common, catalog = _read_catalog(store)
    licences = _licence_files(store)
    meshes = []
    for name in store.names:
        if PurePosixPath(name).suffix.lower() in MESH_SUFFIXES:
            entry = catalog.get(name, {})
            words = [entry[key] for key in ("name", "category", "tags") if entry.get(key)]
            title = " | ".join([f"{store.path.name}/{name}", *words])
            credit = _credit(store, name, common, entry) or _from_licence_file(store, name, licences)
            meshes.append(
                MeshFile(store, name, title, _rotation(entry.get("modelRotation"), title), credit, place + name)
            )
    return meshes


def _read_catalog(store: FileStore) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The catalogue's common entries, and those of each model by its path; empty where there is no catalogue."""
    if CATALOG not in store.names:
        return {}, {}
    text = store.read(CATALOG, MAX_CATALOG_BYTES).decode("iso-8859-1")
    numbered: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(ENTRY.format(key=r"(\w+)#(\d+)"), text, re.MULTILINE):
        numbered.setdefault(number, {})[key] = _unescaped(value)
    common = {key: _unescaped(value) for key, value in re.findall(ENTRY.format(key=r"(\w+)"), text, re.MULTILINE)}
    return common, {entry["model"].lstrip("/"): entry for entry in numbered.values() if "model" in entry}


def _unescaped(value: str) -> str:
    """A value of a Java property file with its ``\\uXXXX``."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), value)


def _credit(store: FileStore, name: str, common: dict[str, str], entry: dict[str, str]) -> Credit | None:
    """What the catalogue says of a model's author and licence; None where it names no licence."""
    licence = entry.get("license") or common.get("license")
    if not licence:
        return None
    author = entry.get("creator") or common.get("creator") or common.get("description") or UNKNOWN
    source = common.get("name") or store.path.name
    return Credit(entry.get("name") or name, author, " ".join(licence.split()), source)


def _from_licence_file(store: FileStore, name: str, licences: dict[str, list[str]]) -> Credit | None:
    """The credit that the nearest licence file above a model gives: the first line of its text."""
    folder = PurePosixPath(name).parent
    for parent in (folder, *folder.parents):
        for candidate in licences.get(str(parent), ()):
            text = store.read(candidate, MAX_LICENCE_BYTES).decode("utf-8", errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return Credit(name, licence=lines[0][:MAX_LICENCE_LINE], source=f"{store.path.name}/{candidate}")
    return None


def _licence_files(store: FileStore) -> dict[str, list[str]]:
    """Names of licence files by their folder."""
    found: dict[str, list[str]] = {}
    for name in store.names:
        path = PurePosixPath(name)
        if path.stem.upper() in LICENCE_STEMS and path.suffix.lower() in ("", ".txt", ".md"):
            found.setdefault(str(path.parent), []).append(name)
    return found


def _rotation(text: str | None, title: str) -> Array | None:
    """The row-major 3 x 3 matrix of nine numbers."""
    if text is None:
        return None
    try:
        return np.array([float(number) for number in text.split()]).reshape(3, 3)
    except ValueError as error:
        raise DataError(f"{title}: the catalogue's modelRotation '{text}' is not nine numbers") from error
