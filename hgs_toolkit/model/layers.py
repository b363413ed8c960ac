"""Layers that every network here is made of: the equalised linear layer, style by instance normalisation, and the MLP.

Letters: B scenes, N points, C channels, W width of the style vector w.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from hgs_toolkit.model.constants import Constants

LRELU_SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)
"""Gain after a leaky ReLU or GELU, which about halves the variance."""

PIECE = 1 << 19
"""Number of floats of a layer's widest intermediate that each CPU thread works on at a time (2 MB).

Pieces of this size stay in the thread's cache, and their buffers are reused, whereas glibc maps buffers above 32 MB
anew every time. Wide layers become twice as fast."""

NORM_EPS = 1e-8
"""Added to the standard deviation (not to the variance) in AdaIN."""


Map = Callable[[Tensor], Tensor]


class EqualLinear(Constants):
    """y = act(x (W · lr_multiplier / sqrt(in_features))ᵀ + b · lr_multiplier).

    The equalised learning rate of Karras et al. 2018 (arXiv 1710.10196, section 4.1): weights are stored at unit
    variance and scaled when used, so that Adam moves every layer at the same relative speed.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: whether b exists.
        activation: ``lrelu`` is a leaky ReLU of slope 0.2 times sqrt(2); None is linear.
        lr_multiplier: factor on the layer's learning rate; weight and bias are stored divided by it, so that the
            initial output does not depend on it.
        weight_init: standard deviation of the initial weights (before the equalising factor).
        bias_init: initial bias as it acts, not as it is stored.
        input_gain: factor on the input, folded into the weight (the gain of an activation before this layer).
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
        input_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * (weight_init / lr_multiplier))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier)) if bias else None
        # A leaky ReLU commutes with a positive factor, so its gain is free here and a pass over all outputs otherwise.
        self.bias_gain = lr_multiplier * (ACTIVATION_GAIN if activation else 1.0)
        self.weight_gain = self.bias_gain * input_gain / math.sqrt(in_features)

    def effective(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as they act, the activation's gain included."""
        return self.constant("effective", lambda: (self.weight * self.weight_gain, self._effective_bias()))

    def _effective_bias(self) -> Tensor | None:
        return self.bias if self.bias is None or self.bias_gain == 1.0 else self.bias * self.bias_gain

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., in_features) -> (B, ..., out_features)."""
        return self.by_scene(self._product, x)

    def _product(self, x: Tensor) -> Tensor:
        if x.numel() < self.weight.numel():  # scale whichever is smaller
            bias = self.constant("bias", self._effective_bias)
            return self._activated(functional.linear(x * self.weight_gain, self.weight, bias))
        return self.prepared()(x)

    def prepared(self) -> Map:
        """The layer as a function of x alone, its weight made effective once: for input that comes in pieces."""
        weight, bias = self.effective()
        return lambda x: self._activated(functional.linear(x, weight, bias))

    def _activated(self, y: Tensor) -> Tensor:
        # In place is safe: the linear layer's backward does not need its output.
        return functional.leaky_relu_(y, LRELU_SLOPE) if self.activation else y


def embedding_of(inputs: int, width: int) -> EqualLinear:
    """A linear layer whose output is divided by its root mean square, also where the input may be all zeros.

    With a bias of zero such an input's output would be zero as well, and the gradient through its division enormous.
    """
    layer = EqualLinear(inputs, width)
    layer.bias = nn.Parameter(torch.randn(width))
    return layer


def unit_rms(x: Tensor) -> Tensor:
    """``x`` (B, C) divided by its root mean square over the channels."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class AdaIN(nn.Module):
    """Style of one slot: instance normalisation over the points with (γ, β) from w, and a scale for the block's output.

    One linear layer makes all three of w: γ (bias 1), β, and the layer scale, which starts at zero so that every
    residual block starts as the identity.
    """

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.style = EqualLinear(w_dim, 3 * channels)
        with torch.no_grad():
            assert self.style.bias is not None
            self.style.bias[:channels] = 1.0
            self.style.weight[2 * channels :] = 0.0

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C), (B, W) -> normalised and styled (B, N, C), layer scale (B, 1, C)."""
        gamma, beta, layer_scale = self.style(w).unsqueeze(1).chunk(3, dim=-1)  # (B, 1, C)
        if not torch.is_grad_enabled():  # an autograd function costs more than a small norm
            return _normalize(x, gamma, beta)[0], layer_scale
        return _instance_norm(x, gamma, beta), layer_scale


class _InstanceNorm(torch.autograd.Function):
    """y = γ (x − mean) / (std + ε) + β, statistics over dim 1; the backward pass is written out.

    On a CPU a layer like this is bound by memory: four passes over the gradient here, about nine through autograd.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        y, mean, std = _normalize(x, gamma, beta)
        ctx.save_for_backward(x, mean, std, gamma)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, mean, std, gamma = ctx.saved_tensors
        count = x.shape[1]
        inverse = 1.0 / (std + NORM_EPS)
        grad_beta = grad.sum(1, keepdim=True)
        centered = (grad * x).sum(1, keepdim=True) - mean * grad_beta  # Σ g (x − mean)
        # d std / d x = (x − mean) / (N std); a constant channel has no direction to move in.
        slope = -gamma * inverse.square() * centered / (count * std.clamp_min(1e-30))
        scale = gamma * inverse
        offset = -scale * grad_beta / count - slope * mean
        grad_x = torch.addcmul(offset, grad, scale).addcmul_(x, slope)
        return grad_x, centered * inverse, grad_beta


_instance_norm = cast(Callable[[Tensor, Tensor, Tensor], Tensor], _InstanceNorm.apply)


def _normalize(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """γ (x − mean) / (std + ε) + β, mean and std over dim 1."""
    mean = x.mean(1, keepdim=True)
    std = (x - mean).square_().mean(1, keepdim=True).sqrt_()
    scale = gamma / (std + NORM_EPS)
    return torch.addcmul(beta - mean * scale, x, scale), mean, std


class MLP(Constants):
    """FC(C → 4C), GELU times sqrt(2), FC(4C → C)."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.expand = EqualLinear(channels, expansion * channels)
        self.project = EqualLinear(expansion * channels, channels, input_gain=ACTIVATION_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., C) -> (B, ..., C)."""
        return self.by_scene(self._by_piece, x)

    def _by_piece(self, x: Tensor) -> Tensor:
        return in_pieces(self.prepared(), x.flatten(0, -2), width=self.expand.weight.shape[0]).view_as(x)

    def prepared(self) -> Map:
        """As :meth:`EqualLinear.prepared`, for input that is in pieces already."""
        expand, project = self.expand.prepared(), self.project.prepared()
        return lambda x: project(_gelu(expand(x)))


def _gelu(x: Tensor) -> Tensor:
    """GELU (exact, by the error function) of a tensor that is not used again."""
    return functional.gelu(x) if torch.is_grad_enabled() else cast(Tensor, torch.ops.aten.gelu_(x))


def in_pieces(function: Callable[..., Tensor], *tensors: Tensor, width: int, multiple: int = 1) -> Tensor:
    """``function`` of ``tensors`` (M, ...), on a CPU piece by piece along dim 0, elsewhere at once.

    Args:
        function: treats its rows independently, or in groups of ``multiple`` rows.
        tensors: split alike.
        width: floats of its widest intermediate per row.
        multiple: each piece has a multiple of this many rows.
    """
    rows = max(1, PIECE * torch.get_num_threads() // (width * multiple)) * multiple
    if tensors[0].device.type != "cpu" or len(tensors[0]) <= rows:
        return function(*tensors)
    pieces = zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)
    return torch.cat([function(*piece) for piece in pieces])
