"""A clone whose links are small text files, as git makes them on Windows where links are not allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hgs_toolkit.blender import package

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, each link replaced by a file that holds the link's target as text."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    links = 0
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if name.startswith(("docs/", "tests/")) or not (source.exists() or source.is_symlink()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.write_text(os.readlink(source))
            links += 1
        else:
            shutil.copyfile(source, target)
    assert links >= 3
    return folder


def install(clone: Path, hook: str, site: Path) -> None:
    """Build the clone with setuptools' ``hook`` and unpack the wheel into ``site``, which is what pip does with it."""
    code = f"from setuptools import build_meta; print(build_meta.{hook}({str(site.parent)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(site.parent / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)


def sample(site: Path, out: Path) -> str:
    """Run ``hgs sample`` with the toolkit of ``site`` alone; returns the path of the package that ran."""
    code = (
        "import site, sys; site.addsitedir(sys.argv[1]); sys.path.append(sys.argv[2]); "
        "import hgs_toolkit.training.loop; print(hgs_toolkit.__path__[0], file=sys.stderr); "
        "from hgs_toolkit.cli.main import main; "
        "sys.argv = ['hgs', 'sample', '--seeds', '0', '--out', sys.argv[3]]; main()"
    )
    # Without the module site (-S), so that an editable install of this very checkout is not found first.
    packages = sysconfig.get_path("purelib")
    command = [sys.executable, "-I", "-S", "-c", code, str(site), packages, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[0]


def pack(place: Path, out: Path) -> bytes:
    """The Blender extension as the toolkit in ``place`` packs it."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from hgs_toolkit.blender import package; import pathlib; "
    code += "package(pathlib.Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(place), str(out)], check=True)
    return out.read_bytes()


def test_the_extension_is_packed_the_same_from_the_clone(clone: Path, tmp_path: Path) -> None:
    assert (clone / "blender_addon" / "core" / "parsing").is_file()
    assert pack(clone, tmp_path / "clone.zip") == package(tmp_path / "here.zip").read_bytes()


def test_a_plain_install_samples_and_packs_the_extension(clone: Path, tmp_path: Path) -> None:
    install(clone, "build_wheel", tmp_path / "site")
    assert pack(tmp_path / "site", tmp_path / "site.zip") == package(tmp_path / "here.zip").read_bytes()
    assert sample(tmp_path / "site", tmp_path / "out") == str(tmp_path / "site" / "hgs_toolkit")
    assert (tmp_path / "out" / "seed0000.hgs").is_file()


def test_an_editable_install_samples_from_the_clone(clone: Path, tmp_path: Path) -> None:
    install(clone, "build_editable", tmp_path / "site")
    assert sample(tmp_path / "site", tmp_path / "out") == str(clone / "hgs_toolkit")
    assert (tmp_path / "out" / "seed0000.hgs").is_file()
