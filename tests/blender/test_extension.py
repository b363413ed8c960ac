"""The extension as Blender sees it: valid, packed as Blender would, installed, used, removed without a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest

from hgs_toolkit.blender import check_archive, extension_folder, find_checker
from hgs_toolkit.blender.programs import open_arguments

ROOT = Path(__file__).resolve().parents[2]
MODULE = "bl_ext.user_default.hgs_toolkit"


def test_blenders_own_checker_accepts_the_archive(archive: Path) -> None:
    assert check_archive(archive).startswith("the checker of bpy ")


def test_blenders_own_builder_packs_the_same_files(archive: Path, tmp_path: Path) -> None:
    checker, built, source = find_checker(), tmp_path / "built.zip", tmp_path / "source"
    shutil.copytree(extension_folder(), source)  # the builder passes over links, such as that to the shared parsers
    command = [
        sys.executable,
        str(checker),
        "build",
        "--source-dir",
        str(source),
        "--output-filepath",
        str(built),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(archive) as ours, zipfile.ZipFile(built) as theirs:
        names = {name for name in theirs.namelist() if not name.endswith("/")}
        assert set(ours.namelist()) == names
        assert all(ours.read(name) == theirs.read(name) for name in names)


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_installs_works_and_leaves_without_touching_the_users_configuration(
    archive: Path, tmp_path: Path, make_splats: Callable[..., Any], save_hgs: Callable[..., None]
) -> None:
    home, resources, splats = tmp_path / "home", tmp_path / "resources", tmp_path / "some splats.hgs"
    major, minor, _ = bpy.app.version
    config = home / ".config" / "blender" / f"{major}.{minor}" / "config"
    config.mkdir(parents=True)
    (config / "userpref.blend").write_bytes(b"the user's own")
    resources.mkdir()
    before = everything_below(home)
    save_hgs(splats, make_splats(0))
    environment = os.environ | {
        "HOME": str(home), "BLENDER_USER_RESOURCES": str(resources), "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(home / ".config"), "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "tests/blender/lifecycle.py"), str(archive), str(splats), MODULE]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    facts = json.loads(run.stdout.rpartition("FACTS")[2])
    assert facts.pop("user").startswith(str(resources))
    assert facts == {
        "installed by": 0, "installed": True, "enabled": True, "import": ["FINISHED"], "gaussians": 340,
        "enabled after disabling": False, "left behind": [], "operators left": [], "enabled again": True,
        "removed by": 0, "installed after removing": False, "enabled after removing": False,
    }  # fmt: skip
    assert everything_below(home) == before


def test_what_launch_runs_shows_the_splats_alone_and_tells_what_cannot_be_opened(
    addon: Callable[[str], Any], make_splats: Callable[..., Any], save_hgs: Callable[..., None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    addon("ui.viewing")
    good, broken = tmp_path / "some splats.hgs", tmp_path / "broken.hgs"
    save_hgs(good, make_splats(0))
    broken.write_bytes(good.read_bytes()[:-1])
    cube = bpy.data.objects.new("Cube", None)  # as in Blender's startup file
    bpy.context.scene.collection.objects.link(cube)

    def launch(path: Path) -> None:
        arguments = open_arguments("hgs_toolkit", path)
        monkeypatch.setattr(sys, "argv", ["blender", *arguments])
        exec(arguments[arguments.index("--python-expr") + 1], {})

    with pytest.raises(SystemExit, match=r"^broken\.hgs: it is truncated"):
        launch(broken)
    launch(good)
    assert [obj.name for obj in bpy.context.scene.objects] == ["some splats"]
    assert bpy.context.scene.render.engine == "HGS_EXACT"
    assert bpy.context.scene.view_settings.view_transform == "Raw"
