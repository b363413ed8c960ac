"""Random convolutions as a feature extractor: no weights to install, the same everywhere, fast.

Three strided layers of fixed random filters; the features are every channel's mean and deviation over the image.
They see colour, contrast, sharpness and texture, not what a image shows: good enough to watch a run by.
"""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.metrics.extractors import Extractor

SIZE = 64
WIDTHS = (3, 32, 64, 128)
SEED = 20240606


class RandomConvolutions(nn.Module):
    """Seeded filters (He et al. 2015: variance 2 / fan-in), ReLU, stride 2."""

    def __init__(self, seed: int = SEED) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)  # NumPy's streams are the same on every machine, torch's need not be
        self.filters = nn.ParameterList()
        for inputs, outputs in itertools.pairwise(WIDTHS):
            values = rng.standard_normal((outputs, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))
            self.filters.append(nn.Parameter(torch.tensor(values, dtype=torch.float32), requires_grad=False))

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, 64, 64) in 0..1 -> (B, 448)
        """Features of ``images``."""
        x, features = images * 2 - 1, []
        for weight in self.filters:
            x = functional.relu(functional.conv2d(x, weight, stride=2, padding=1))
            features += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
        return torch.cat(features, dim=1)


def make_randconv(seed: int = SEED) -> Extractor:
    """The extractor ``randconv``; its hash is that of the filters."""
    network = RandomConvolutions(seed).eval()
    digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in network.filters))
    return Extractor("randconv", 2 * sum(WIDTHS[1:]), digest.hexdigest(), SIZE, network)
