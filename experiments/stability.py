"""Does the recipe hold? Five seeds of its first stages, and the recipes r3 and gsgan at equal images.

    hgs dataset demo --kind critters --count 10000 --resolution 64 --out critters64.zip
    hgs dataset demo --kind critters --count 2000 --resolution 64 --seed 1 --out heldout64.zip
    OMP_NUM_THREADS=1 python experiments/stability.py critters64.zip heldout64.zip RUNS [--only grown]

May be stopped and started again; RUNS/stability.json holds what is done. KID is between 1,000 images of the average
model under the pose prior and 1,000 held-out ones (SqueezeNet features, times a thousand).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.files import write_json
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.measurement import Reference
from hgs_toolkit.settings_io import load_config, load_preset
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.stages.plan import PlanFolder, train_plan

COUNT = 1000
QUIET = ["training.metric_kimg=null", "training.tick_kimg=1.0"]
SHORT = ["training.blur_kimg=1.5", "training.ema_kimg=1.0"]
"""Schedules for runs this short, as in ablation.py."""

Stages = list[tuple[str, float]]
"""Presets of the stages of a run, and the thousands of images seen in each."""

FIRST: Stages = [("critters64-at16", 8)]
GROWN: Stages = [("critters64-at16", 8), ("critters64-at32", 8)]
RUNS: list[tuple[str, Stages, list[str]]] = [
    *((f"seed {seed}", FIRST, [f"training.seed={seed}", *SHORT]) for seed in range(5)),
    *((f"grown seed {seed}", GROWN, [f"training.seed={seed}", *SHORT]) for seed in range(5)),
    ("r3", [("critters32", 4)], SHORT),
    ("gsgan", [("critters32-gsgan", 4)], SHORT),
]
"""Name, stages, further settings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "heldout", "runs"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--only", default="", metavar="START", help="leave out runs whose names start differently")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    record = arguments.runs / "stability.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    for name, stages, settings in RUNS:
        if name not in done and name.startswith(arguments.only):
            done[name] = measured(arguments, name, stages, settings)
            write_json(record, done)
    print("| run | kid_squeeze x 1000 | loss_d | loss_g | gradient norm of G | images/s |\n|---|---|---|---|---|---|")
    for name, row in done.items():
        print(
            f"| {name} | {row['kid']:,.0f} ± {row['std']:,.0f} | {row['loss_d']:.3f} | {row['loss_g']:.3f} | "
            f"{row['grad_g']:.2f} | {row['speed']:.0f} |"
        )


def measured(arguments: argparse.Namespace, name: str, stages: Stages, settings: list[str]) -> dict[str, float]:
    """Train one run (on, if it was begun) and measure it."""
    plan = [load_preset(preset, [*QUIET, f"training.kimg={kimg}", *settings]) for preset, kimg in stages]
    folder = PlanFolder(arguments.runs / name.replace(" ", ""))
    began = time.monotonic()
    explicit = {setting.partition("=")[0] for setting in settings}
    newest = train_plan(
        plan, lambda size: open_dataset(arguments.data, size), folder.path, resume=folder.exists, explicit=explicit
    )  # fmt: skip
    seconds = time.monotonic() - began
    config = load_config(newest.config_file)  # with the poses of the set
    size = config.generator.resolution
    heldout = open_dataset(arguments.heldout, size)
    reference = Reference.of(make_extractor("squeeze"), real_chunks(heldout, config, COUNT))
    (kid, *_) = reference.measure(sample_chunks(load_model(newest.path), config, COUNT, Purpose.METRIC))
    last = folder.stage(len(plan) - 1, plan[-1]).read_log()[-1]
    row = {"kid": kid.value, "std": kid.std or 0.0, "speed": 1000 * sum(kimg for _, kimg in stages) / seconds}
    return row | {key: value for key in ("loss_d", "loss_g", "grad_g") if (value := last[key]) is not None}


if __name__ == "__main__":
    main()
