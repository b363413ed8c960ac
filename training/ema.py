"""The exponential moving average of the generator's weights, which is what gets sampled."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from hgs_toolkit.config import TrainingConfig

Network = TypeVar("Network", bound=nn.Module)


def ema_decay(config: TrainingConfig, images_seen: int) -> float:
    """Weight of the old average for one step of ``config.batch`` images.

    The half-life is ``ema_kimg`` (batch * 10 / 32 kimg by default), early on at most ``ema_rampup`` of what was seen.
    """
    half_life = 1000 * (config.batch * 10 / 32 if config.ema_kimg is None else config.ema_kimg)
    if config.ema_rampup is not None:
        half_life = min(half_life, images_seen * config.ema_rampup)
    return float(0.5 ** (config.batch / max(half_life, 1e-8)))


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the parameters of ``average`` towards ``model``'s; buffers are copied."""
    for parameter, source in zip(average.parameters(), model.parameters(), strict=True):
        parameter.lerp_(source, 1 - decay)
    for buffer, current in zip(average.buffers(), model.buffers(), strict=True):
        buffer.copy_(current)


def frozen_copy(network: Network) -> Network:
    """A copy of ``network`` to average into: evaluated, never trained."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def update_choices(averages: Sequence[nn.Module], model: nn.Module, config: TrainingConfig, images_seen: int) -> None:
    """Move the averages of ``config.ema_choices``, each by its own half-life."""
    for average, half_life in zip(averages, config.ema_choices, strict=True):
        update_ema(average, model, ema_decay(replace(config, ema_kimg=half_life), images_seen))


def load_choices(averages: Sequence[nn.Module], states: Sequence[dict[str, Any]]) -> None:
    """Put saved weights into the averages; ValueError if there are more or fewer of them."""
    for average, state in zip(averages, states, strict=True):
        average.load_state_dict(state)
