"""The first block of a grown discriminator: it starts out so that the whole judges as the smaller one did.

A grown discriminator begins with a block at the new resolution. A random block feeds noise to the
trained layers behind it, which are unlearned before the block is learned. Here the block starts as: halve the image,
then apply the old image layer. (Weights that keep a network's function while it grows: Chen et al. 2016, "Net2Net",
arXiv 1511.05641.)

Legend: s the slope of the leaky ReLU f; f(x) - f(-x) = (1 + s) x, so that a pair of channels with opposite signs
carries a value past f unchanged, and past the averaging of pixels, which is linear.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.discriminator_base import EqualConv2d
from hgs_toolkit.model.layers import LRELU_SLOPE
from hgs_toolkit.model.residual_discriminator import ResidualBlock, ResidualDiscriminator


@torch.no_grad()
def hand_over(grown: ResidualDiscriminator, image_weight: Tensor, image_bias: Tensor) -> None:
    """Make ``grown`` judge an image as the smaller discriminator judges it at half the size.

    Args:
        grown: with the smaller one's blocks already behind its first block.
        image_weight: (C, I, 1, 1) stored ``fromrgb.weight`` of the smaller one: C the first block's output width, I the
            image's channels.
        image_bias: (C,) its ``fromrgb.bias``.

    Raises:
        CheckpointError: if the first block is too narrow to carry an image.
    """
    block = grown.blocks[0]
    if not isinstance(block, ResidualBlock):
        raise TypeError("a residual discriminator consists of residual blocks")
    identity = torch.eye(image_weight.shape[1])  # (I, I)
    paired = 2 * len(identity)  # channels that carry the image: each of its own, then each negated
    if len(grown.fromrgb.weight) < paired:
        raise CheckpointError(
            f"the new discriminator starts with {len(grown.fromrgb.weight)} channels; "
            f"expected at least {paired}, which carry the image"
        )
    _put(grown.fromrgb, torch.cat([identity, -identity]), rows=paired)
    unpaired = torch.cat([identity, -identity], dim=1) / (1 + LRELU_SLOPE)  # (I, 2 I)
    _put(block.conv0, torch.cat([unpaired, -unpaired]), rows=paired)
    # Both image layers take as many channels, so that their gains are the same.
    seen = image_weight[:, :, 0, 0] * grown.fromrgb.weight_gain  # (C, I) effective
    _put(block.conv1, seen @ unpaired, rows=len(seen))
    if block.conv1.bias is not None:
        block.conv1.bias.copy_(image_bias * grown.fromrgb.bias_gain / block.conv1.bias_gain)
    block.skip.weight.zero_()


def _put(layer: EqualConv2d, matrix: Tensor, *, rows: int) -> None:
    """Make the first ``rows`` outputs the product with ``matrix`` (rows, paired inputs), pixel by pixel."""
    middle = layer.weight.shape[-1] // 2
    layer.weight[:rows].zero_()
    layer.weight[:rows, : matrix.shape[1], middle, middle] = matrix / layer.weight_gain
    if layer.bias is not None:
        layer.bias[:rows].zero_()
