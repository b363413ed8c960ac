"""Losses, logits and KID of a training run over kimg, from its log.jsonl, as one picture.

python tools/plot_run.py RUN [RUN ...] OUT.png          (needs matplotlib, part of the extra [dev])

Several runs are stages of one: each goes on where the one before it ended.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from hgs_toolkit.training.state import RunFolder

PANELS = {
    "losses": ("loss_d", "loss_g"),
    "mean logits": ("real", "fake"),
    "gradient norms before clipping": ("grad_d", "grad_g"),
}


def draw(log: list[dict[str, Any]], title: str, out: Path) -> None:
    """One panel for each group of scalars, and one for KID if it was measured."""
    measured = sorted({name for line in log for name in line if name.startswith("kid_")})
    panels = PANELS | {f"{name} (x1000)": (name,) for name in measured}
    figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 2.8), layout="constrained")
    for axis, (label, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            points = [(line["kimg"], line[name]) for line in log if name in line]
            axis.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 40 else None)
        axis.set(title=label, xlabel="kimg")
        axis.legend(fontsize=8, frameon=False)
        axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    figure.savefig(out, dpi=90)


def joined(runs: list[Path]) -> list[dict[str, Any]]:
    """The lines of all logs, kimg counted on from run to run."""
    lines: list[dict[str, Any]] = []
    for run in runs:
        before = lines[-1]["kimg"] if lines else 0.0
        lines += [line | {"kimg": before + line["kimg"]} for line in RunFolder(run).read_log()]
    return lines


def main() -> None:
    """Parse and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    draw(joined(arguments.runs), " + ".join(run.name for run in arguments.runs), arguments.out)


if __name__ == "__main__":
    main()
