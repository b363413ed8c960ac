"""By what a run's discriminator tells generated images from real ones: how its logit changes when real ones are harmed.

python experiments/what_d_sees.py RUN heldout64.zip [--images 192] [--sigma 0.7]

Prints mean logits relative to real images, seen as in training. A harm that costs as much as being generated is what D
judges by; if splats cannot do without that harm (they are blurred by the renderer's filter of 0.55 px), the rest of
the image is hardly judged. Where sharpened images are judged more real than real ones, D asks for sharpness without end
(`training.real_blur`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hgs_toolkit.config import AugmentConfig
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.augment import blur, blur_alpha
from hgs_toolkit.training.inputs.batches import make_batch
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.stages.warm_start import read_networks
from hgs_toolkit.training.trainer import Trainer

Harm = Callable[[Tensor, float], Tensor]
"""From images (B, 3 | 4, H, W) in -1..1 and a width in pixels to worse ones."""


def blur_colors(images: Tensor, sigma: float) -> Tensor:
    return torch.cat([blur(images[:, :3], sigma), images[:, 3:]], dim=1)


def sharpen_colors(images: Tensor, sigma: float) -> Tensor:
    return (2 * images - blur_colors(images, sigma)).clamp(-1, 1)


HARMS: dict[str, Harm] = {
    "alpha blurred": blur_alpha, "colours blurred": blur_colors, "both blurred": blur,
    "colours sharpened": sharpen_colors,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--sigma", type=float, default=0.7)
    options = parser.parse_args()
    networks = read_networks(options.run)
    training = replace(networks.config.training, blur_sigma=0.0, augment=AugmentConfig())
    trainer = Trainer(replace(networks.config, training=training))
    trainer.load_networks(networks)
    data = open_dataset(options.data, trainer.config.generator.resolution)
    harms = HARMS if trainer.config.discriminator.alpha else {"blurred": blur, "sharpened": sharpen_colors}
    logits: dict[str, list[Tensor]] = {name: [] for name in ("real", "generated", *harms)}
    with torch.inference_mode():
        for step in range(options.images // training.batch):
            batch = make_batch(data, trainer.config, step, World())
            fakes = trainer.generate(batch, batch.latents_g)
            shown = {"real": batch.images, "generated": fakes.images}
            shown |= {name: harm(batch.images, options.sigma) for name, harm in harms.items()}
            for name, images in shown.items():
                of = fakes if name == "generated" else batch
                output = trainer._discriminate(images, of.labels, of.classes, Purpose.AUGMENT_REAL)
                logits[name].append(output.logits)
    means = {name: float(torch.cat(values).mean()) for name, values in logits.items()}
    for name, mean in means.items():
        print(f"{name:16s} {mean - means['real']:+.2f}")


if __name__ == "__main__":
    main()
