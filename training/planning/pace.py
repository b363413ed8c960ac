"""How long an image takes in each stage, measured by a few real steps: plans are sized by it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.stages.cost import image_cost
from hgs_toolkit.training.trainer import Trainer

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 20.0
"""Longest time that measuring one stage may be expected to take, seconds; beyond, the pace is estimated by cost."""


def measure_paces(
    stages: Sequence[Config], open_images: Callable[[int], PosedImages], world: World | None = None
) -> list[float]:
    """Seconds an image of each of ``stages``, first to last, on this machine as busy as it is now."""
    world = World(device=world.device) if world is not None else World()  # one process is measured
    paces: list[float] = []
    costs: list[float] = []
    for stage in stages:
        cost = image_cost(stage)
        if cost in costs:
            paces.append(paces[costs.index(cost)])
        else:
            expected = paces[-1] * cost / costs[-1] if paces else 0.0
            steps = stage.training.penalty_interval + 1
            if expected * steps * stage.training.batch > LONGEST_SECONDS:
                paces.append(expected)
            else:
                paces.append(_measured(stage, open_images(stage.generator.resolution), world))
        costs.append(cost)
        logger.debug("%s: %.4f s an image", stage.name, paces[-1])
    return paces


def _measured(stage: Config, images: PosedImages, world: World) -> float:
    """Seconds an image over the steps from one penalty to the next, after a first step that warms up."""
    settled = replace(stage.training, generator_delay_kimg=0.0, background_kimg=0.0, blur_sigma=0.0)
    trainer = Trainer(replace(stage, training=settled), world)
    trainer.train_step(images)
    started = time.monotonic()
    for _ in range(stage.training.penalty_interval):
        trainer.train_step(images)
    return (time.monotonic() - started) / (stage.training.penalty_interval * stage.training.batch)
