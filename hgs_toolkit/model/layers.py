"""The equalised-learning-rate linear layer, which every network here is made of, and the MLP of two of them.

Karras et al. 2018 (arXiv 1710.10196, section 4.1): weights are stored at unit variance and scaled when used, so that
Adam moves every layer at the same relative speed.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

LRELU_SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)
"""Gain after a leaky ReLU or GELU, which about halves the variance."""


class EqualLinear(nn.Module):
    """y = act(x (W · lr_multiplier / sqrt(in_features))ᵀ + b · lr_multiplier).

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: whether b exists.
        activation: ``lrelu`` is a leaky ReLU of slope 0.2 times sqrt(2); None is linear.
        lr_multiplier: slows the layer down; weight and bias are stored divided by it, so the start is the same.
        weight_init: standard deviation of the initial weights (before the equalising factor).
        bias_init: initial bias as it acts, not as it is stored.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: Literal["lrelu"] | None = None,
        lr_multiplier: float = 1.0,
        weight_init: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * (weight_init / lr_multiplier))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier)) if bias else None
        gain = ACTIVATION_GAIN if activation else 1.0
        self.weight_gain = gain * lr_multiplier / math.sqrt(in_features)
        self.bias_gain = gain * lr_multiplier

    def effective(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as they act, the activation's gain included.

        A leaky ReLU commutes with a positive factor, so its sqrt(2) costs nothing here and a pass over every
        activation otherwise.
        """
        bias = self.bias
        return self.weight * self.weight_gain, bias if bias is None or self.bias_gain == 1.0 else bias * self.bias_gain

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        y = functional.linear(x, *self.effective())
        # In place is safe: the linear layer's backward does not need its output.
        return functional.leaky_relu_(y, LRELU_SLOPE) if self.activation else y
