"""Kernel distances of a run's images to real ones, beside those of other real images, as they are and blurred.

    python experiments/against_blur.py runs/vases runs/vases/data.zip [--count 600] [--extractor lite0] [--sigma 0.7]

All four sets have ``--count`` images at the model's size over grey; generated ones have the cameras of real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.evaluation.samples import ImageSets, see
from hgs_toolkit.evaluation.settings import EvalSettings
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.model_files import model_config
from hgs_toolkit.training.grids import real_chunks
from hgs_toolkit.training.inputs.augment import blur


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--extractor", default="lite0")
    parser.add_argument("--sigma", type=float, default=0.7)
    arguments = parser.parse_args()
    config, extractor = model_config(arguments.model), make_extractor(arguments.extractor)
    data = open_dataset(arguments.data, config.generator.resolution)
    if len(data) < 3 * arguments.count:
        parser.error(f"{arguments.data} holds {len(data)} images; 3 x {arguments.count} needed")
    sets = ImageSets(
        load_model(arguments.model), config, data, EvalSettings(count=arguments.count), [extractor], lambda _: None
    )  # fmt: skip

    def features(chunks: Iterator[Tensor]) -> Array:
        return see([extractor], chunks, lambda _: None)[extractor.name]

    def real(part: int) -> Iterator[Tensor]:
        return real_chunks(data, config, arguments.count, seed=0, start=part * arguments.count)

    space = FeatureSpace.of(extractor, features(real(0)))
    softened = (blur(chunk.movedim(-1, 1), arguments.sigma).movedim(1, -1).clamp(0, 1) for chunk in real(2))
    found = {
        "generated": sets.generated(0, told=True).features[extractor.name],
        "other real images": features(real(1)),
        f"real images blurred by {arguments.sigma:g} px": features(softened),
    }
    print(f"| kid_{extractor.name} x 1000, {arguments.count} images | |\n|---|---|")
    for name, values in found.items():
        print(f"| {name} | {space.kid(values, 0).value:.0f} |")


if __name__ == "__main__":
    main()
