"""Inversion of critters nobody trained on: the photograph's view in w+ and after tuning, and views nobody saw.

    python benchmarks/bench_inversion.py [MODEL] [--subjects 32] [--steps 300] [--tuning-steps 200] [--out FOLDER]

The subjects are the first of the set from which ``hgs invert critter:N`` takes its own; their cameras, other views and
depths are known. They are drawn at the model's resolution, over grey. FOLDER gets a line of rows.jsonl and a strip of
pictures for each subject, so that a stopped run goes on where it was; rows of another model or other settings are
refused. At the end it prints the table and writes sheet.png: the subjects with the best, the median and the worst
figure after tuning. One core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.cli.invert import CRITTER_SET, read_target
from hgs_toolkit.datasets.critters.drawing import critter
from hgs_toolkit.imaging.images import load_image, save_png
from hgs_toolkit.inversion.inversion import InversionSettings, invert
from hgs_toolkit.inversion.latent import LatentSettings
from hgs_toolkit.inversion.networks import feature_networks
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.quality import NOVEL_YAWS
from hgs_toolkit.inversion.results import measure
from hgs_toolkit.inversion.sheet import sheet
from hgs_toolkit.inversion.tuning import TuningSettings
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.stages.warm_start import load_discriminator

STAGES = {"w+": "_before_tuning", "tuned": ""}
"""What a stage's figures end in, in metrics.json."""

Row = dict[str, Any]


def run(model: Generator, number: int, options: argparse.Namespace, strip: Path) -> Row:
    """The figures of one subject; its pictures go to ``strip``."""
    start = time.process_time()
    target, truth = read_target(f"critter:{number}", model, None, None)
    networks = feature_networks(
        options.perceptual, lambda: load_discriminator(options.model), model.config.label_cameras(target.cameras),
        target.coverage,
    )  # fmt: skip
    settings = InversionSettings(LatentSettings(steps=options.steps), TuningSettings(steps=options.tuning_steps))
    found = invert(model, target, Objective(networks=networks), settings)
    seconds = time.process_time() - start
    save_png(strip, sheet(found, target, truth))
    metrics = measure(found, target, truth, networks)
    row: Row = {"subject": number, "CPU seconds": round(seconds, 1)}
    for stage, ending in STAGES.items():
        (view,), novel = metrics["views" + ending], metrics["novel_views" + ending]
        row |= {f"{stage} {name}": value for name, value in view.items()}
        for title, views in _by_distance(novel).items():
            for name in ("psnr", "depth_error", "overlap"):
                row[f"{stage} {title} {name}"] = statistics.mean(view[name] for view in views)
    return row


def _by_distance(views: list[Row]) -> dict[str, list[Row]]:
    """Views that nobody saw: those beside the front and, of a model that goes round, those from sides and back."""
    near, far = views[: len(NOVEL_YAWS)], views[len(NOVEL_YAWS) :]
    return {"novel": near} | ({"behind": far} if far else {})


def finished(path: Path, settings: Row) -> list[Row]:
    """Rows of an earlier run with the same settings."""
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n")
    first, *rows = (json.loads(line) for line in path.read_text().splitlines())
    if first != settings:
        raise SystemExit(f"{path} holds rows of {first}; expected {settings}: choose another folder")
    return rows


def summary(rows: list[Row]) -> str:
    """A table: median, lowest and highest value of every figure."""
    lines = ["| | median | lowest | highest |", "|---|---|---|---|"]
    for name in rows[0]:
        if name != "subject":
            values = [row[name] for row in rows]
            shown = (statistics.median(values), min(values), max(values))
            lines.append(f"| {name} | " + " | ".join(f"{value:.3g}" for value in shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="file or run folder; the shipped one without it")
    parser.add_argument("--out", type=Path, default=Path("build/bench_inversion"), help="folder")
    parser.add_argument("--subjects", type=int, default=32)
    parser.add_argument("--steps", type=int, default=LatentSettings().steps, help="of the search in w+")
    parser.add_argument("--tuning-steps", type=int, default=TuningSettings().steps)
    parser.add_argument("--perceptual", default="auto", help="as hgs invert's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model, "cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "rows.jsonl"
    settings = {
        "set": CRITTER_SET, "model": model.fingerprint, "resolution": model.config.resolution, "steps": options.steps,
        "tuning steps": options.tuning_steps, "perceptual": options.perceptual,
    }  # fmt: skip
    rows = finished(path, settings)
    critter(CRITTER_SET, 0).render(critter(CRITTER_SET, 0).label, 16)  # compiles
    for number in sorted(set(range(options.subjects)) - {row["subject"] for row in rows}):
        rows.append(run(model, number, options, options.out / f"{number:03d}.png"))
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    rows.sort(key=lambda row: float(row["tuned psnr"]), reverse=True)
    print(summary(rows))
    shown = [rows[place]["subject"] for place in sorted({0, len(rows) // 2, len(rows) - 1})]
    save_png(options.out / "sheet.png", np.concatenate([load_image(options.out / f"{i:03d}.png") for i in shown]))
    print(f"sheet.png: the subjects {shown}")


if __name__ == "__main__":
    main()
