"""The archive: the same bytes everywhere, what Blender's schema asks for, nothing that does not belong."""

from __future__ import annotations

import ast
import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hgs_toolkit.parsing
from hgs_toolkit.blender import check_archive, check_manifest, extension_folder, package, read_manifest
from hgs_toolkit.errors import FormatError, HgsError

MakeProgram = Callable[..., Path]

MANIFEST = """
schema_version = "1.0.0"
id = "example"
version = "1.2.3"
name = "Example"
tagline = "Shows what it does"
maintainer = "Somebody"
type = "add-on"
blender_version_min = "4.5.0"
license = ["SPDX:GPL-3.0-or-later"]
[permissions]
files = "Read files"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "extension"
    (folder / "nodes").mkdir(parents=True)
    (folder / "blender_manifest.toml").write_text(MANIFEST)
    for name in ("__init__.py", "LICENSE", "nodes/__init__.py", "nodes/tree.py"):
        (folder / name).write_text(f"# {name}\n")
    return folder


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = package(tmp_path / "one", folder)
    assert first == tmp_path / "one" / "example-1.2.3.zip"
    copy = tmp_path / "copy"
    for path in sorted(folder.rglob("*"), reverse=True):  # made in another order, at another time, with other rights
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copy(path, target)
            os.utime(target, (1e9, 1e9))
            target.chmod(0o600)
    assert package(tmp_path / "two.zip", copy).read_bytes() == first.read_bytes()


def test_only_what_belongs_to_the_extension_is_packed(folder: Path, tmp_path: Path) -> None:
    for name in ("__pycache__/a.pyc", ".hidden/a.py", ".secret.py", "scene.blend1", "nodes/__pycache__/b.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    with zipfile.ZipFile(package(tmp_path, folder)) as archive:
        assert archive.namelist() == [
            "LICENSE", "__init__.py", "blender_manifest.toml", "nodes/__init__.py", "nodes/tree.py",
        ]  # fmt: skip
        assert archive.testzip() is None


def test_an_archive_in_the_way_stays_unless_forced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(HgsError, match="exists already"):
        package(tmp_path / "a.zip", folder)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"
    assert zipfile.is_zipfile(package(tmp_path / "a.zip", folder, force=True))


BREAKS: list[tuple[dict[str, Any], str]] = [
    ({"schema_version": "2.0.0"}, "schema_version"), ({"id": "a-b"}, "id"), ({"id": "_a"}, "id"),
    ({"version": "1"}, "version"), ({"type": "theme"}, "type"), ({"tagline": "Ends with a stop."}, "tagline"),
    ({"tagline": "x" * 65}, "tagline"), ({"blender_version_min": "4.5"}, "blender_version_min"),
    ({"license": "GPL"}, "license"), ({"license": ["GPL-3.0"]}, "license"), ({"maintainer": ""}, "maintainer"),
    ({"wheels": ["a.whl"]}, "wheels"), ({"permissions": {"files": ""}}, "permission"), ({"tags": [1]}, "tags"),
    ({"tags": ["Splats"]}, "tags"), ({"copyright": ["Somebody"]}, "copyright"), ({"copyright": "2026 A"}, "copyright"),
    ({"permissions": {"everything": "Because"}}, "permission"), ({"permissions": ["files"]}, "permissions"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), BREAKS)
def test_every_rule_of_the_schema_is_checked(change: dict[str, Any], named: str, folder: Path) -> None:
    good = read_manifest(folder)
    assert check_manifest(good) == []
    assert any(named in problem for problem in check_manifest(good | change))


def test_nothing_is_packed_with_a_broken_manifest(folder: Path, tmp_path: Path) -> None:
    (folder / "blender_manifest.toml").write_text(MANIFEST.replace("1.2.3", "one"))
    with pytest.raises(FormatError, match="version is 'one'; expected a semantic version"):
        package(tmp_path / "a.zip", folder)
    assert not (tmp_path / "a.zip").exists()
    (folder / "blender_manifest.toml").write_text("= 3")
    with pytest.raises(FormatError, match="is no TOML"):
        package(tmp_path / "a.zip", folder)


def _archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__dot__", "."), text)
    return path


def test_archives_that_are_no_extension_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(FormatError, match="is no extension: File is not a zip file"):
        check_archive(tmp_path / "text.zip")
    with pytest.raises(FormatError, match="is no extension"):
        check_archive(tmp_path / "missing.zip")
    with pytest.raises(FormatError, match=r"has no blender_manifest\.toml at its top"):
        check_archive(_archive(tmp_path / "empty.zip"))
    with pytest.raises(FormatError, match=r"__init__\.py is missing"):
        check_archive(_archive(tmp_path / "half.zip", blender_manifest__dot__toml=MANIFEST))


def test_our_extension_packs_and_passes(tmp_path: Path) -> None:
    archive = package(tmp_path)
    assert check_archive(archive)
    manifest = read_manifest(extension_folder())
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(manifest["permissions"]) == {"files"}
    assert manifest["copyright"]
    assert archive.stat().st_size < 1_000_000


def test_our_extension_imports_neither_torch_nor_the_toolkit() -> None:
    for path in extension_folder().rglob("*.py"):
        imported = re.findall(r"^\s*(?:import|from)\s+(\w+)", path.read_text(), re.MULTILINE)
        assert not {"torch", "hgs_toolkit"} & set(imported), path


def test_the_packed_extension_reads_files_in_a_python_with_numpy_only(tmp_path: Path) -> None:
    """The shared parsers are in the archive, and nothing in it asks for the toolkit."""
    with zipfile.ZipFile(package(tmp_path)) as archive:
        archive.extractall(tmp_path / "extensions" / "packed")
    packages, numpy_folder = tmp_path / "packages", Path(np.__file__).parent
    packages.mkdir()
    for folder in (numpy_folder, numpy_folder.with_name("numpy.libs")):
        (packages / folder.name).symlink_to(folder)
    row = struct.pack("<6f8B", 1, 2, 3, 1, 1, 1, 255, 0, 0, 128, 255, 128, 128, 128)
    (tmp_path / "a.splat").write_bytes(row)
    header = struct.pack("<4sIIBBBB", b"NGSP", 2, 1, 0, 8, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + bytes([0, 1, 0, 0, 2, 0, 0, 3, 0]) + bytes(10)))
    code = (
        "import sys, pathlib, types; sys.path[:0] = sys.argv[1:3]; "
        "root = types.ModuleType('packed'); root.__path__ = [sys.argv[1] + '/packed']; sys.modules['packed'] = root; "
        "from packed.core.files.reading import read_splats; "
        "print(*(read_splats(pathlib.Path(path)).position.tolist() for path in sys.argv[3:])); "
        "assert not {'hgs_toolkit', 'torch', 'blender_addon'} & set(sys.modules)"
    )
    paths = [tmp_path / "extensions", packages, tmp_path / "a.splat", tmp_path / "a.spz"]
    command = [sys.executable, "-I", "-S", "-c", code, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[[1.0, 2.0, 3.0]] [[1.0, 2.0, 3.0]]\n"


def test_the_shared_parsers_import_nothing_but_numpy_and_the_standard_library() -> None:
    parsers = sorted(Path(hgs_toolkit.parsing.__path__[0]).glob("*.py"))
    assert len(parsers) >= 3
    for path in parsers:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, path
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "numpy"}, path


def test_packing_needs_no_package_but_the_standard_library() -> None:
    """Blender's own Python, which packs the extension in its tests, has neither torch nor safetensors."""
    code = "import hgs_toolkit.blender, sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "safetensors", "yaml", "typer"} & set(run.stdout.split())
