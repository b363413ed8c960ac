"""One finer level of the tree: edge block on the parents, subpixel upsampling to the children, MLP block."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.model.edge_block import AdaptiveEdgeBlock, LocalEdgeBlock
from hgs_toolkit.model.layers import LRELU_SLOPE, MLP, AdaIN, EqualLinear, in_pieces


class SubpixelUpsampling(nn.Module):
    """(skip + lrelu(FC(C_in → r·C_out)(x))) / sqrt(2), the parent's skip feature repeated for its r children."""

    def __init__(self, channels_in: int, channels_out: int, children: int) -> None:
        super().__init__()
        self.branching = children
        self.subpixel = EqualLinear(channels_in, children * channels_out, activation="lrelu")
        self.skip = EqualLinear(channels_in, channels_out) if channels_in != channels_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C_in) -> (B, N·r, C_out); the children of a parent are consecutive."""
        # 1/sqrt(2) cancels the leaky ReLU's gain and goes into the skip's weights: no pass over the children for it.
        half = math.sqrt(0.5)
        weight, bias = self.subpixel.effective()
        assert bias is not None
        children = functional.leaky_relu_(functional.linear(x, weight * half, bias * half), LRELU_SLOPE)
        if self.skip is None:
            skip = x * half
        else:
            weight, bias = self.skip.effective()
            assert bias is not None
            skip = functional.linear(x, weight * half, bias * half)
        return (children.view(*x.shape[:2], self.branching, -1) + skip.unsqueeze(2)).flatten(1, 2)


class StyledMLPBlock(nn.Module):
    """x + MLP(AdaIN(x, w)) · γ(w)."""

    style_slots = 1

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.norm = AdaIN(channels, w_dim)
        self.mlp = MLP(channels)

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:
        """(B, N, C), (B, 1, W) -> (B, N, C)."""
        y, scale = self.norm(x, ws[:, 0])
        return torch.addcmul(x, self.mlp(y), scale)


class PlainMLPBlock(nn.Module):
    """x + MLP(x) · a learned scale per channel."""

    style_slots = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = MLP(channels)
        self.layer_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:  # noqa: ARG002 - all blocks are called alike
        """(B, N, C), (B, 0, W) -> (B, N, C)."""
        return torch.addcmul(x, self.mlp(x), self.layer_scale)


class NoEdges(nn.Module):
    """The lean level's edge block: none."""

    style_slots = 0

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:  # noqa: ARG002 - all blocks are called alike
        """(B, N, C), (B, 0, W) -> the same (B, N, C)."""
        return x


class Level(nn.Module):
    """Parents' features to children's features.

    Attributes:
        style_slots: how many of w's slots the level takes (edge block first, then MLP block).
    """

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        kind = config.level_blocks[level - 1]
        channels_in, channels_out = config.channels[level - 1 : level + 1]
        self.edge_block: AdaptiveEdgeBlock | LocalEdgeBlock | NoEdges
        if kind == "adaptive":
            self.edge_block = AdaptiveEdgeBlock(channels_in, config.w_dim, config.neighbors)
        elif kind == "local":
            self.edge_block = LocalEdgeBlock(channels_in, config.children)
        else:
            self.edge_block = NoEdges()
        self.upsampling = SubpixelUpsampling(channels_in, channels_out, config.children)
        self.mlp_block: StyledMLPBlock | PlainMLPBlock
        self.mlp_block = PlainMLPBlock(channels_out) if kind == "local" else StyledMLPBlock(channels_out, config.w_dim)
        self.style_slots = self.edge_block.style_slots + self.mlp_block.style_slots

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:
        """(B, N, C_in), (B, style_slots, W) -> (B, N·r, C_out)."""
        if self.style_slots:
            return self._children_of(x, ws)
        # Without styles nothing is shared beyond the siblings: families go through the whole level in pieces.
        children = in_pieces(
            lambda piece: self._children_of(piece.unsqueeze(0), ws[:1]).squeeze(0),
            x.flatten(0, 1),
            width=4 * self.upsampling.subpixel.weight.shape[0],
            multiple=self.upsampling.branching,
        )
        return children.view(len(x), -1, children.shape[-1])

    def _children_of(self, x: Tensor, ws: Tensor) -> Tensor:
        for_edges = self.edge_block.style_slots
        x = self.upsampling(self.edge_block(x, ws[:, :for_edges]))
        out: Tensor = self.mlp_block(x, ws[:, for_edges:])
        return out
