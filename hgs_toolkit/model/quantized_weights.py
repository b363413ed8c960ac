"""Weights in eight bits, for models whose files must be small.

A large tensor of floating-point weights becomes two of the file: under its own name int8 steps of its shape, and under
its name with :data:`~hgs_toolkit.model_files.SCALE_SUFFIX` a float16 scale for every 32 neighbours, in the order of
memory. A weight is its step times its scale, and the largest of the 32 has 127 steps: absmax quantisation in blocks
(Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", section 2.1, with even steps). Small tensors, to
which pictures are the most sensitive, stay in float16.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model_files import SCALE_SUFFIX

NEIGHBOURS = 32
"""Weights that share a scale."""

MOST_STEPS = 127

LEAST_WEIGHTS = 32_768
"""Tensors with fewer are left alone: they are a tenth of a generator and half of what quantising costs in pictures."""


def quantize_weights(weights: Mapping[str, Tensor], least: int = LEAST_WEIGHTS) -> dict[str, Tensor]:
    """The tensors to store in place of ``weights``: large ones as steps and scales, the others as they are.

    Args:
        least: number of weights from which on a tensor is large.

    Raises:
        CheckpointError: if a weight is not finite, or too large for a float16 scale.
    """
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        if not value.is_floating_point() or value.numel() < least:
            stored[name] = value
            continue
        blocks = _blocks(value.detach().cpu().float())  # (blocks, 32)
        scales = (blocks.abs().amax(1) / MOST_STEPS).half()
        if not bool(scales.isfinite().all()):
            raise CheckpointError(f"a weight of {name} exceeds what eight bits can hold; store the model as float32")
        divisors = scales.float().masked_fill(scales == 0, torch.inf)[:, None]
        steps = (blocks / divisors).round().clamp(-MOST_STEPS, MOST_STEPS).to(torch.int8)
        stored[name] = steps.flatten()[: value.numel()].view(value.shape)
        stored[name + SCALE_SUFFIX] = scales
    return stored


def dequantize_weights(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that :func:`quantize_weights` stored, in float32; tensors of other types as they are.

    Raises:
        CheckpointError: if steps have no scales, or scales that do not fit them.
    """
    weights: dict[str, Tensor] = {}
    for name, value in stored.items():
        if value.dtype == torch.int8:
            weights[name] = _weights(name, value, stored.get(name + SCALE_SUFFIX))
        elif not _is_scale(name, stored):
            weights[name] = value
    return weights


def _weights(name: str, steps: Tensor, scales: Tensor | None) -> Tensor:
    """Float32 weights of the shape of ``steps``."""
    blocks = _blocks(steps)
    if scales is None or scales.shape != blocks.shape[:1] or not scales.is_floating_point():
        found = "none" if scales is None else f"{tuple(scales.shape)} of {scales.dtype}"
        raise CheckpointError(
            f"{name} is stored in eight bits with scales {name + SCALE_SUFFIX}: {found}; expected "
            f"({len(blocks)},) floating-point numbers"
        )
    return (blocks.float() * scales.float()[:, None]).flatten()[: steps.numel()].view(steps.shape)


def _is_scale(name: str, stored: Mapping[str, Tensor]) -> bool:
    steps = stored.get(name.removesuffix(SCALE_SUFFIX)) if name.endswith(SCALE_SUFFIX) else None
    return steps is not None and steps.dtype == torch.int8


def _blocks(value: Tensor) -> Tensor:
    """(blocks, 32): the values in the order of memory, the last block filled up with zeros."""
    return pad(value.flatten(), (0, -value.numel() % NEIGHBOURS)).view(-1, NEIGHBOURS)
