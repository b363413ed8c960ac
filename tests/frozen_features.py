"""A network in place of a pretrained one: nothing has to be installed, and a test takes milliseconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.model.projected_discriminator import FrozenFeatures


class TwoScales(FrozenFeatures):
    """Two convolutions in place of a pretrained network."""

    widths = (4, 6)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)  # like a pretrained network, always the same one
            self.fine, self.coarse = nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 6, 2, 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.fine(images)
        return [fine, self.coarse(functional.relu(fine))]
