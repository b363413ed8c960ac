"""Splat files written and read by the toolkit and by others' programs, in turn in one run: gsply and splat-transform.

    python benchmarks/bench_peers.py [--count 1000000] [--count3 200000] [--sog3 20000] [--rounds 3] [--commands 2]

Library calls are compared with library calls of gsply (pip), whole commands (``hgs export a.ply b.sog``) with whole
commands of splat-transform (npm, run by node, without a graphics card). The toolkit depends on neither: where one is
missing, its rows are left out and the command that installs it is printed. Scenes are random, of degree 0 and 3.

Seconds are processor time, that of child processes and of all their threads included (the clock in brackets): the least
of the rounds. PSNR compares an image of what was written, read back by the toolkit, with one of the scene.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.stored import StoredSplats, splats_of
from hgs_toolkit.exporters.table import FORMATS, export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render

ROOT = Path(__file__).parents[1]
PACKAGE = "@playcanvas/splat-transform"
NODE_FOLDERS = (ROOT / "build" / "peers", ROOT / "tests" / "oracles" / "node")
"""Folders whose node_modules are looked into for splat-transform; the second is that of ``make test-oracles``."""

INSTALL_GSPLY = "gsply is missing: pip install gsply"
INSTALL_SPLAT_TRANSFORM = (
    f"{PACKAGE} is missing: npm install --prefix build/peers --ignore-scripts {PACKAGE} (node 20 or newer)"
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Variables that keep our commands to one thread; splat-transform has --max-workers."""

UNTURNED = {".spz": "rdf"}
"""Frame in which a peer's file is read that turns nothing on its way from a .ply."""

SIZE = 512
"""Pixels along a side of the images that are compared."""

Step = Callable[[], object]


@dataclass(frozen=True)
class Seconds:
    """Time of one call: of the processor, child processes included, and by the clock."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s ({self.wall:.1f})"


@dataclass(frozen=True)
class Case:
    """Something that both do.

    Attributes:
        name: what is done.
        peer: who else does it.
        ours, theirs: do it.
        files: what we and they write; None where it is only read.
    """

    name: str
    peer: str
    ours: Step
    theirs: Step
    files: tuple[Path, Path] | None = None


def make_scene(count: int, degree: int) -> GaussianHierarchy:
    """Random Gaussians in a ball of radius 1, of all colours; harmonics of higher degree are weaker."""
    generator = torch.Generator().manual_seed(degree)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, count, *shape, generator=generator)

    sh = normal((degree + 1) ** 2, 3)
    sh *= torch.tensor([0.7] + [0.1] * (sh.shape[2] - 1))[:, None]
    return GaussianHierarchy(
        means=0.3 * normal(3), log_scales=0.5 * normal(3) - 5.5, quats=normal(4), sh=sh, opacity_logits=1.5 * normal(),
    )  # fmt: skip


def measured(step: Step) -> Seconds:
    def cpu() -> float:
        usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before, start = cpu(), time.perf_counter()
    step()
    return Seconds(cpu() - before, time.perf_counter() - start)


def library_cases(scene: GaussianHierarchy, folder: Path, degree: int) -> Iterator[Case]:
    """Reading and writing in memory, against gsply."""
    import gsply

    splats = splats_of(scene, "rdf")
    turned = splats_of(scene, "y_up")  # gsply turns nothing
    formats = {row.suffix: row for row in FORMATS}
    calls: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
        ".ply": (lambda path: gsply.plywrite(path, of_arrays(splats)), gsply.plyread),
        ".compressed.ply": (lambda path: gsply.plywrite(path, of_arrays(splats), compressed=True), gsply.plyread),
        ".spz": (lambda path: gsply.write_spz(path, of_arrays(turned)), gsply.read_spz),
    }
    for suffix, (write, read) in calls.items():
        writer = formats[suffix].writer
        assert writer is not None
        files = folder / f"ours{degree}{suffix}", folder / f"gsply{degree}{suffix}"
        ours, theirs = partial(writer, files[0], scene, ExportOptions()), partial(write, files[1])
        yield Case(f"write `{suffix}`", "gsply", ours, theirs, files)
        yield Case(f"read `{suffix}`", "gsply", partial(load, files[0]), partial(read, files[0]))


def of_arrays(splats: StoredSplats) -> Any:
    """gsply's scene of arrays that no file stands behind."""
    import gsply

    return gsply.GSData(
        means=splats.means, scales=splats.log_scales, quats=splats.quats, opacities=splats.logits,
        sh0=splats.sh[:, 0], shN=splats.sh[:, 1:],
    )  # fmt: skip


def command_cases(cli: Path, plain: Path, folder: Path, suffixes: list[str], limit: float) -> Iterator[Case]:
    """Conversions from and to a .ply, against splat-transform."""

    def ours(source: Path, target: Path) -> Step:
        return partial(run, [sys.executable, "-m", "hgs_toolkit.cli", "export", source, target, "--force"], limit)

    def theirs(source: Path, target: Path) -> Step:
        return partial(run, ["node", cli, "-q", "-w", "-g", "cpu", "--max-workers", "0", source, target], limit)

    for suffix in suffixes:
        files = folder / f"{plain.stem}-ours{suffix}", folder / f"{plain.stem}-theirs{suffix}"
        yield Case(f"`.ply` to `{suffix}`", "splat-transform", ours(plain, files[0]), theirs(plain, files[1]), files)
        if suffix != ".glb":  # which splat-transform only writes
            yield Case(
                f"`{suffix}` to `.ply`", "splat-transform", ours(files[0], folder / "back-ours.ply"),
                theirs(files[0], folder / "back-theirs.ply"),
            )  # fmt: skip


def run(command: list[Any], limit: float) -> None:
    """Run a program to its end; what it says is shown if it fails."""
    words, environment = list(map(str, command)), os.environ | ONE_THREAD
    done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr or done.stdout}")


def timed(case: Case, rounds: int) -> tuple[Seconds, Seconds] | None:
    """The least of the rounds, ours and theirs in turn; None where one of them takes longer than the limit."""
    found: list[tuple[Seconds, Seconds]] = []
    for _ in range(rounds):
        try:
            found.append((measured(case.ours), measured(case.theirs)))
        except subprocess.TimeoutExpired as error:
            print(f"<!-- {case.name}: {Path(str(error.cmd[0])).name} took more than {error.timeout:g} s -->")
            return None
    ours, theirs = zip(*found, strict=True)
    return min(ours, key=lambda one: one.cpu), min(theirs, key=lambda one: one.cpu)


@torch.inference_mode()
def image_of(scene: GaussianHierarchy) -> torch.Tensor:
    return render(scene, frontal(1.4), SIZE, SIZE)[0]


def psnr(image: torch.Tensor, wanted: torch.Tensor) -> float:
    return -10 * math.log10(max(float((image - wanted).square().mean()), 1e-12))


def line(case: Case, scene: str, rounds: int, wanted: torch.Tensor) -> str:
    """A row of the table."""
    both = timed(case, rounds)
    if both is None:
        return f"| {scene} | {case.name} | {case.peer} | | | longer than the limit | | |"
    ours, theirs = both
    sizes = likeness = ""
    if case.files is not None:
        ending = case.files[1].name[case.files[1].name.index(".") :]
        frame = UNTURNED.get(ending) if case.peer == "splat-transform" else None
        written = load(case.files[0]), load(case.files[1], frame)
        sizes = ", ".join(f"{file.stat().st_size / 1e6:.1f}" for file in case.files)
        if ending != ".glb":  # exact in both, and seen from behind in theirs
            likeness = ", ".join(f"{psnr(image_of(one), wanted):.1f}" for one in written)
    ratio = ours.cpu / theirs.cpu
    return f"| {scene} | {case.name} | {case.peer} | {ours} | {theirs} | {ratio:.2f} | {sizes} | {likeness} |"


def find_splat_transform() -> tuple[Path, str] | None:
    """Its program and version; None where it or node is missing."""
    for folder in NODE_FOLDERS:
        package = folder / "node_modules" / PACKAGE
        if shutil.which("node") and (package / "package.json").is_file():
            return package / "bin" / "cli.mjs", json.loads((package / "package.json").read_text())["version"]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="Gaussians of degree 0")
    parser.add_argument("--count3", type=int, default=200_000, help="Gaussians of degree 3")
    parser.add_argument("--sog3", type=int, default=20_000, help="Gaussians of degree 3 that become a .sog")
    parser.add_argument("--rounds", type=int, default=3, help="of library calls")
    parser.add_argument("--commands", type=int, default=2, help="rounds of whole commands")
    parser.add_argument("--peers", nargs="+", default=["gsply", "splat-transform"])
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a command is given up")
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    has_gsply, program = importlib.util.find_spec("gsply") is not None, find_splat_transform()
    if has_gsply:
        import gsply

        print(f"gsply {gsply.__version__}, NumPy {np.__version__}")
    else:
        print(INSTALL_GSPLY)
    if program:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"splat-transform {program[1]}, node {node}")
    else:
        print(INSTALL_SPLAT_TRANSFORM)
    print("| Gaussians, degree | what | peer | ours: CPU (clock) | peer's | ours / peer's | MB | PSNR, dB |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    packed = [".spz", ".compressed.ply", ".sog", ".glb"]
    scenes = ((options.count, 0, packed), (options.count3, 3, packed[:2]), (options.sog3, 3, [".sog"]))
    for count, degree, suffixes in scenes:
        with tempfile.TemporaryDirectory() as name:
            folder, scene = Path(name), make_scene(count, degree)
            plain, wanted = folder / f"scene{degree}.ply", image_of(scene)
            export(scene, plain)
            cases = list(library_cases(scene, folder, degree)) if has_gsply and ".spz" in suffixes else []
            if program:
                cases += command_cases(program[0], plain, folder, suffixes, options.limit)
            for case in (case for case in cases if case.peer in options.peers):
                rounds = options.rounds if case.peer == "gsply" else options.commands
                print(line(case, f"{count:,}, {degree}", rounds, wanted), flush=True)


if __name__ == "__main__":
    main()
