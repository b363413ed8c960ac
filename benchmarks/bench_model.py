"""KID of the shipped model against held-out critters under its own cameras, beside that of real pictures made worse.

python benchmarks/bench_model.py [MODEL] [--count 2000]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.critters.prior import CritterPrior
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.metrics.extractors import tick_extractor
from hgs_toolkit.metrics.measurement import Reference
from hgs_toolkit.model_files import model_config
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.inputs.augment import blur
from hgs_toolkit.training.randomness import Purpose

STORED = 64
"""Fewest pixels of the critters that are drawn; smaller models see them averaged down, as in training."""


def blurred(chunks: Iterator[Tensor], sigma: float) -> Iterator[Tensor]:
    for chunk in chunks:
        yield blur(chunk.movedim(-1, 1), sigma).movedim(1, -1).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="model file or run folder; the shipped one without it")
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    config, model = model_config(arguments.model), load_model(arguments.model, "cpu")
    stored = max(STORED, config.generator.resolution)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        sets = []
        for seed in (1, 2):
            path = Path(folder) / f"{seed}.zip"
            make_critters(path, arguments.count, stored, seed=seed, prior=CritterPrior(poses=config.generator.poses))
            sets.append(open_dataset(path, config.generator.resolution))
        reference = Reference.of(tick_extractor(), real_chunks(sets[0], config, arguments.count))
        rows = {
            "real, another draw": real_chunks(sets[1], config, arguments.count),
            "real, blurred by 0.7 px": blurred(real_chunks(sets[1], config, arguments.count), 0.7),
            f"{config.name}, psi 1": sample_chunks(model, config, arguments.count, Purpose.METRIC),
        }
        for name, chunks in rows.items():
            (found,) = reference.measure(chunks)
            print(f"{name:28} {found.name} x 1000: {found.value:.1f} +- {found.std:.1f}  ({found.fake_count} images)")


if __name__ == "__main__":
    main()
