"""Whether distances order damage rightly: critters of the same law, darker, blurred, noisy, and without some modes.

python experiments/metric_sanity.py critters64.zip [--count 1000] [--draws 5] [--extractor squeeze] [--resolution 64]

One reference of ``count`` pictures; every draw is another ``count`` pictures of the same dataset, harmed in each way.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.evaluation.samples import see
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.grids import real_chunks
from hgs_toolkit.training.inputs.augment import blur

Harm = Callable[[Tensor, torch.Generator], Tensor]
"""From pictures (n, H, W, 3) in 0..1 to worse ones."""


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    return blur(pictures.movedim(-1, 1), sigma).movedim(1, -1).clamp(0, 1)


def noisy(pictures: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    return (pictures + sigma * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)


HARMS: dict[str, Harm] = {
    "same law": lambda pictures, _: pictures,
    "darker by 10 %": lambda pictures, _: 0.9 * pictures,
    "darker by 30 %": lambda pictures, _: 0.7 * pictures,
    "blur, 0.4 px": lambda pictures, _: blurred(pictures, 0.4),
    "blur, 0.7 px": lambda pictures, _: blurred(pictures, 0.7),
    "blur, 1 px": lambda pictures, _: blurred(pictures, 1.0),
    "noise, 2 %": lambda pictures, generator: noisy(pictures, 0.02, generator),
    "noise, 8 %": lambda pictures, generator: noisy(pictures, 0.08, generator),
}

DROPPED = {"redder half only": 0.5, "reddest quarter only": 0.25}
"""Modes are dropped by colour: the share of a draw with the most red over blue. KID is unbiased for smaller sets."""


def pictures(data: PosedImages, count: int, part: int) -> Iterator[Tensor]:
    """Picture set number ``part``, over grey; sets do not overlap."""
    return real_chunks(data, load_preset("critters64"), count, seed=0, start=part * count)


def measured(data: PosedImages, extractor_name: str, count: int, draws: int) -> dict[str, list[float]]:
    """KID of every harm, one value a draw."""
    extractor = make_extractor(extractor_name)

    def features(chunks: Iterator[Tensor]) -> Array:
        return see([extractor], chunks, lambda _: None)[extractor.name]

    space = FeatureSpace.of(extractor, features(pictures(data, count, 0)))
    kids: dict[str, list[float]] = {name: [] for name in [*HARMS, *DROPPED]}
    for draw in range(draws):
        sets = {}
        for name, harm in HARMS.items():
            generator = torch.Generator().manual_seed(draw)
            sets[name] = features(harm(chunk, generator) for chunk in pictures(data, count, draw + 1))
        red = torch.cat([(chunk[..., 0] - chunk[..., 2]).mean((1, 2)) for chunk in pictures(data, count, draw + 1)])
        order = red.argsort(descending=True).numpy()
        for name, share in DROPPED.items():
            sets[name] = sets["same law"][order[: max(2, round(share * count))]]
        for name, some in sets.items():
            kids[name].append(space.kid(some, draw).value)
    return kids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="EG3D zip of critters, of (draws + 1) x count pictures")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--extractor", default="squeeze")
    parser.add_argument("--resolution", type=int, default=64, help="pixels at which they are compared")
    arguments = parser.parse_args()
    if arguments.draws < 2:
        parser.error(f"--draws {arguments.draws}; expected 2 at least, or there is no deviation")
    data = open_dataset(arguments.data, arguments.resolution)
    if len(data) < (arguments.draws + 1) * arguments.count:
        parser.error(f"{arguments.data} holds {len(data)} pictures; {arguments.draws + 1} x {arguments.count} needed")
    kids = measured(data, arguments.extractor, arguments.count, arguments.draws)
    print(f"| {arguments.count} pictures, {arguments.draws} draws | kid_{arguments.extractor} x 1000 | +- |")
    print("|---|---|---|")
    for name, values in kids.items():
        print(f"| {name} | {statistics.mean(values):.1f} | {statistics.stdev(values):.1f} |")


if __name__ == "__main__":
    main()
