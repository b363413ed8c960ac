"""The extension's folder as an archive, byte for byte the same wherever it is packed."""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hgs_toolkit.errors import FormatError
from hgs_toolkit.files import atomic_path

FOLDER = "blender_addon"
MANIFEST = "blender_manifest.toml"

PARSING = "core/parsing"
"""Folder of the packed extension with the parsers that the toolkit shares; a link to them in a checkout."""

SUFFIXES = (".py", ".toml", ".md", ".txt")
"""Kinds of files that belong to the extension, besides its licence."""

LICENSE = "LICENSE"

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file in the archive: the earliest a zip can say."""

FILE_MODE = 0o100644 << 16

MAX_TEXT = 64
"""Characters of a tagline and of a permission's reason that Blender's platform accepts."""

MIN_BLENDER = (4, 5, 0)

VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
BLENDER_VERSION = re.compile(r"\d+\.\d+\.\d+")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
COPYRIGHT = re.compile(r"\d{4}(-\d{4})? \S.*")
TAGS = frozenset({
    "3D View", "Add Curve", "Add Mesh", "Animation", "Bake", "Camera", "Compositing", "Development", "Game Engine",
    "Geometry Nodes", "Grease Pencil", "Import-Export", "Lighting", "Material", "Mesh", "Modeling", "Node", "Object",
    "Paint", "Physics", "Pipeline", "Render", "Rigging", "Scene", "Sculpt", "Sequencer", "System", "Text Editor",
    "Tracking", "User Interface", "UV",
})  # fmt: skip
"""Tags of add-ons that Blender's platform knows."""

PERMISSIONS = frozenset({"files", "network", "clipboard", "camera", "microphone"})
TEXTS = ("schema_version", "id", "version", "name", "tagline", "maintainer", "type", "blender_version_min")


def extension_folder() -> Path:
    """The extension's files: inside the installed package, or beside it in a checkout.

    Raises:
        FormatError: if they are in neither place.
    """
    package_folder = Path(__file__).resolve().parents[1]
    for folder in (package_folder / FOLDER, package_folder.parent / FOLDER):
        if (folder / MANIFEST).is_file():
            return folder
    raise FormatError(f"the folder {FOLDER} with the Blender extension is missing; install hgs_toolkit anew")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the extension in ``folder``.

    Raises:
        FormatError: if it is missing or no TOML.
    """
    path = folder / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}; expected the folder of an extension") from error
    except ValueError as error:
        raise FormatError(f"{path} is no TOML: {error}") from error


def check_manifest(manifest: Mapping[str, Any]) -> list[str]:
    """What in ``manifest`` breaks Blender's schema 1.0.0 of add-ons, a sentence each; empty if nothing does."""
    problems = [f"{key} is missing or no text" for key in TEXTS if not _is_text(manifest.get(key))]
    if problems:
        return problems
    rules = (
        ("schema_version", manifest["schema_version"] == "1.0.0", "1.0.0"),
        ("id", bool(IDENTIFIER.fullmatch(manifest["id"])), "letters, digits and single underscores within"),
        ("version", bool(VERSION.fullmatch(manifest["version"])), "a semantic version"),
        ("type", manifest["type"] == "add-on", "add-on"),
        ("tagline", _is_short(manifest["tagline"]), f"at most {MAX_TEXT} characters without a full stop"),
        ("blender_version_min", bool(BLENDER_VERSION.fullmatch(manifest["blender_version_min"])), "three numbers"),
        ("license", _are_texts(manifest.get("license"), "SPDX:"), "a list of SPDX:... texts"),
        ("tags", "tags" not in manifest or _are_tags(manifest["tags"]), f"a list of: {', '.join(sorted(TAGS))}"),
        (
            "copyright",
            "copyright" not in manifest or _are_copyrights(manifest["copyright"]),
            "a list of texts such as '2026 Somebody'",
        ),
        ("wheels", "wheels" not in manifest, "none: this extension bundles no packages"),
    )
    problems = [f"{key} is {manifest.get(key)!r}; expected {wanted}" for key, good, wanted in rules if not good]
    permissions = manifest.get("permissions", {})
    if not isinstance(permissions, dict):
        return [*problems, "permissions is no table"]
    for name, reason in permissions.items():
        if name not in PERMISSIONS or not _is_text(reason) or not _is_short(reason):
            problems.append(f"the permission {name} = {reason!r}; expected one of {', '.join(sorted(PERMISSIONS))} "
                            f"with a reason of at most {MAX_TEXT} characters without a full stop")  # fmt: skip
    return problems


def archive_name(manifest: Mapping[str, Any]) -> str:
    """Name of the archive as Blender's own builder gives it."""
    return f"{manifest['id']}-{manifest['version']}.zip"


def package(out: Path, folder: Path | None = None, *, force: bool = False) -> Path:
    """Pack the extension as a .zip that Blender installs; equal files give equal bytes on every machine.

    Files are stored, not compressed: what a compressor makes of them depends on its version.

    Args:
        out: the archive, or a folder that gets one with the usual name.
        folder: the extension; None is the one that comes with the toolkit.

    Returns:
        The path of the archive.

    Raises:
        FormatError: if the manifest is broken; nothing is written then.
        HgsError: if the file exists and not ``force``, or cannot be written.
    """
    folder = folder or extension_folder()
    manifest = read_manifest(folder)
    if problems := check_manifest(manifest):
        raise FormatError(f"{folder / MANIFEST}: " + "; ".join(problems))
    target = out if out.suffix.lower() == ".zip" else out / archive_name(manifest)
    with atomic_path(target, force=force) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in sorted(_members(folder)):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, FILE_MODE
            archive.writestr(entry, path.read_bytes())
    return target


def _members(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names in the archive, with forward slashes, and paths of the files that belong to the extension.

    The toolkit's extension gets the shared parsers from the toolkit's own folder, because the link to them does not
    exist in an installed package and is a text file in a clone without links.
    """
    members = dict(_files(folder))
    if folder.resolve() == extension_folder():
        parsers = Path(__file__).resolve().parents[1] / "parsing"
        members |= {f"{PARSING}/{name}": path for name, path in _files(parsers)}
    yield from members.items()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names below ``folder`` and paths of the files that are of the kinds that an extension has."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden and (path.suffix in SUFFIXES or path.name == LICENSE):
            yield "/".join(parts), path


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_short(value: str) -> bool:
    return len(value) <= MAX_TEXT and value[-1] not in ".!?:;,"


def _are_tags(value: object) -> bool:
    return isinstance(value, list) and _are_texts(value) and all(tag in TAGS for tag in value)


def _are_copyrights(value: object) -> bool:
    return isinstance(value, list) and _are_texts(value) and all(COPYRIGHT.fullmatch(text) for text in value)


def _are_texts(value: object, prefix: str = "") -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(v) and v.startswith(prefix) for v in value)
