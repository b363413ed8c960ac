"""Blenders on this machine: finding them, installing the extension into one, opening a file in it.

Programs are always started with a list of arguments and without a shell.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgs_toolkit.blender.extension import MIN_BLENDER
from hgs_toolkit.errors import HgsError

ENVIRONMENT = "HGS_BLENDER"
"""Variable that names the Blender to use."""

PLACES = {
    "linux": ("/usr/bin/blender", "/usr/local/bin/blender", "/snap/bin/blender", "/opt/blender*/blender",
              "~/blender*/blender", "~/Applications/blender*/blender",
              "~/.local/share/Steam/steamapps/common/Blender/blender"),
    "darwin": ("/Applications/Blender*.app/Contents/MacOS/Blender",
               "~/Applications/Blender*.app/Contents/MacOS/Blender"),
    "win32": (r"C:\Program Files\Blender Foundation\Blender *\blender.exe",
              r"C:\Program Files (x86)\Steam\steamapps\common\Blender\blender.exe"),
}  # fmt: skip
"""Where installers and people put Blender, as patterns, by ``sys.platform``."""

REPOSITORY = "user_default"
"""Blender's repository for extensions installed from a file."""

VERSION_LINE = re.compile(r"^Blender (\d+)\.(\d+)\.(\d+)", re.MULTILINE)
VERSION_SECONDS = 60
INSTALL_SECONDS = 300


@dataclass(frozen=True)
class Blender:
    """A Blender program and what it says its version is."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """The version as text, such as ``4.5.3``."""
        return ".".join(map(str, self.version))

    @property
    def suits(self) -> bool:
        """Whether the extension runs in it."""
        return self.version >= MIN_BLENDER


def find_blenders() -> list[Blender]:
    """Every Blender that is found, too old ones included, the newest first."""
    found: dict[Path, Blender] = {}
    for path in _candidates():
        real = path.resolve()
        if real not in found and (blender := ask_version(path)):
            found[real] = blender
    return sorted(found.values(), key=lambda blender: blender.version, reverse=True)


def find_blender(preferred: Path | None = None) -> Blender:
    """The Blender at ``preferred``, else the one of ``$HGS_BLENDER``, else the newest that is found.

    Raises:
        HgsError: if there is none, it does not answer, or it is too old.
    """
    wanted = preferred or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    least = ".".join(map(str, MIN_BLENDER))
    if wanted is not None:
        path = shutil.which(wanted.expanduser())
        blender = ask_version(Path(path)) if path else None
        if blender is None:
            raise HgsError(f"{wanted} is no Blender that can be run; give the path of the program")
    else:
        blender = next(iter(find_blenders()), None)
        if blender is None:
            raise HgsError(
                f"no Blender was found on PATH or where installers put it; name it with --blender or ${ENVIRONMENT}"
            )
    if not blender.suits:
        raise HgsError(f"{blender.path} is Blender {blender.version_text}; the extension needs {least} or newer")
    return blender


def ask_version(path: Path) -> Blender | None:
    """The Blender at ``path``, or None if it is not a program, does not answer in time, or is another program."""
    try:
        answer = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            timeout=VERSION_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION_LINE.search(answer.stdout)
    return Blender(path, (int(match[1]), int(match[2]), int(match[3]))) if match else None


def install_arguments(archive: Path) -> list[str]:
    """Arguments with which Blender installs and enables the extension in ``archive``, without a window."""
    return ["--command", "extension", "install-file", "--repo", REPOSITORY, "--enable", str(archive.resolve())]


def install(blender: Blender, archive: Path) -> None:
    """Install and enable the extension in ``archive``, as the user who calls.

    Raises:
        HgsError: with Blender's words, if it fails.
    """
    try:
        answer = subprocess.run(
            [str(blender.path), *install_arguments(archive)], capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HgsError(f"{blender.path} did not install {archive}: {error}") from error
    if answer.returncode:
        raise HgsError(f"{blender.path} refused {archive}: {_last_line(answer.stderr + answer.stdout)}")


def open_arguments(identifier: str, asset: Path) -> list[str]:
    """Arguments with which Blender starts, enables the extension for this session and imports ``asset``.

    The path travels as an argument of its own, behind ``--``, and never as source text.
    """
    code = _enabling(identifier) + (
        "cube = None if bpy.data.filepath else bpy.data.objects.get('Cube')\n"
        "if cube is not None:\n"  # of the startup file: the splats would be inside of it
        "    bpy.data.objects.remove(cube)\n"
        "try:\n"
        "    bpy.ops.hgs.import_splats(filepath=sys.argv[-1])\n"
        "except RuntimeError as error:\n"  # what the operator reports; left alone, Blender would end with this source
        "    sys.exit(str(error).splitlines()[0].removeprefix('Error: '))\n"
        "bpy.ops.hgs.set_up_scene()\n"
        "bpy.ops.hgs.view_exactly(approach=True)\n"
    )
    return ["--python-exit-code", "1", "--python-expr", code, "--", str(asset.resolve())]


def assets_arguments(identifier: str, batch: Path, library: Path, author: str, *, replace: bool) -> list[str]:
    """Arguments with which Blender, without a window, writes the seeds in the folder ``batch`` into a .blend of assets.

    Paths and the author travel as arguments of their own, as in :func:`open_arguments`.
    """
    code = _enabling(identifier) + (
        "author, replace, batch, library = sys.argv[-4:]\n"
        "bpy.context.scene.hgs_seeds.folder = batch\n"
        "try:\n"
        "    bpy.ops.hgs.write_assets(filepath=library, author=author, replace=replace == 'replace', show=False)\n"
        "except RuntimeError as error:\n"
        "    sys.exit(str(error).splitlines()[0].removeprefix('Error: '))\n"
    )
    words = [author, "replace" if replace else "keep", str(batch.resolve()), str(library.resolve())]
    return ["--background", "--python-exit-code", "1", "--python-expr", code, "--", *words]


def write_assets(
    blender: Blender, identifier: str, batch: Path, library: Path, author: str = "", *, replace: bool = False
) -> None:
    """Let Blender write the seeds that ``hgs sample`` left in ``batch`` into the asset library ``library`` (.blend).

    Raises:
        HgsError: with Blender's words, if it fails.
    """
    command = [str(blender.path), *assets_arguments(identifier, batch, library, author, replace=replace)]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                                check=False)  # fmt: skip
    except OSError as error:
        raise HgsError(f"cannot start {blender.path}: {error.strerror}") from error
    if answer.returncode or not library.is_file():
        raise HgsError(f"{blender.path} did not write {library}: {_last_line(answer.stderr or answer.stdout)}")


def _enabling(identifier: str) -> str:
    """The beginning of a script for Blender: it enables the extension for this session."""
    return (
        "import sys, bpy, addon_utils\n"
        f"if addon_utils.enable('bl_ext.{REPOSITORY}.{identifier}') is None:\n"
        "    sys.exit('the extension is not installed: run hgs blender install')\n"
    )


def open_in(blender: Blender, identifier: str, asset: Path, extra: Sequence[str] = ()) -> None:
    """Start Blender with ``asset`` and wait until it is closed.

    Args:
        identifier: of the extension, as its manifest says.
        asset: a file the extension reads.
        extra: further arguments of Blender, before ours.

    Raises:
        HgsError: if Blender cannot be started or the file cannot be opened in it.
    """
    command = [str(blender.path), *extra, *open_arguments(identifier, asset)]
    try:
        answer = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                                errors="replace", check=False)  # fmt: skip
    except OSError as error:
        raise HgsError(f"cannot start {blender.path}: {error.strerror}") from error
    if answer.returncode:
        raise HgsError(f"{blender.path} did not open {asset}: {_last_line(answer.stderr)}")


def _candidates() -> Iterator[Path]:
    """Paths where a Blender may be, on PATH first."""
    if on_path := shutil.which("blender"):
        yield Path(on_path)
    for pattern in PLACES.get(sys.platform, ()):
        yield from map(Path, sorted(glob.glob(os.path.expanduser(pattern))))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
