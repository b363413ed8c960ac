"""Is an archive an extension Blender takes? Blender's own checker says so where there is one, else its schema."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from hgs_toolkit.blender.extension import MANIFEST, check_manifest
from hgs_toolkit.blender.programs import Blender
from hgs_toolkit.errors import FormatError

CHECKER = "*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
"""Where the module ``bpy`` carries the program behind ``blender --command extension``; the star is a version."""

TAGS = "modules/_bpy_internal/extensions/tags.py"
"""File, below Blender's scripts, of the tags that its platform for extensions knows."""

CHECK_SECONDS = 120

MAX_MANIFEST = 1_000_000
"""Bytes of a manifest inside an archive; ours has one thousand."""

SCHEMA = "the schema of Blender's extensions"


def find_checker() -> Path | None:
    """``blender_ext.py`` of the ``bpy`` in this Python; None where that is not installed. ``bpy`` is not imported."""
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob(CHECKER))), None)


def check_archive(archive: Path, blender: Blender | None = None) -> str:
    """Check an extension's archive and say who did: Blender's own checker, or the schema.

    Args:
        blender: the program to ask; None asks the installed ``bpy``, or nobody.

    Raises:
        FormatError: with the checker's words, if it refuses the archive.
    """
    _check_by_schema(archive)
    checker = None if blender else find_checker()
    if blender is not None:
        _ask([str(blender.path), "--command", "extension", "validate", str(archive)], archive)
        return f"Blender {blender.version_text}"
    if checker is not None:
        tags = f"--valid-tags={checker.parents[3] / TAGS}"
        _ask([sys.executable, str(checker), "validate", tags, str(archive)], archive)
        return f"the checker of bpy {checker.parents[4].name}"
    return SCHEMA


def _check_by_schema(archive: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            names = file.namelist()
            if MANIFEST not in names:
                raise FormatError(f"{archive} has no {MANIFEST} at its top; pack it with 'hgs blender package'")
            if file.getinfo(MANIFEST).file_size > MAX_MANIFEST:
                raise FormatError(f"{archive}: its {MANIFEST} has over {MAX_MANIFEST} bytes; expected some hundred")
            manifest = tomllib.loads(file.read(MANIFEST).decode())
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{archive} is no extension: {error}; pack it with 'hgs blender package'") from error
    problems = check_manifest(manifest)
    if "__init__.py" not in names:
        problems.append("__init__.py is missing")
    if problems:
        raise FormatError(f"{archive}: " + "; ".join(problems))


def _ask(command: Sequence[str], archive: Path) -> None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FormatError(f"Blender's checker did not answer about {archive}: {error}") from error
    if answer.returncode:
        words = " ".join((answer.stdout + answer.stderr).split())[-500:]
        raise FormatError(f"Blender's checker refuses {archive}: {words}")
