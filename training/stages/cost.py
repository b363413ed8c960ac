"""What an image costs in training, in multiplications: to foresee how long stages take that have not begun."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from hgs_toolkit.cameras import LABEL_SIZE, frontal
from hgs_toolkit.config import Config
from hgs_toolkit.training.networks import new_networks

DISCRIMINATOR_PASSES = 8
"""Forward passes' worth of a discriminator's work for an image: real and generated forward and backward for its own
step, generated for the generator's, and the penalties' second derivatives every few steps."""

GENERATOR_PASSES = 3
"""Forward passes' worth of a generator's work: forward, and backward to inputs and weights."""


@torch.no_grad()
def image_cost(config: Config) -> float:
    """Floating-point operations of the networks for one real image of training; drawing is not counted."""
    generator, discriminator = new_networks(config)
    for network in (generator, discriminator):
        network.requires_grad_(False)
    size, views = config.generator.resolution, config.discriminator.views
    label, size_of_class = frontal().labels, config.generator.classes.size  # (1, 25)
    classes = torch.zeros(1, size_of_class) if size_of_class else None
    with FlopCounterMode(display=False) as counter:
        z, pose = torch.zeros(1, config.generator.z_dim), label if config.generator.pose_conditioned else None
        w = generator.map(z, pose, classes=classes)
        generator.synthesize(w, background=False)
    scene = counter.get_total_flops()
    judged = 0
    if config.training.adversarial_weight:
        with FlopCounterMode(display=False) as counter:
            images = torch.zeros(1, config.discriminator.image_channels, size, size)
            discriminator(images, label.expand(views, LABEL_SIZE).reshape(1, -1), classes)
        judged = counter.get_total_flops()
    scenes = config.scenes / config.training.batch * (1 if config.training.share_fakes else 2)
    return float(DISCRIMINATOR_PASSES * judged / views + GENERATOR_PASSES * scene * scenes)
