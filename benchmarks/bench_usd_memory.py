"""The least memory in which USD files are read: how far the bound of usd_child.py is from what valid files need.

    python benchmarks/bench_usd_memory.py FILE ... [--make FOLDER]

For each file, the bound above what the process holds before it reads is halved until the reading fails. ``--make``
first writes extremes: long and short numbers whose count is just beyond a power of two (where the text parser's vector
has doubled), and one Gaussian among thousands of other prims. Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hgs_toolkit.exporters.splats import usd_child

STAND_IN = "import sys, usd_child; usd_child.allowance = lambda path: {most}; usd_child.main(*sys.argv[1:3], 2**40)"
"""The child's program with another bound."""

STEP = 2**14

OTHER = """def Xform "part_{index}"
{{
    double3 xformOp:translate = ({index}, {x}, 2)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}}
"""

PATIENCE = 30
"""Seconds after which a reading counts as failed."""


def is_read(path: Path, most: int) -> bool:
    """Whether the file is read in ``most`` bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-c", STAND_IN.format(most=most), str(path), str(out)]
        environment = os.environ | usd_child.ENVIRONMENT | {"PYTHONPATH": str(Path(usd_child.__file__).parent)}
        try:
            done = subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return False
        return not done.returncode and b'"stage"' in out.read_bytes()[:1000]


def least(path: Path, most: int) -> int:
    """The least bound in which the file is read, to 2 %; ``most`` must suffice."""
    failing = 0
    while most - failing > max(STEP, most // 50):
        middle = (failing + most) // 2
        failing, most = (failing, middle) if is_read(path, middle) else (middle, most)
    return most


def field(count: int, number: Callable[[], str], others: int = 0) -> str:
    """A stage of text with ``count`` Gaussians of degree 3 and so many other prims."""

    def array(length: int, width: int) -> str:
        rows = ("(" + ", ".join(number() for _ in range(width)) + ")" for _ in range(length))
        return f"[{', '.join(rows)}]"

    opacities = ", ".join("1" for _ in range(count))
    further = "".join(OTHER.format(index=index, x=1.5 * index) for index in range(others))
    return f"""#usda 1.0
def {usd_child.TYPE} "g"
{{
    point3f[] positions = {array(count, 3)}
    quatf[] orientations = {array(count, 4)}
    float3[] scales = {array(count, 3)}
    float[] opacities = [{opacities}]
    uniform int {usd_child.DEGREE} = 3
    float3[] radiance:sphericalHarmonicsCoefficients = {array(16 * count, 3)}
}}
{further}"""


def make(folder: Path) -> list[Path]:
    """The extremes, as text and binary."""
    from pxr import Sdf

    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    texts = {f"others_{others}": field(1, lambda: "1", others) for others in (0, 1000, 10_000)}
    for count in (100, 2730, 2731, 10_923):  # 48 harmonics each: to either side of 2^17, beyond 2^19
        texts[f"long_{count}"] = field(count, lambda: f"{chance.gauss(0, 1):.7f}")
    texts["short_2731"] = field(2731, lambda: "1")
    made = []
    for name, text in texts.items():
        made += [folder / f"{name}.usda", folder / f"{name}.usdc"]
        made[-2].write_text(text)
        Sdf.Layer.OpenAsAnonymous(str(made[-2])).Export(str(made[-1]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--make", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    print("| file | bytes | needed | needed / bytes | allowed | needed / allowed |\n|---|---|---|---|---|---|")
    for path in args.files + (make(args.make) if args.make else []):
        size, allowed = path.stat().st_size, usd_child.allowance(str(path))
        needed = least(path, allowed) if is_read(path, allowed) else float("inf")
        print(f"| `{path.name}` | {size:,} | {needed:,} | {needed / size:.2f} | {allowed:,} | "
              f"{needed / allowed:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
