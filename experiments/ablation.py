"""The paper's ablation on critters: the full hierarchy, its two halves and the naive baseline, at equal images seen.

    hgs dataset demo --kind critters --resolution 32 --count 10000 --seed 0 --out DATA/critters32.zip
    hgs dataset demo --kind critters --resolution 32 --count 2000 --seed 1 --out DATA/heldout32.zip
    (the same with 64)
    OMP_NUM_THREADS=1 python experiments/ablation.py run DATA RUNS      # may be stopped and started again at any time
    python experiments/ablation.py report RUNS OUT                      # table on stdout, pictures in OUT

All runs are brought to the same stage before any is taken further, so that whatever there is can be compared. At every
stage KID and the Fréchet distance are measured between the average model's images under the pose prior and held-out
images (SqueezeNet features); runs of a size share seed, discriminator, data order and schedules.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.files import write_json
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.measurement import Reference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.state import RunFolder

logger = logging.getLogger("ablation")

VARIANTS = {"full": "", "position": "-position", "scale": "-scale", "naive": "-naive"}
"""Name in the table -> suffix of the preset."""

STAGES = ((32, 4), (64, 4), (32, 8), (64, 8), (32, 12), (64, 12), (32, 16), (64, 16), (32, 24), (64, 24))
"""Image size and thousands of images seen, in the order they are worked on."""

SETTINGS = ["training.blur_kimg=1.5", "training.ema_kimg=1.0", "training.metric_kimg=null", "training.tick_kimg=1.0",
            "training.seed=0"]  # fmt: skip
"""Schedules for runs this short, the same for all: the presets' own blur fade would take most of the run."""

MEASURED = 1000
"""Images on either side of a KID."""

DISTANCES = ("kid_squeeze", "fid_squeeze")
"""KID is times a thousand; the Fréchet distance of 1000 images has a floor, which the training images show."""

SHOWN = 6
"""Latents a row in the picture."""


def variant_config(size: int, variant: str, kimg: float) -> Config:
    """The configuration of one run, to be trained until ``kimg``."""
    return load_preset(f"critters{size}{VARIANTS[variant]}", [*SETTINGS, f"training.kimg={kimg}"])


def run_folder(runs: Path, size: int, variant: str) -> RunFolder:
    return RunFolder(runs / f"critters{size}-{variant}")


class Bench:
    """Datasets and references of one size, opened when first needed."""

    def __init__(self, data: Path, size: int) -> None:
        self.training = open_dataset(data / f"critters{size}.zip")
        self.heldout = open_dataset(data / f"heldout{size}.zip")
        self.config = variant_config(size, "full", 1.0)
        extractor = make_extractor("squeeze")
        self.reference = Reference.of(extractor, real_chunks(self.heldout, self.config, MEASURED))

    def of_data(self, images: PosedImages) -> dict[str, float]:
        """Distances of the training images: what a perfect generator would get."""
        chunks = real_chunks(images, self.config, MEASURED)
        return {m.name: m.value for m in self.reference.measure(chunks, frechet=True)}

    def of_model(self, model: Generator, config: Config) -> dict[str, float]:
        """Distances of the model's images under its pose prior."""
        images = sample_chunks(model, config, MEASURED, Purpose.METRIC)
        return {m.name: m.value for m in self.reference.measure(images, frechet=True)}


def run(data: Path, runs: Path) -> None:
    """Work through the stages; whatever is recorded already is skipped."""
    record_file = runs / "ablation.json"
    runs.mkdir(parents=True, exist_ok=True)
    records: dict[str, Any] = json.loads(record_file.read_text()) if record_file.exists() else {}
    benches: dict[int, Bench] = {}
    for size, kimg in STAGES:
        if size not in benches:
            benches[size] = Bench(data, size)
            records.setdefault(f"{size}/real", benches[size].of_data(benches[size].training))
        for variant in VARIANTS:
            key = f"{size}/{variant}/{kimg}"
            if key not in records:
                records[key] = run_stage(benches[size], runs, size, variant, kimg)
                write_json(record_file, records)
                logger.info("%s: %s", key, records[key])


def run_stage(bench: Bench, runs: Path, size: int, variant: str, kimg: float) -> dict[str, Any]:
    """Train one run on to ``kimg``, keep its model, measure it."""
    config, folder = variant_config(size, variant, kimg), run_folder(runs, size, variant)
    train(config, bench.training, folder.path, resume=folder.state_file.exists())
    kept = folder.path / f"model-{kimg}.safetensors"
    shutil.copyfile(folder.model_file, kept)
    return bench.of_model(load_model(kept), config) | folder.read_log()[-1]


def report(runs: Path, out: Path) -> None:
    """Print a Markdown table for each size; draw the samples of the last stage all variants have reached."""
    records = json.loads((runs / "ablation.json").read_text())
    for size in sorted({size for size, _ in STAGES}):
        stages = [kimg for s, kimg in STAGES if s == size and all(f"{size}/{v}/{kimg}" in records for v in VARIANTS)]
        if not stages:
            continue
        for name in DISTANCES:
            print(f"| {name}, {size} px, kimg | " + " | ".join(VARIANTS) + " | training images |")
            print("|---" * (len(VARIANTS) + 2) + "|")
            for kimg in stages:
                values = [records[f"{size}/{variant}/{kimg}"][name] for variant in VARIANTS]
                print(f"| {kimg} | " + " | ".join(f"{v:,.0f}" for v in [*values, records[f"{size}/real"][name]]) + " |")
            print()
        draw(runs, size, stages[-1], out / f"ablation-critters{size}.png")


def draw(runs: Path, size: int, kimg: float, out: Path) -> None:
    """One row of the same latents' samples for each variant, real images above."""
    real = load_image(run_folder(runs, size, "full").samples / "real.png")
    rows = {"real": real[:size, : SHOWN * size]}
    for variant in VARIANTS:
        config = variant_config(size, variant, kimg)
        model = load_model(run_folder(runs, size, variant).path / f"model-{kimg}.safetensors")
        images = next(iter(sample_chunks(model, config, SHOWN, Purpose.GRID)))
        rows[variant] = (images.numpy().transpose(1, 0, 2, 3).reshape(size, -1, 3) * 255).round().astype("uint8")
    figure, axes = plt.subplots(len(rows), 1, figsize=(SHOWN, len(rows)), layout="constrained")
    for axis, (name, row) in zip(axes, rows.items(), strict=True):
        axis.imshow(row, interpolation="nearest")
        axis.set(xticks=[], yticks=[], ylabel=name)
    figure.suptitle(f"critters{size}, {kimg} thousand images seen", fontsize=10)
    figure.savefig(out, dpi=max(90, size * 1.5))


def main() -> None:
    """Parse and do."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, (first, second) in {"run": ("data", "runs"), "report": ("runs", "out")}.items():
        sub = commands.add_parser(command)
        sub.add_argument(first, type=Path)
        sub.add_argument(second, type=Path)
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.data, arguments.runs)
    else:
        report(arguments.runs, arguments.out)


if __name__ == "__main__":
    main()
