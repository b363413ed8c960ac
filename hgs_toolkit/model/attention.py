"""The transformer block of the coarsest level: every point sees every other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.model.layers import MLP, AdaIN, EqualLinear


class SelfAttention(nn.Module):
    """Multi-head attention over the points; queries, keys and values of a head lie side by side in one projection."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = EqualLinear(channels, 3 * channels)
        self.project = EqualLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        qkv = self.qkv(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, H, N, 3 C/H)
        y = functional.scaled_dot_product_attention(*qkv.chunk(3, dim=-1))  # (B, H, N, C/H)
        out: Tensor = self.project(y.transpose(1, 2).flatten(2))
        return out


class TransformerBlock(nn.Module):
    """x + Attn(AdaIN(x, w₁)) · γ₁(w₁), then x + MLP(AdaIN(x, w₂)) · γ₂(w₂): two style slots."""

    style_slots = 2

    def __init__(self, channels: int, heads: int, w_dim: int) -> None:
        super().__init__()
        self.attention_norm = AdaIN(channels, w_dim)
        self.attention = SelfAttention(channels, heads)
        self.mlp_norm = AdaIN(channels, w_dim)
        self.mlp = MLP(channels)

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:
        """(B, N, C), (B, 2, W) -> (B, N, C)."""
        y, scale = self.attention_norm(x, ws[:, 0])
        x = torch.addcmul(x, self.attention(y), scale)
        y, scale = self.mlp_norm(x, ws[:, 1])
        return torch.addcmul(x, self.mlp(y), scale)
