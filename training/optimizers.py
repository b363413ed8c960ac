"""The optimisers of both networks, the guard before them, and reading a step's figures.

On a GPU each look at a value waits for everything before it; the guard looks once, and all figures are read together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hgs_toolkit.config import TrainingConfig
from hgs_toolkit.devices import device_of
from hgs_toolkit.training.distributed import World

Figures = dict[str, Tensor | float]
"""Scalars of a step by name: tensors without dimensions where they are still on the device."""

OWN_SETTINGS = ("base_lr", "betas", "foreach", "fused")
"""Settings of an optimiser that a saved state does not change."""


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam that remembers its full learning rate as ``base_lr``, which the warm-up scales; one kernel on a GPU."""
    fused = device_of(network).type == "cuda"
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas, eps=1e-8, foreach=not fused, fused=fused)
    for group in optimizer.param_groups:
        group["base_lr"] = lr
    return optimizer


def discriminator_adam(network: nn.Module, training: TrainingConfig) -> torch.optim.Adam:
    """Adam for D; corrected where penalty steps of their own make one step more per interval (Karras et al. 2020)."""
    lr, betas = training.discriminator_lr, training.betas
    if training.penalty_step == "separate" and (training.r1_gamma or training.r2_gamma):
        ratio = training.penalty_interval / (training.penalty_interval + 1)
        lr, betas = lr * ratio, (betas[0] ** ratio, betas[1] ** ratio)
    return adam(network, lr, betas)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the moments in ``state``; learning rate, betas and implementation stay those of ``optimizer``.

    A resumed run may change its rates, and may go on on another device.
    """
    own = [{key: group[key] for key in OWN_SETTINGS} for group in optimizer.param_groups]
    groups = [saved | ours for saved, ours in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> tuple[Tensor, int]:
    """Set non-finite entries of the gradients to 0, then scale all gradients so that their norm is at most ``limit``.

    Returns:
        The norm before scaling, on the device, and the number of non-finite entries.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(()), 0
    norm, bad = _norm(gradients), 0
    if not bool(norm.isfinite()):  # a NaN or infinity always reaches the norm
        bad = sum(_zero_non_finite(gradient) for gradient in gradients)
        norm = _norm(gradients)
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm, bad


def apply_gradients(
    network: nn.Module, optimizer: torch.optim.Optimizer, limit: float, world: World
) -> tuple[Tensor, int]:  # fmt: skip
    """Average the gradients in ``network`` over the ranks, clip them by :func:`clip_gradients`, and step.

    Returns:
        What :func:`clip_gradients` does.
    """
    parameters = list(network.parameters())
    world.average_gradients(parameters)
    found = clip_gradients(parameters, limit)
    optimizer.step()
    return found


def read_figures(figures: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The figures as numbers; all tensors are read together, since each reading waits for the device."""
    names = [name for name, value in figures.items() if isinstance(value, Tensor)]
    tensors = [torch.as_tensor(figures[name]).detach() for name in names]
    values = torch.stack(tensors).tolist() if tensors else []
    read = dict(zip(names, values, strict=True))
    return {name: read.get(name, value) for name, value in figures.items()}


def _norm(gradients: list[Tensor]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def _zero_non_finite(gradient: Tensor) -> int:
    """Set NaN and infinite entries to 0 in place; return how many there were."""
    bad = int((~gradient.isfinite()).sum())
    if bad:
        gradient.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    return bad
