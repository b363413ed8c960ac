"""What discriminators cost in training, as ratios to the float32 depthwise-blur one, measured side by side in one run.

    python benchmarks/bench_discriminator.py [--resolution 64] [--batch 16] [--repeats 5] [--threads 1]

Columns, milliseconds of CPU time (least of the repeats) and how many times cheaper than the first row:
``D`` a logistic loss forward and backward; ``D+R1`` the same with the gradient penalty merged into one backward pass;
``for G`` forward and the gradient of the images alone, as the generator's step needs it.
CPU time on one thread is what other programs on the machine disturb least.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model.discriminator import Discriminator, make_discriminator
from hgs_toolkit.model.precision import multiplies_bfloat16
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import load_preset

WIDE = {32: (96, 160, 192, 192), 64: (48, 96, 160, 192, 192)}
"""Widths of the comparison: about 2.5 M weights, as one would write them down at first."""

LEAN = {32: (48, 128, 192, 256), 64: (24, 64, 128, 192, 256)}
"""The same number of weights, moved to where pixels are few."""

LEANER = {32: (32, 96, 192, 256), 64: (16, 48, 128, 224, 256)}


def candidates(resolution: int) -> dict[str, DiscriminatorConfig]:
    """The comparison first, then one change at a time."""
    wide = DiscriminatorConfig(
        kind="residual", resolution=resolution, channels=WIDE[resolution], pose="projection", downsample="blur"
    )
    average = replace(wide, downsample="average")
    last = replace(average, channels_last=True)
    lean = replace(last, channels=LEAN[resolution])
    base = 48 * resolution
    return {
        "blur": wide,
        "stylegan2": DiscriminatorConfig(resolution=resolution, channel_base=base, channel_max=192, pose="none"),
        "average": average,
        "average, channels_last": last,
        "lean blur": replace(wide, channels=LEAN[resolution]),
        "lean": lean,
        "leaner": replace(last, channels=LEANER[resolution]),
        "the preset's": replace(load_preset(f"critters{resolution}").discriminator, precision="float32"),
        "lean, bfloat16": replace(lean, precision="bfloat16"),
    }


def loss_step(discriminator: Discriminator, images: Tensor, labels: Tensor) -> None:
    """Gradients of the weights."""
    functional.softplus(-discriminator(images, labels).logits).mean().backward()


def penalty_step(discriminator: Discriminator, images: Tensor, labels: Tensor) -> None:
    """Gradients of the weights, R1 included."""
    images = images.clone().requires_grad_(True)
    logits = discriminator(images, labels).logits
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    (functional.softplus(-logits).mean() + gradient.square().sum(dim=(1, 2, 3)).mean()).backward()


def generator_step(discriminator: Discriminator, images: Tensor, labels: Tensor) -> None:
    """Gradient of the images."""
    images = images.clone().requires_grad_(True)
    discriminator.requires_grad_(False)
    functional.softplus(-discriminator(images, labels).logits).mean().backward()
    discriminator.requires_grad_(True)


STEPS: dict[str, Callable[[Discriminator, Tensor, Tensor], None]] = {
    "D": loss_step, "D+R1": penalty_step, "for G": generator_step,
}  # fmt: skip


def measure(configs: dict[str, DiscriminatorConfig], batch: int, repeats: int) -> dict[str, dict[str, float]]:
    """Least CPU seconds of every step of every candidate; they take turns, so that all see the same disturbances."""
    networks = {name: make_discriminator(config) for name, config in configs.items()}
    labels = PosePrior().sample(batch).labels
    best = {name: dict.fromkeys(STEPS, float("inf")) for name in configs}
    for _ in range(repeats + 1):  # the first round warms up and counts too: it can only be slower
        for name, network in networks.items():
            images = torch.randn(batch, 3, network.resolution, network.resolution)
            for step, function in STEPS.items():
                network.zero_grad()
                started = time.process_time()
                function(network, images, labels)
                best[name][step] = min(best[name][step], time.process_time() - started)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, choices=sorted(WIDE), default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bfloat16", action="store_true", help="measure it even where the hardware does not multiply it"
    )
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    configs = candidates(options.resolution)
    if not (options.bfloat16 or multiplies_bfloat16(torch.device("cpu"))):
        configs.pop("lean, bfloat16")
    seconds = measure(configs, options.batch, options.repeats)
    print(f"{options.resolution}² batch {options.batch}, {options.threads} thread(s), {platform.machine()}, "
          f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})")  # fmt: skip
    print(f"{'':24}{'weights':>9}" + "".join(f"{step:>18}" for step in STEPS))
    baseline = seconds["blur"]
    for name, config in configs.items():
        weights = sum(p.numel() for p in make_discriminator(config).parameters()) / 1e6
        cells = (f"{value * 1e3:9.0f} ms {baseline[s] / value:5.2f}x" for s, value in seconds[name].items())
        print(f"{name:24}{weights:7.2f} M" + "".join(cells) + (f"   {config.channels}" if config.channels else ""))


if __name__ == "__main__":
    main()
