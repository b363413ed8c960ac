"""Does the recipe hold? Five seeds of the first stage, and the recipes r3 and gsgan at equal images.

    hgs dataset demo --kind critters --count 10000 --resolution 64 --out critters64.zip
    hgs dataset demo --kind critters --count 2000 --resolution 64 --seed 1 --out heldout64.zip
    OMP_NUM_THREADS=1 python experiments/stability.py critters64.zip heldout64.zip RUNS

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
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.state import RunFolder

COUNT = 1000
QUIET = ["training.metric_kimg=null", "training.tick_kimg=1.0"]
SHORT = ["training.blur_kimg=1.5", "training.ema_kimg=1.0"]
"""Schedules for runs this short, as in ablation.py."""

RUNS = [(f"seed {seed}", "critters64-at16", 8, [f"training.seed={seed}", *SHORT]) for seed in range(5)]
RUNS += [("r3", "critters32", 4, SHORT), ("gsgan", "critters32-gsgan", 4, SHORT)]
"""Name, preset, thousands of images seen, further settings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "heldout", "runs"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    record = arguments.runs / "stability.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    for name, preset, kimg, settings in RUNS:
        if name not in done:
            done[name] = measured(arguments, name, preset, [f"training.kimg={kimg}", *settings])
            write_json(record, done)
    print("| run | kid_squeeze x 1000 | loss_d | loss_g | gradient norm of G | images/s |\n|---|---|---|---|---|---|")
    for name, row in done.items():
        print(
            f"| {name} | {row['kid']:,.0f} ± {row['std']:,.0f} | {row['loss_d']:.3f} | {row['loss_g']:.3f} | "
            f"{row['grad_g']:.2f} | {row['speed']:.0f} |"
        )


def measured(arguments: argparse.Namespace, name: str, preset: str, settings: list[str]) -> dict[str, float]:
    """Train one run (on, if it was begun) and measure it."""
    config = load_preset(preset, [*QUIET, *settings])
    size = config.generator.resolution
    folder = RunFolder(arguments.runs / name.replace(" ", ""))
    began = time.monotonic()
    train(config, open_dataset(arguments.data, size), folder.path, resume=folder.state_file.exists())
    seconds = time.monotonic() - began
    heldout = open_dataset(arguments.heldout, size)
    reference = Reference.of(make_extractor("squeeze"), real_chunks(heldout, config, COUNT))
    (kid, *_) = reference.measure(sample_chunks(load_model(folder.path), config, COUNT, Purpose.METRIC))
    last = folder.read_log()[-1]
    row = {"kid": kid.value, "std": kid.std or 0.0, "speed": 1000 * config.training.kimg / seconds}
    return row | {key: value for key in ("loss_d", "loss_g", "grad_g") if (value := last[key]) is not None}


if __name__ == "__main__":
    main()
