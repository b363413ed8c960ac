"""The learned input of the tree: one feature vector for each of the coarsest points."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FREQUENCY_BOUND = math.sqrt(3.0)
"""Frequencies of the initial sine features are uniform within ± this (the reference's choice)."""


class PointEmbedding(nn.Module):
    """N_0 learned vectors.

    The reference computes them from learned points and tables, but nothing in that depends on the latent: they are
    one constant matrix, which is learned (or imported) as such.
    """

    def __init__(self, points: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(initial_embedding(points, channels))

    def forward(self, batch: int) -> Tensor:
        """(B, N_0, C)."""
        return self.weight.expand(batch, -1, -1)


def initial_embedding(points: int, channels: int) -> Tensor:
    """Initial features (points, channels): sines of a random direction in one half, normal noise in the other.

    The sines make near points start alike; the noise tells them apart.
    """
    smooth = channels // 2
    directions = functional.normalize(torch.randn(points, 3), dim=1)  # (N, 3)
    position = torch.tanh(0.5 * math.sqrt(3.0) * directions)
    frequencies = torch.empty(smooth, 3).uniform_(-FREQUENCY_BOUND, FREQUENCY_BOUND)
    phases = torch.empty(smooth).uniform_(-1.0, 1.0) / math.sqrt(3.0)
    waves = torch.sin(position @ frequencies.mT + phases)
    return torch.cat([waves, torch.randn(points, channels - smooth) * math.sqrt(0.5)], dim=1)
