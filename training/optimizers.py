"""The optimisers of both networks."""

from __future__ import annotations

import torch
from torch import nn

from hgs_toolkit.config import TrainingConfig


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam that remembers its full learning rate as ``base_lr``, which the warm-up scales."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas, eps=1e-8, foreach=True)
    for group in optimizer.param_groups:
        group["base_lr"] = lr
    return optimizer


def discriminator_adam(network: nn.Module, training: TrainingConfig) -> torch.optim.Adam:
    """Adam for D; with separate penalty steps corrected for taking one step more per interval (Karras et al. 2020)."""
    lr, betas = training.discriminator_lr, training.betas
    if training.penalty_step == "separate":
        ratio = training.penalty_interval / (training.penalty_interval + 1)
        lr, betas = lr * ratio, (betas[0] ** ratio, betas[1] ** ratio)
    return adam(network, lr, betas)
