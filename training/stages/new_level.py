"""The finest level of a grown generator: it starts out nearly transparent, in front of a picture that stays.

A child's opacity logit is its parent's plus the network's own output (Hyun & Heo 2024, section 4.1). A discriminator
that sees alpha drives the logits of solid subjects far above zero, where the sigmoid has no slope. Children that took
them over would be opaque dots that training can only recolour. So they begin where a network begins that was drawn at
random, and each has to earn its opacity.
"""

from __future__ import annotations

import logging
import math

import torch

from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model.heads import OPACITY, Heads
from hgs_toolkit.training.grids import drawn_rows
from hgs_toolkit.training.randomness import Purpose, keyed_generator

logger = logging.getLogger(__name__)

LATENTS = 32
"""Scenes whose mean opacity logit is measured."""

ROUNDS, CLOSE = 4, 0.1
"""How often the biases move at most, since soft clamps bend the way, and how near a mean is near enough."""

REACH = 0.9
"""How much of a soft clamp's range an output may take at the start: beyond, the clamp leaves little gradient."""


@torch.no_grad()
def fade_finest_level(generator: Generator, seed: int) -> None:
    """Lower the finest Gaussians' opacity logits to a mean of ``initial_opacity_logit``; where it is lower, do nothing.

    The biases of two heads share the way: of the anchors that only these Gaussians hang on, and of the Gaussians.
    """
    config = generator.config
    anchors, gaussians = generator.heads[-2], generator.heads[-1]
    assert isinstance(anchors, Heads)
    assert isinstance(gaussians, Heads)
    before = after = _mean_logit(generator, seed)
    for _ in range(ROUNDS):
        way = after - config.initial_opacity_logit
        if way < CLOSE:
            break
        for heads in (anchors, gaussians):
            # The first row is the anchors' where a level has some, and the Gaussians' in the last level.
            heads.bias[OPACITY] += _before_clamp(-way / 2, heads.soft_clamp)
        after = _mean_logit(generator, seed)
    if after < before:
        logger.info("the new level starts with a mean opacity logit of %.1f in place of %.1f", after, before)


def _before_clamp(wanted: float, clamp: float | None) -> float:
    """What c·tanh(x/c) takes to give ``wanted``, within its reach."""
    return wanted if clamp is None else clamp * math.atanh(max(wanted / clamp, -REACH))


def _mean_logit(generator: Generator, seed: int) -> float:
    config = generator.config
    device = generator.tree_level.device
    draws = keyed_generator(seed, 0, Purpose.GROWING)
    z = torch.randn(LATENTS, config.z_dim, generator=draws).to(device)
    rows = drawn_rows(config.classes, LATENTS, draws)
    classes = torch.from_numpy(config.classes.table[rows]).to(device) if config.classes.size else None
    scenes = generator.synthesize(generator.map(z, classes=classes), background=False)
    return scenes.opacity_logits[:, scenes.level == config.levels - 1].mean().item()
