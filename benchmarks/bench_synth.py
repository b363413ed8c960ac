"""Where the time of dataset synthesis goes, by format and size; CPU time of one worker, after its start.

    python benchmarks/bench_synth.py [--images 120]

An untrained model of the preset critters64. "wds" stores every annotation, the others what is usual in them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.cli.synth import stage_rows
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import warm_up
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.synthesis import Workforce, synthesize_dataset

SIZES = (64, 128, 256)
CASES = (("wds", 1), ("wds", 8), ("folder", 1), ("eg3d", 1), ("transforms", 8), ("coco", 1))
"""Formats and views a scene."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=120)
    images = parser.parse_args().images
    torch.set_num_threads(1)
    warm_up()
    config = load_preset("critters64")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.safetensors"
        save_model(model, Generator(config.generator), config)
        for size in SIZES:
            for format_, views in CASES:
                measure(Path(name), model, images, size, format_, views)


def measure(work: Path, model: Path, images: int, size: int, format_: str, views: int) -> None:
    values = {"count": images // views, "views": views, "size": size, "format": format_, "shard_images": images}
    timing = synthesize_dataset(
        work / f"{format_}-{size}-{views}", model, values, workforce=Workforce(workers=0)
    ).timing  # fmt: skip
    shares = ", ".join(f"{stage} {share:.0%}" for stage, _, share in stage_rows(timing) if share)
    print(
        f"{size}² {format_:>10} {views} views: {1000 * timing.work / images:5.1f} ms CPU an image, "
        f"drawing {timing.drawing_share:.0%} ({shares})",
        flush=True,
    )


if __name__ == "__main__":
    main()
