"""One finer level of the tree: edge block on the parents, subpixel upsampling to the children, MLP block."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.model.constants import Constants
from hgs_toolkit.model.edge_block import AdaptiveEdgeBlock, LocalEdgeBlock
from hgs_toolkit.model.layers import LRELU_SLOPE, MLP, AdaIN, EqualLinear, Map, in_pieces


class SubpixelUpsampling(Constants):
    """(skip + lrelu(FC(C_in → r·C_out)(x))) / sqrt(2), the parent's skip feature repeated for its r children."""

    def __init__(self, channels_in: int, channels_out: int, children: int) -> None:
        super().__init__()
        self.branching = children
        self.subpixel = EqualLinear(channels_in, children * channels_out, activation="lrelu")
        self.skip = EqualLinear(channels_in, channels_out) if channels_in != channels_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C_in) -> (B, N·r, C_out); the children of a parent are consecutive."""
        return self.by_scene(self._upsample, x)

    def _upsample(self, x: Tensor) -> Tensor:
        return self.prepared()(x.flatten(0, 1)).view(len(x), -1, self.subpixel.weight.shape[0] // self.branching)

    def prepared(self) -> Map:
        """The layer as a function (M, C_in) -> (M·r, C_out), as :meth:`EqualLinear.prepared`."""
        # 1/sqrt(2) cancels the leaky ReLU's gain and goes into the skip's weights: no pass over the children for it.
        half = math.sqrt(0.5)
        weight, bias = self.constant("subpixel", lambda: _scaled(self.subpixel, half))
        skip_weights = self.constant("skip", lambda: None if self.skip is None else _scaled(self.skip, half))

        def apply(x: Tensor) -> Tensor:
            children = functional.leaky_relu_(functional.linear(x, weight, bias), LRELU_SLOPE)
            skip = x * half if skip_weights is None else functional.linear(x, *skip_weights)
            return (children.view(len(x), self.branching, -1) + skip.unsqueeze(1)).flatten(0, 1)

        return apply


def _scaled(layer: EqualLinear, factor: float) -> tuple[Tensor, Tensor]:
    weight, bias = layer.effective()
    assert bias is not None
    return weight * factor, bias * factor


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

    def prepared(self) -> Map:
        """The block as a function (M, C) -> (M, C), as :meth:`EqualLinear.prepared`."""
        mlp = self.mlp.prepared()
        return lambda x: torch.addcmul(x, mlp(x), self.layer_scale)


class NoEdges(nn.Module):
    """Takes the place of the edge block in a level that has none."""

    style_slots = 0

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:  # noqa: ARG002 - all blocks are called alike
        """(B, N, C), (B, 0, W) -> the same (B, N, C)."""
        return x


class Level(Constants):
    """Turns the parents' features into those of the children.

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
        if isinstance(self.edge_block, LocalEdgeBlock) and isinstance(self.mlp_block, PlainMLPBlock):
            # Without styles nothing is shared beyond the siblings: families go through the whole level in pieces.
            steps = (self.edge_block.prepared(), self.upsampling.prepared(), self.mlp_block.prepared())
            return self.by_scene(lambda scenes: self._by_family(_chain(steps), scenes), x)
        for_edges = self.edge_block.style_slots
        x = self.upsampling(self.edge_block(x, ws[:, :for_edges]))
        out: Tensor = self.mlp_block(x, ws[:, for_edges:])
        return out

    def _by_family(self, function: Map, x: Tensor) -> Tensor:
        width = 4 * self.upsampling.subpixel.weight.shape[0]
        children = in_pieces(function, x.flatten(0, 1), width=width, multiple=self.upsampling.branching)
        return children.view(len(x), -1, children.shape[-1])


def _chain(steps: Iterable[Map]) -> Map:
    def apply(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return apply
