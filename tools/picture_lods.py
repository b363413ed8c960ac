"""The picture and the table of docs/lod.md: what Spark draws of samples' .rad files at several budgets of Gaussians.

    python tools/picture_lods.py [--model MODEL] [--seeds 0-3] [--docs docs] [--size 320]
    python tools/picture_lods.py --scene FILE [--budgets 1000,20000] [--size 320]

The second form prints figures of any splat file and writes nothing. Needs node with the packages of tests/oracles/node,
and Chromium (`make test-oracles` installs both).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the browser is driven as the tests do

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.captions import labelled_sheet
from hgs_toolkit.imaging.images import to_uint8
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.ranges import parse_seeds
from hgs_toolkit.sampling import sample
from tests.oracles.conftest import run_node
from tests.oracles.spark import Drawn, View, draw, framed, portrait, psnr

BUDGETS: tuple[int | None, ...] = (64, 128, 256, 512, 1000, 2000, 4000, 8000, 16000, None)
PICTURED = (64, 256, 1000, 4000, None)
"""Budgets of the picture's columns; the last column is the .ply."""

BEGIN, END = "<!-- table: tools/picture_lods.py -->", "<!-- end of table -->"
PICTURE, QUALITY = "images/lod_budgets.jpg", 88


@dataclass(frozen=True)
class Series:
    """One scene's .rad at some budgets, and its .ply."""

    gaussians: int
    budgets: tuple[int | None, ...]
    drawn: list[Drawn]
    ply: Drawn

    def deviation(self, row: int) -> float:
        """Of the count from what was asked for, as a share."""
        asked = min(self.budgets[row] or self.gaussians, self.gaussians)
        return self.drawn[row].count / asked - 1


def measure(scene: GaussianHierarchy, size: int, budgets: tuple[int | None, ...]) -> Series:
    with tempfile.TemporaryDirectory() as name:
        ply, rad = Path(name) / "scene.ply", Path(name) / "scene.rad"
        export(scene, ply, frame="y_up")
        export(scene, rad)
        views = [View(ply), *(View(rad, budget) for budget in budgets)]
        reference, *drawn = draw(run_node, Path(name), portrait(size, "#ffffff"), views)
    return Series(scene.num_gaussians, budgets, drawn, reference)


def table(series: list[Series], names: list[str]) -> str:
    """Markdown: what was asked for, the counts that differ the most from it, and each scene's likeness to its .ply."""
    head = ["asked for", "drawn", *(f"{name}, dB" for name in names)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, budget in enumerate(series[0].budgets):
        worst = max(series, key=lambda one: abs(one.deviation(row)))
        likeness = (f"{psnr(one.drawn[row], one.ply):.1f}" for one in series)
        drawn = f"{worst.drawn[row].count:,} ({100 * worst.deviation(row):+.2f} %)"
        lines.append("| " + " | ".join([f"{budget:,}" if budget else "no limit", drawn, *likeness]) + " |")
    return "\n".join(lines)


def picture(series: list[Series], names: list[str]) -> torch.Tensor:
    """A row for each scene: some budgets, and the .ply."""
    rows = [[*(one.drawn[one.budgets.index(budget)] for budget in PICTURED), one.ply] for one in series]
    tensors = [[torch.from_numpy(drawn.picture / 255) for drawn in row] for row in rows]
    return labelled_sheet(
        tensors, names, [*(f"{budget:,}" if budget else "no limit" for budget in PICTURED), "the .ply"]
    )


def describe(model_path: Path | None, seeds: list[int], size: int, docs: Path) -> None:
    """Write the picture, of the first two seeds, and the table."""
    model = load_model(model_path, "cpu")
    names = [f"seed {seed}" for seed in seeds]
    series = [measure(sample(model, [seed]), size, BUDGETS) for seed in seeds]
    pixels = to_uint8(picture(series[:2], names[:2]))
    Image.fromarray(pixels).save(docs / PICTURE, quality=QUALITY, optimize=True)
    name = read_header(find_model(model_path)).config.name
    text = (
        f"`{name}` (fingerprint `{model.fingerprint[:12]}`), {series[0].gaussians:,} Gaussians a scene, pictures of "
        f"{size} pixels:\n\n{table(series, names)}"
    )
    page = docs / "lod.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model file or run folder; default: the model that ships")
    parser.add_argument("--seeds", default="0-3")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of lod.md")
    parser.add_argument("--size", type=int, default=320, help="height and width of the pictures")
    parser.add_argument("--scene", type=Path, help="a splat file to measure in place of samples")
    parser.add_argument("--budgets", default="1000,20000,50000", help="with --scene; all is added")
    arguments = parser.parse_args()
    if arguments.scene:
        budgets = (*map(int, arguments.budgets.split(",")), None)
        print(table([measure(framed(load(arguments.scene)), arguments.size, budgets)], [arguments.scene.name]))
    else:
        describe(arguments.model, parse_seeds(arguments.seeds), arguments.size, arguments.docs)


if __name__ == "__main__":
    main()
