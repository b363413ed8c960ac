"""Output heads of a level: one matrix product for every raw parameter of its anchors and its Gaussians."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hgs_toolkit.model.constants import Constants

PARAMETER_SIZES = (3, 3, 4, 3, 1)
"""Columns of a raw row: mean, log-scale, quaternion wxyz, SH degree-0 colour, opacity logit."""

RAW = sum(PARAMETER_SIZES)
COLOR = slice(10, 13)
"""Columns of the colour within a raw row."""

OPACITY = RAW - 1
"""Column of the opacity logit within a raw row."""

VIEW_CHANNELS = 32
"""Width of the viewing direction's embedding, which the Gaussians' colour head sees beside the features."""


class Heads(Constants):
    """Features of a level's points to raw rows of 14, for S = 2 sets (anchors, Gaussians) or only the Gaussians.

    The reference has one equalised linear layer for each parameter and set; this is all of them stacked, each row
    with its own initial factor and gain.

    Args:
        channels: width of the features.
        anchors: whether the level has anchors (the last level has no children and so needs none).
        init: initial factors of mean, scale, rotation, colour and opacity.
        view_dependent: whether the Gaussians' colour also sees the viewing direction's embedding.
        soft_clamp: c of c·tanh(x/c) on the raw rows, or None.
    """

    gain: Tensor

    def __init__(
        self,
        channels: int,
        *,
        anchors: bool,
        init: tuple[float, ...],
        view_dependent: bool,
        soft_clamp: float | None,
    ) -> None:
        super().__init__()
        self.sets = 2 if anchors else 1
        self.soft_clamp = soft_clamp
        factors = (
            torch.tensor(init)
            .repeat_interleave(torch.tensor(PARAMETER_SIZES), output_size=sum(PARAMETER_SIZES))
            .repeat(self.sets)
        )
        self.weight = nn.Parameter(torch.randn(self.sets * RAW, channels) * factors[:, None])
        self.bias = nn.Parameter(torch.zeros(self.sets * RAW))
        gain = torch.full((self.sets, RAW, 1), 1.0 / math.sqrt(channels))
        self.view_weight = None
        if view_dependent:
            self.view_gain = 1.0 / math.sqrt(channels + VIEW_CHANNELS)
            gain[-1, COLOR] = self.view_gain
            self.view_weight = nn.Parameter(torch.randn(3, VIEW_CHANNELS) * init[3])
        self.register_buffer("gain", gain.flatten(0, 1), persistent=False)

    def forward(self, x: Tensor, view: Tensor | None) -> Tensor:
        """(B, N, C) [, embedded viewing direction (B, 32)] -> raw rows (B, N, S, 14), always float32.

        Positions need the precision: under autocast this is the one product that stays in float32.
        """
        with torch.autocast(x.device.type, enabled=False):
            weight = self.constant("weight", lambda: self._within_clamp(self.weight * self.gain))

            def product(bias: Tensor, x: Tensor) -> Tensor:
                return torch.baddbmm(bias, x, weight.mT.expand(len(x), -1, -1))

            raw = self.by_scene(product, self._effective_bias(view).expand(len(x), -1, -1), x.float())
            if self.soft_clamp is not None:
                raw = raw.tanh() * self.soft_clamp
        return raw.view(*raw.shape[:2], self.sets, RAW)

    def _effective_bias(self, view: Tensor | None) -> Tensor:
        if view is None:
            return self.constant("bias", lambda: self._within_clamp(self._bias(None)))
        return self._within_clamp(self._bias(view))

    def _within_clamp(self, values: Tensor) -> Tensor:
        return values if self.soft_clamp is None else values / self.soft_clamp

    def _bias(self, view: Tensor | None) -> Tensor:
        """Biases (B or 1, 1, S·14), with the viewing direction's share added to those of the Gaussians' colour."""
        bias = self.bias.expand(1, 1, -1)
        if self.view_weight is None or view is None:
            return bias
        before = (self.sets - 1) * RAW + COLOR.start
        shift = nn.functional.pad(self.view_shift(view), (before, self.sets * RAW - before - 3))
        return bias + shift.unsqueeze(1)

    def view_shift(self, view: Tensor) -> Tensor:
        """What embedded viewing directions (B, 32) add to the Gaussians' raw colour, before a soft clamp: (B, 3)."""
        assert self.view_weight is not None, "these heads do not see the view"
        weight = (self.view_weight * self.view_gain).mT
        return self.by_scene(lambda scenes: scenes @ weight, view.float())
