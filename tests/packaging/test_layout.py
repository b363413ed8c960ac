"""The layout: folders at the top are importable below hgs_toolkit only, and the wheel holds one name."""

from __future__ import annotations

import email
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"cli": "cli", "exporters": "exporters", "training": "training"}
SHIPPED = "blender_addon"
"""A folder that the wheel carries for another program; it is not imported, so no link leads to it."""


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _packages() -> list[str]:
    """Every folder with an __init__.py, named as it is imported."""
    found = []
    for top in ("hgs_toolkit", *FOLDERS, SHIPPED):
        prefix = top if top == "hgs_toolkit" else f"hgs_toolkit.{top}"
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / top).parts
            if not (top == "hgs_toolkit" and parts and parts[0] in FOLDERS):
                found.append(".".join((prefix, *parts)))
    return sorted(found)


def test_the_list_of_packages_is_complete() -> None:
    tool = _project()["tool"]
    assert isinstance(tool, dict)
    assert sorted(tool["setuptools"]["packages"]) == _packages()


def test_the_links_lead_to_the_folders() -> None:
    for name in FOLDERS:
        link = ROOT / "hgs_toolkit" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
    parsers = ROOT / SHIPPED / "core" / "parsing"
    assert parsers.is_symlink()
    assert parsers.resolve() == ROOT / "hgs_toolkit" / "parsing"


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_the_folders_are_imported_from_where_they_stand(name: str) -> None:
    code = f"import hgs_toolkit.{name} as m; print(m.__file__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert Path(out.stdout.strip()).resolve() == ROOT / name / "__init__.py"


def test_importing_the_package_imports_no_command_line_exporters_or_training() -> None:
    code = (
        "import sys, hgs_toolkit; "
        "print([m for m in sys.modules if m.startswith(('hgs_toolkit.cli', 'hgs_toolkit.exporters', "
        "'hgs_toolkit.training', 'typer', 'rich', 'gsplat', 'numba'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # A copy: setuptools leaves build/ and egg-info behind, and another test run may build at the same time.
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.exists():
            target.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_exactly_one_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hgs_toolkit"}


def test_the_wheel_holds_every_module_preset_and_the_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "hgs_toolkit/py.typed" in names
    for preset in (ROOT / "hgs_toolkit/presets").glob("*.yaml"):
        assert f"hgs_toolkit/presets/{preset.name}" in names
    for part in (ROOT / "hgs_toolkit/viewer/page").iterdir():
        assert f"hgs_toolkit/viewer/page/{part.name}" in names
    for package in _packages():
        assert package.replace(".", "/") + "/__init__.py" in names
    assert {f"hgs_toolkit/{SHIPPED}/{name}" for name in ("blender_manifest.toml", "LICENSE")} <= names


def test_the_wheel_names_every_licence_of_its_parts_and_carries_their_texts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        metadata = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        texts = {name: archive.read(f"{folder}/licenses/{name}") for name in metadata.get_all("License-File", [])}
    assert metadata["License-Expression"] == "Apache-2.0 AND GPL-3.0-or-later AND CC0-1.0 AND CC-BY-4.0"
    titles = {
        "LICENSE": b"Apache License",
        "blender_addon/LICENSE": b"GNU GENERAL PUBLIC LICENSE",
        "hgs_toolkit/pretrained/LICENSE": b"CC0 1.0 Universal",
        "hgs_toolkit/pretrained/LICENSE-seating64": b"under CC-BY-4.0",
    }
    assert texts.keys() == titles.keys()
    assert all(title in texts[name] for name, title in titles.items())


def test_no_tracked_file_is_over_8_megabytes() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in filter(None, listed.split("\0")) if (ROOT / name).exists()}
    assert {name: size for name, size in sizes.items() if size > 8_000_000} == {}


def test_one_file_knows_where_the_samples_lie() -> None:
    """A test that counts the folders up to ``shared`` itself skips in silence once it is moved."""
    files = (ROOT / "tests").rglob("*.py")
    assert {file.name for file in files if '"shared" / "samples"' in file.read_text()} == {
        "samples.py",
        "test_layout.py",
    }
