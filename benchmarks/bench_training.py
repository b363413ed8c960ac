"""What one training step costs and where, and the same step with a float32 depthwise-blur discriminator.

    python benchmarks/bench_training.py [--preset critters64] [--steps 12] [--precision]

Prints seconds a step, images a second, the share of each part, the ratio to the comparison, and peak memory; with
--precision instead what bfloat16 is worth in either network, by processor time and in turns (one thread:
OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.model.precision import Precision
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.rendering import render
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training import losses
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fakes import Fakes
from hgs_toolkit.training.inputs.batches import make_batch
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.trainer import Trainer

STEPS_IN_TURN = 4
"""One interval of the penalties: each such turn costs the same."""

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


class NoiseImages:
    """Random posed RGBA images: what a step costs does not depend on what they show."""

    has_alpha = True

    def __init__(self, resolution: int, count: int = 256) -> None:
        self.resolution = resolution
        self.labels = PosePrior().sample(count, torch.Generator().manual_seed(0)).labels.numpy()
        self.pixels = np.random.default_rng(0).integers(0, 256, (count, resolution, resolution, 4), np.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.pixels[indices]), torch.from_numpy(self.labels[indices])


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def parts_of_a_step(trainer: Trainer, data: NoiseImages, clock: Clock) -> None:
    """A step in separately timed parts: the generator's backward pass is cut at the images and at the Gaussians."""
    with clock.part("data"):
        batch = make_batch(data, trainer.config, trainer.step, World())  # type: ignore[arg-type]
    resolution = trainer.config.generator.resolution
    with clock.part("generator forward"):
        w = trainer.generator.map(batch.latents_g)
        scene = trainer.generator.synthesize(w)
    leaves = {name: value.detach().requires_grad_() for name, value in scene.parameters().items()}
    cut = scene.replace(**leaves)
    cameras = trainer.cameras(batch.fake_labels[:, None])
    with clock.part("rasteriser forward"):
        images, _ = render(cut, cameras, resolution, resolution, background=batch.backgrounds[:, None])
    images = (images.flatten(0, 1).movedim(-1, 1) * 2 - 1).contiguous()
    fakes = Fakes(images, batch.fake_labels, scene, None)
    with clock.part("discriminator step"):
        trainer._discriminator_step(batch, fakes)
    generator_parts(trainer, fakes, list(leaves.values()), clock)
    trainer.step += 1


def generator_parts(trainer: Trainer, fakes: Fakes, leaves: list[torch.Tensor], clock: Clock) -> None:
    """The generator's step from its images on."""
    trainer.discriminator.requires_grad_(False)
    seen = fakes.images.detach().requires_grad_()
    with clock.part("discriminator in G's step"):
        logits = trainer._discriminate(seen, fakes.labels, None, Purpose.AUGMENT_FAKE_G).logits
        (gradient,) = torch.autograd.grad(losses.logistic_generator_loss(logits), seen)
    with clock.part("rasteriser backward"):
        gradients = torch.autograd.grad(fakes.images, leaves, gradient)
    with clock.part("generator backward"):
        loss = trainer._anchor_losses(fakes.scene, {})
        trainer.generator_optimizer.zero_grad()
        torch.autograd.backward([*fakes.scene.parameters().values(), loss], [*gradients, torch.ones_like(loss)])
        trainer.generator_optimizer.step()


def seconds_a_step(run: Callable[[], object], steps: int) -> float:
    """Mean wall seconds after a few steps of warming up; ``steps`` is a multiple of the penalty interval."""
    for _ in range(4):
        run()
    started = time.perf_counter()
    for _ in range(steps):
        run()
    return (time.perf_counter() - started) / steps


def slow_variants(config: Config) -> dict[str, Config]:
    """The same run with float32, channels-first discriminators that blur depthwise before striding."""
    ours = config.discriminator
    blurred = replace(ours, downsample="blur", precision="float32", channels_last=False)
    # The reference's own type at the same widths: channel_base / resolution, up to the widest; no pose branch.
    reference = replace(
        blurred, kind="stylegan2", channel_base=ours.channels[0] * ours.resolution, channel_max=max(ours.channels),
        channels=(), pose="none",
    )  # fmt: skip
    return {
        "float32 depthwise blur in our residual type": replace(config, discriminator=blurred),
        "float32 StyleGAN2 type, depthwise blur": replace(config, discriminator=reference),
        "float32 StyleGAN2 type, depthwise blur, widths of the -gsgan preset": replace(
            config, discriminator=replace(load_preset(f"{config.name}-gsgan").discriminator, channels_last=False)
        ),
    }


def by_precision(config: Config, data: NoiseImages, rounds: int) -> dict[str, float]:
    """Least processor seconds a step of ``rounds`` times four steps, by the number types of both networks."""
    trainers = {
        f"discriminator {judge}, generator {maker}": Trainer(
            replace(
                config,
                discriminator=replace(config.discriminator, precision=judge),
                generator=replace(config.generator, precision=maker),
            )
        )
        for judge, maker in product(PRECISIONS, repeat=2)
    }
    seconds = dict.fromkeys(trainers, float("inf"))
    for _ in range(rounds + 1):  # the first one warms up: it is slower, and does not count as the least
        for name, trainer in trainers.items():
            started = time.process_time()
            for _ in range(STEPS_IN_TURN):
                trainer.train_step(data)  # type: ignore[arg-type]
            seconds[name] = min(seconds[name], (time.process_time() - started) / STEPS_IN_TURN)
    return seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="critters64")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--precision", action="store_true", help="compare float32 with bfloat16")
    arguments = parser.parse_args()
    config = load_preset(arguments.preset)
    config = replace(config, training=replace(config.training, blur_kimg=0.0, generator_delay_kimg=0.0))
    data = NoiseImages(config.generator.resolution)
    if arguments.precision:
        for name, seconds in by_precision(config, data, arguments.steps // STEPS_IN_TURN).items():
            print(f"{name:45} {seconds:.3f} s a step, {config.training.batch / seconds:.1f} images/s")
        return
    trainer = Trainer(config)
    fast_seconds = seconds_a_step(lambda: trainer.train_step(data), arguments.steps)  # type: ignore[arg-type]
    clock = Clock()
    for _ in range(arguments.steps):
        parts_of_a_step(trainer, data, clock)
    total = sum(clock.seconds.values())
    batch = config.training.batch
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    weights = sum(p.numel() for p in trainer.discriminator.parameters()) / 1e6
    print(f"{arguments.preset}, discriminator of {weights:.2f} M weights:")
    print(f"  {fast_seconds:.3f} s a step of {batch}, {batch / fast_seconds:.1f} images/s")
    for name, variant in slow_variants(config).items():
        slow = Trainer(variant)
        seconds = seconds_a_step(lambda slow=slow: slow.train_step(data), arguments.steps)  # type: ignore[misc]
        weights = sum(p.numel() for p in slow.discriminator.parameters()) / 1e6
        print(f"  {name}, {weights:.2f} M weights: {seconds:.3f} s, ratio {seconds / fast_seconds:.2f}")
    for name, seconds in clock.seconds.items():
        print(f"  {name:28} {seconds / arguments.steps:8.4f} s  {100 * seconds / total:5.1f} %")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
