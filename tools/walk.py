"""Walk through every command of README and docs as a new user would: in an empty folder, line by line, as they stand.

    python tools/walk.py [PAGE ...] [--keep FOLDER] [--jobs N]

The lines are taken from the pages themselves, so that the two cannot drift apart. Each must end with exit code 0, name
files that exist, and leave pictures whose subject is whole: nothing touches the border, and what is drawn of a splat
file over a transparent background has alpha 0 there. Long lines are shortened by the table SHORTER, which is printed;
NOT_WALKED says which lines are left out, and why. What a page expects to be there is made by tools/walk_inputs.py.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the look-alikes of the tests

from hgs_toolkit.cli.main import app  # noqa: E402
from hgs_toolkit.datasets import preparing  # noqa: E402
from hgs_toolkit.errors import FormatError  # noqa: E402
from hgs_toolkit.exporters.table import format_of  # noqa: E402
from tools.walk_inputs import make_inputs, names_of_snippets  # noqa: E402

PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]
"""Pages that are walked; docs/results/ tells what was done on a day."""

LONG = ("README.md", "docs/training.md", "docs/own-data.md", "docs/inversion.md")
"""Pages that take longest, which are begun first."""

SHORTER = [
    (r"^(hgs train .*)--(kimg|minutes) \d+ ?(.*)$", r"\1\3"),
    (r"^(hgs train .*)$", r"\1 --minutes 0.02"),
    (r"^(hgs train (?!.*--resume).*)$", r"\1 --set training.metric_kimg=0 --set training.grid=2"),
    (r"^(hgs train (?!.*--(?:resume|preset|init)\b).*)$", r"\1 --resolution 16"),
    (r"^(hgs dataset .*--count) \d+", r"\1 48"),
    (r"^(hgs synth .*--count) \d+", r"\1 40"),
    (r"^(hgs eval .*)--count \d+ --scenes \d+", r"\1"),
    (r"^(hgs eval .*)$", r"\1 --scenes 1"),
    (r"^(hgs eval .*--data .*)$", r"\1 --count 24"),
    (r"^(hgs invert .*)$", r"\1 --steps 4"),
    (r"^(hgs invert .*--space pti.*)$", r"\1 --tuning-steps 2"),
    (r"^(hgs (?:video|render) .*--frames) \d\d+", r"\1 6"),
    (r"^(hgs video (?!.*--frames).*)$", r"\1 --frames 6"),
    (r"^(hgs video .*--seeds) (?:0-5|0,1,2,3)", r"\1 0,1"),
    (r"^(hgs video .*--seeds) 0-11 --panes 4", r"\1 0-3 --panes 2"),
    (r"^(hgs (?:video|mix) (?!.*--size).*)$", r"\1 --size 64"),
    (r"^(hgs render (?!.*--size).*)$", r"\1 --size 128"),
    (r"^(hgs sample .*--seeds) 0-\d+", r"\1 0-1"),
    (r"^(hgs mesh (?!ASSET).*)$", r"\1 --resolution 64"),
    (r"^(hgs view.*)$", r"\1 --seconds 0.5"),
    (r" \[--json\] \[--pictures DIR\]$", " --json --pictures pictures"),
    (r"--models DIR\b", "--models models"),
    (r"(--preset ffhq256-gsgan .*) runs/more", r"\1 runs/other"),
]
"""Pattern and replacement, applied in turn: the same work, less of it; and words that stand for a user's own.

Besides these, 48 images are rendered of a folder of meshes, in place of 4,000 or more.
"""

NOT_WALKED = [
    (r"^(pip|make)\b", "installs, or is a target that CI runs"),
    (r"^(python|torchrun)\b|^\w+=\S+ python", "no command of hgs"),
    (r"^hgs blender (install|launch)", "needs Blender; tests/blender runs the extension in it"),
    (r"/shared/|\$SCRATCH", "a cluster's folders; tests/synthesis splits the work over processes"),
    (r"--device cuda", "needs a card; tests/gpu"),
    (r"--processes", "several processes; tests/cli/test_processes.py"),
    (r"^hgs mesh ASSET", "a synopsis"),
]
"""Lines that are left out, and why."""

WITH_SNIPPETS = ("README.md", "docs/mesh.md")
"""Pages whose Python is run as well; that of the others needs data of a user's own."""

PICTURES = {".png", ".gif", ".mp4"}
BORDERLESS = re.compile(r"found/|pictures/|^samples/contact|mix\.png$|tree\.png$|(^|/)(set|more|two)/|run/|runs/")
"""Pictures that fill their frame by intent: photographs, sheets with captions, training samples, a part of a scene."""

UNTRAINED = ("docs/reference_model.md",)
"""Pages whose model is an untrained look-alike, which fills its images."""

TOLERANCE = {".png": 2, ".gif": 12, ".mp4": 24}
"""Greatest difference, of 255, of border pixels from the corner's colour: palettes and compression move them."""

FAINT = 12
"""Greatest alpha, of 255, that border pixels may have: the last of a Gaussian's tail."""

PROBE = "--size 64 --background transparent --yaw 0,90 --pitch 0,30"
"""Views by which a splat file is looked at."""


@dataclass(frozen=True)
class Step:
    """A line of a page.

    Attributes:
        page: the page.
        line: the line's number, from 1.
        text: the command as it stands, without its comment.
    """

    page: str
    line: int
    text: str


def steps_of(page: str) -> list[Step]:
    """The commands in the page's blocks of code, with continued lines joined."""
    found, fenced, inside, begun = [], False, False, ""
    for number, text in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), start=1):
        if text.startswith("```"):
            fenced = not fenced
            inside = fenced and text[3:].strip() in ("", "bash")
            continue
        line = begun + re.sub(r"(^|\s)#\s.*$", "", text).strip()
        begun = line.removesuffix("\\") if inside and line.endswith("\\") else ""
        if inside and not begun and re.match(r"(hgs|pip|make|python|torchrun|\w+=\S+ \w+) ?", line):
            found.append(Step(page, number, re.sub(r"\s+", " ", line.removeprefix("OMP_NUM_THREADS=1 "))))
    return found


def walked(text: str) -> str:
    """The line as it is run."""
    for pattern, replacement in SHORTER:
        text = re.sub(pattern, replacement, text)
    return text


def walk(page: str, folder: Path) -> list[str]:
    """Run a page's commands in ``folder``, which is made; returns what is wrong."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    preparing.RENDERED = (48, 48)
    torch.set_num_threads(1)
    problems = _run_snippets(page) if page in WITH_SNIPPETS else []
    for step in steps_of(page):
        if why := reason(step):
            print(f"{page}:{step.line}  not walked: {step.text}  ({why})", flush=True)
            continue
        text, begun = walked(step.text), time.process_time()
        words = shlex.split(text)[1:]
        make_inputs(words)
        result = CliRunner().invoke(app, words)
        if result.exit_code == 1 and "exists already; add --force" in result.stderr:  # another way to the same file
            result = CliRunner().invoke(app, [*words, "--force"])
        print(f"{page}:{step.line}  {time.process_time() - begun:.1f} s  {text}", flush=True)
        wrong = [f"exit code {result.exit_code}: {result.stderr.strip()[-300:]}"] if result.exit_code else []
        named = [Path(name) for name in _told(result.stdout)]
        wrong += [fault for path in named for fault in _faults(path, framed=page not in UNTRAINED)]
        for fault in wrong:
            print(f"{page}:{step.line}  FAULT  {fault}", flush=True)
        problems += [f"{page}:{step.line}  {text}\n    {fault}" for fault in wrong]
    return problems


def _told(stdout: str) -> list[str]:
    """The files that a command names, of each kind the first two."""
    names: dict[str, list[str]] = {}
    for name in stdout.splitlines():
        names.setdefault(Path(name).suffix, []).append(name)
    return [name for kind in names.values() for name in kind[:2]]


def _run_snippets(page: str) -> list[str]:
    """Run a page's Python in a folder of its own; returns what is wrong."""
    Path("python").mkdir()
    with contextlib.chdir("python"):
        names = names_of_snippets()
        for snippet in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
            try:
                exec(compile(snippet, page, "exec"), names)
            except Exception as error:  # whatever a reader would meet
                return [f"{page}: its Python ends with {type(error).__name__}: {error}"]
    return []


def reason(step: Step) -> str:
    """Why a line is left out; empty for one that is walked."""
    return next((reason for pattern, reason in NOT_WALKED if re.search(pattern, step.text)), "")


def _faults(path: Path, *, framed: bool) -> list[str]:
    """What is wrong with a file that a command named; nothing where the line of stdout is no path.

    Args:
        framed: whether a subject must be whole.
    """
    if " " in path.name or not path.suffix:
        return []
    if not path.is_file():
        return [f"{path} was announced and is not there"] if path.suffix in PICTURES else []
    if not path.stat().st_size:
        return [f"{path} is empty"]
    if not framed:
        return []
    if path.suffix in PICTURES:
        return [] if BORDERLESS.search(path.as_posix()) or is_whole(path) else [f"{path}: the subject is cut off"]
    return [] if _has_clear_borders(path) else [f"{path}: its subject is cut off in hgs render"]


def is_whole(path: Path) -> bool:
    """Whether nothing in an image, or in the first frame of a video, touches its border."""
    image = np.asarray(imageio.imread(path, index=0))
    if image.ndim == 3 and image.shape[2] == 4:
        return bool(_border(image[..., 3]).max() <= FAINT)
    border = _border(image.astype(np.int64).reshape(*image.shape[:2], -1))
    return bool((np.abs(border - border[0]) <= TOLERANCE[path.suffix]).all())


def _has_clear_borders(path: Path) -> bool:
    """Whether every view of a splat file leaves the border of its image transparent; true of other files."""
    try:
        if format_of(path).reader is None:
            return True
    except FormatError:
        return True
    probe = path.with_name(f"probe-{path.name}.png")
    result = CliRunner().invoke(app, ["render", str(path), str(probe), *PROBE.split(), "--force"])
    if result.exit_code:
        return "splat file" in result.stderr  # a mesh in a .ply or .glb, which is none
    alpha = np.asarray(imageio.imread(probe))[..., 3]
    panes = [pane for row in np.split(alpha, 2) for pane in np.split(row, 2, axis=1)]
    return all(_border(pane).max() <= FAINT for pane in panes)


def _border(image: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels (P, ...) of an image (H, W, ...), the corner first."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk through every command of README and docs.")
    parser.add_argument("pages", nargs="*", help=f"pages to walk, of {', '.join(PAGES)}; all by default")
    parser.add_argument("--keep", type=Path, help="folder that keeps what the commands make, a folder for each page")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="pages that are walked at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = (options.keep or Path(temporary)).resolve()
        pages = options.pages or sorted(PAGES, key=lambda page: page not in LONG)
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            found = pool.map(walk, pages, [base / page.replace("/", "-") for page in pages])
            problems = [problem for problems in found for problem in problems]
    print("\n".join(problems) or "every line did what its page says")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
