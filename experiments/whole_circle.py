"""Switches of training for assets seen from all sides, at equal CPU time: KID of small runs at 16 pixels.

hgs dataset demo --out circle64.zip --count 20000 --yaw 180 --pitch-min -15 --pitch-max 45 --views 2
hgs dataset demo --out heldout64.zip --count 2000 --yaw 180 --pitch-min -15 --pitch-max 45 --seed 1000
OMP_NUM_THREADS=1 python experiments/whole_circle.py circle64.zip heldout64.zip results.jsonl --seconds 90 --seeds 0 1

`alpha, balanced` says something where some yaws are rare, beside `alpha` from the same set:

hgs dataset demo --out front.zip --count 8000 --yaw 180 --yaw-prior normal --pitch-min -15 --pitch-max 45 --seed 500
hgs dataset demo --out even.zip --count 1000 --yaw 180 --pitch-min -15 --pitch-max 45 --seed 900
hgs dataset merge front.zip even.zip --out skewed.zip

One line of results.jsonl a run; runs that are there already are left out, so the command can be repeated after a stop.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.files import make_folder
from hgs_toolkit.imaging.images import grid, save_png
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.kid import kid
from hgs_toolkit.metrics.measurement import standardisation
from hgs_toolkit.rendering import render
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.grids import CHUNK, GRID_BACKGROUND
from hgs_toolkit.training.inputs.augment import compose
from hgs_toolkit.training.randomness import Purpose, keyed_generator
from hgs_toolkit.training.trainer import Trainer

BASE = (
    "generator.transformer_blocks=2", "training.blur_kimg=2", "training.generator_delay_kimg=0",
    "training.ema_kimg=1.0", "training.workers=0", "training.views=1",
    "discriminator.kind=residual", "discriminator.alpha=false", "discriminator.views=1",
    "discriminator.features=squeeze", "training.real_blur=0", "training.alpha_blur=0",
    "generator.poses.yaw_law=uniform", "generator.poses.yaw_spread=3.1416", "generator.poses.yaw_limit=3.1416",
    "generator.poses.pitch_law=uniform", "generator.poses.pitch_mean=0.2618", "generator.poses.pitch_spread=0.5236",
    "generator.poses.pitch_limit=0.5236",
)  # fmt: skip
"""A stage of critters64 with every switch off, and small, so that minutes show something."""

WIDTHS = {
    16: ("generator.channels=[96,64]", "discriminator.channels=[48,96,128]"),
    32: ("generator.channels=[96,64,32]", "discriminator.channels=[32,48,96,128]",
         "training.r1_gamma=0.03", "training.r2_gamma=0.03"),
    64: ("generator.channels=[96,64,32,24]", "discriminator.channels=[16,32,48,96,128]",
         "training.r1_gamma=0.04", "training.r2_gamma=0.04"),
}  # fmt: skip
"""By resolution, widths of a third to a half of the presets', and gammas that suit a discriminator without heads."""

REAL_IMAGES = 600

PAIRS = ("training.views=2", "discriminator.views=2")
ALPHA = "discriminator.alpha=true"
PROJECTED = ("discriminator.kind=projected", "discriminator.feature_size=32", ALPHA)

VARIANTS: dict[str, tuple[str, ...]] = {
    "base": (),
    "views2": ("training.views=2", "training.scenes=8"),
    "alpha": (ALPHA,),
    "pairs": PAIRS,
    "pairs of 32": (*PAIRS, "training.batch=32"),
    "alpha, pairs": (ALPHA, *PAIRS),
    "alpha, pairs of 32": (ALPHA, *PAIRS, "training.batch=32"),
    "alpha, views2": (ALPHA, "training.views=2", "training.scenes=8"),
    "views4": ("training.views=4", "training.scenes=4"),
    "alpha, balanced": (ALPHA, "training.pose_balance=1"),
    "projected": PROJECTED,
    "projected at 64": (*PROJECTED, "discriminator.feature_size=64"),
    "projected, pairs": (*PROJECTED, *PAIRS),
}  # fmt: skip
"""Settings that each variant adds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="training set over the whole circle, with groups of two views")
    parser.add_argument("heldout", help="another draw of it")
    parser.add_argument("results", type=Path, help="lines of JSON; grids of samples are written beside it")
    parser.add_argument("--seconds", type=float, default=90, help="CPU seconds of training a run")
    parser.add_argument("--images", type=int, default=300, help="generated images to measure")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--extractor", default="lite0")
    parser.add_argument("--resolution", type=int, default=16, choices=list(WIDTHS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_args()
    resolution, preset = arguments.resolution, f"critters64-at{arguments.resolution}"
    data, heldout = open_dataset(arguments.data, resolution), open_dataset(arguments.heldout, resolution)
    judge = Judge(heldout, arguments.extractor, arguments.images)
    done = {(line["variant"], line["seed"]) for line in read_lines(arguments.results)}
    for seed in arguments.seeds:
        for variant in arguments.variants:
            if (variant, seed) in done:
                continue
            config = load_preset(preset, [*BASE, *WIDTHS[resolution], *VARIANTS[variant], f"training.seed={seed}"])
            trainer, stats = train(config, data, arguments.seconds)
            line = {"variant": variant, "seed": seed, "kimg": trainer.kimg} | stats | judge.measure(trainer)
            with open(arguments.results, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            name = f"{variant.replace(',', '').replace(' ', '-')}-{seed}.png"
            save_png(make_folder(arguments.results.parent / "grids") / name, judge.grid)


def train(config: Config, data: PosedImages, seconds: float) -> tuple[Trainer, dict[str, float]]:
    """A fresh run stopped after so much CPU time, and the means of its last hundred steps."""
    trainer = Trainer(config)
    started = time.process_time()
    recent: list[dict[str, float]] = []
    while time.process_time() - started < seconds:
        recent = [*recent[-99:], trainer.train_step(data)]
    names = ("loss_d", "loss_g", "grad_g")
    return trainer, {name: round(float(np.mean([s[name] for s in recent])), 3) for name in names}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The results so far."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []


class Judge:
    """KID over the circle, over its front and its back half, and how soft the silhouettes are."""

    def __init__(self, heldout: PosedImages, extractor: str, count: int) -> None:
        self.extractor, self.count = make_extractor(extractor), count
        images, labels = heldout.batch(np.arange(REAL_IMAGES))
        raw = self.extractor.features(_over_gray(images)).astype(np.float64)
        self.mean, self.scale = standardisation(raw)
        self.real, self.real_behind = (raw - self.mean) / self.scale, _is_behind(labels)
        self.labels = labels[:count]  # generated images take the cameras of held-out ones
        self.real_softness = softness(images[..., 3].float() / 255)
        self.grid = torch.zeros(1, 1, 3)

    def measure(self, trainer: Trainer) -> dict[str, Any]:
        """Figures of the average generator."""
        images, alphas = (torch.cat(parts) for parts in zip(*self._drawn(trainer), strict=True))
        self.grid = grid(images[:64], 8)
        return self.compare(images, self.labels) | {"softness": round(softness(alphas) / self.real_softness, 3)}

    def compare(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """KID of images (n, H, W, 3) under the cameras ``labels`` (n, 25): all, front half, back half."""
        fake = (self.extractor.features(images).astype(np.float64) - self.mean) / self.scale
        behind, real_behind = _is_behind(labels), self.real_behind
        return {
            "kid": round(kid(self.real, fake).value, 1),
            "kid_front": round(kid(self.real[~real_behind], fake[~behind]).value, 1),
            "kid_behind": round(kid(self.real[real_behind], fake[behind]).value, 1),
        }

    @torch.inference_mode()
    def _drawn(self, trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
        config = trainer.config.generator
        latents = torch.randn(self.count, config.z_dim, generator=keyed_generator(7, 0, Purpose.METRIC))
        for start in range(0, self.count, CHUNK):
            cameras = Cameras.from_labels(self.labels[start : start + CHUNK])
            scene = trainer.ema.synthesize(trainer.ema.map(latents[start : start + CHUNK]), background=False)
            gray = (GRID_BACKGROUND,) * 3
            image, alpha = render(scene, cameras.reshape(-1, 1), config.resolution, config.resolution, background=gray)
            yield image[:, 0].clamp(0, 1), alpha[:, 0, ..., 0]


def softness(alphas: Tensor) -> float:
    """Mean of 4 alpha (1 - alpha): edges alone for a solid subject, more with haze."""
    return float((4 * alphas * (1 - alphas)).mean())


def _over_gray(images: Tensor) -> Tensor:
    return (compose(images, torch.full((len(images), 3), GRID_BACKGROUND)).movedim(1, -1) + 1) / 2


def _is_behind(labels: Tensor) -> Any:
    yaw, _, _ = yaw_pitch_radius(Cameras.from_labels(labels).cam_to_world)
    return (yaw.abs() > math.pi / 2).numpy()


if __name__ == "__main__":
    main()
