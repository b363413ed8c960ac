"""Edge blocks: a point gathers from its neighbours, found in feature space or simply its siblings.

For an edge i → j with the edge feature e_ij = [x_i ; x_j − x_i] (dynamic graph CNN, Wang et al. 2019, equation 8)
    weight_ij = softmax over j of U₂ lrelu(U₁ (x_j − x_i)),    value_ij = V₂ lrelu(V₁ e_ij),    y_i = Σ_j weight·value
channel by channel. U₁ and V₁ are linear, so they are applied per point and combined per edge: the same result for a
k-th of the work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.model.layers import LRELU_SLOPE, AdaIN, EqualLinear, in_pieces

SEARCH_CELLS = 1 << 22
"""Distances held at a time in the neighbour search (16 MB)."""


class EdgeGather(nn.Module):
    """The two networks on edges and the weighted sum, for any choice of neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.channels = channels
        self.weight_hidden = EqualLinear(channels, half, activation="lrelu")
        self.weight_out = EqualLinear(half, channels)
        self.value_hidden = EqualLinear(2 * channels, channels, activation="lrelu")
        self.value_out = EqualLinear(channels, channels)

    def per_point(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) -> what a point sends and what it adds as receiver, (B, N, C/2 + C) each, hidden units in front.

        U₁(x_j − x_i) + b = U₁x_j + (b − U₁x_i);  V₁[x_i ; x_j − x_i] + b = V₁ᵇx_j + ((V₁ᵃ − V₁ᵇ)x_i + b).
        """
        u, u_bias = self.weight_hidden.effective()
        v, v_bias = self.value_hidden.effective()
        v_self, v_other = v.chunk(2, dim=1)
        assert u_bias is not None
        assert v_bias is not None
        bias = torch.cat([torch.zeros_like(u_bias), torch.zeros_like(v_bias), u_bias, v_bias])
        both = functional.linear(x, torch.cat([u, v_other, -u, v_self - v_other]), bias)
        sent, received = both.chunk(2, dim=-1)
        return sent, received

    def on_edges(self, hidden: Tensor) -> Tensor:
        """Sums of sent and received (..., k, C/2 + C), overwritten, -> weighted sums over k (..., C)."""
        hidden = functional.leaky_relu_(hidden, LRELU_SLOPE)
        for_weight, for_value = hidden[..., : self.channels // 2], hidden[..., self.channels // 2 :]
        weight: Tensor = self.weight_out(for_weight).softmax(dim=-2)
        value: Tensor = self.value_out(for_value)
        return (weight * value).sum(-2)


class AdaptiveEdgeBlock(nn.Module):
    """x + edges(AdaIN(x, w)) · γ(w) over the k nearest other points in the space of the normalised features."""

    style_slots = 1

    def __init__(self, channels: int, w_dim: int, neighbors: int) -> None:
        super().__init__()
        self.neighbors = neighbors
        self.norm = AdaIN(channels, w_dim)
        self.edges = EdgeGather(channels)

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:
        """(B, N, C), (B, 1, W) -> (B, N, C)."""
        y, scale = self.norm(x, ws[:, 0])
        index = nearest_neighbors(y.detach(), self.neighbors)  # (B, N, k)
        sums = [self._of_scene(*scene) for scene in zip(*self.edges.per_point(y), index, strict=True)]
        return torch.addcmul(x, torch.stack(sums), scale)

    def _of_scene(self, sent: Tensor, received: Tensor, index: Tensor) -> Tensor:
        """(N, 3C/2), (N, 3C/2), (N, k) -> (N, C)."""

        def on_piece(index: Tensor, received: Tensor) -> Tensor:
            gathered = sent.index_select(0, index.flatten()).view(*index.shape, -1)  # (n, k, 3C/2)
            return self.edges.on_edges(gathered + received.unsqueeze(1))

        return in_pieces(on_piece, index, received, width=self.neighbors * sent.shape[1])


class LocalEdgeBlock(nn.Module):
    """x + edges(x) · a learned scale per channel; the neighbours of a point are its siblings, itself included."""

    style_slots = 0

    def __init__(self, channels: int, children: int) -> None:
        super().__init__()
        self.branching = children
        self.edges = EdgeGather(channels)
        self.layer_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, ws: Tensor) -> Tensor:  # noqa: ARG002 - all blocks are called alike
        """(B, N, C), (B, 0, W) -> (B, N, C); siblings are consecutive."""
        sent, received = self.edges.per_point(x)
        families = (len(x), -1, self.branching, sent.shape[-1])
        edges = sent.reshape(families).unsqueeze(2) + received.reshape(families).unsqueeze(3)  # (B, P, i, j, 3C/2)
        return torch.addcmul(x, self.edges.on_edges(edges).flatten(1, 2), self.layer_scale)


def nearest_neighbors(points: Tensor, k: int) -> Tensor:
    """Indices (B, N, k) of the k nearest other points of each of ``points`` (B, N, C), Euclidean distance."""
    batch, count, _ = points.shape
    index = torch.empty(batch, count, k, dtype=torch.int64, device=points.device)
    rows = max(1, SEARCH_CELLS // count)
    for scene in range(batch):
        squares = points[scene].square().sum(1)  # (N,)
        for start in range(0, count, rows):
            query = points[scene, start : start + rows]
            # The query's own square is the same for all candidates and left out.
            distance = torch.addmm(squares, query, points[scene].mT, alpha=-2.0)
            distance.diagonal(start).fill_(torch.inf)
            index[scene, start : start + rows] = distance.topk(k, dim=1, largest=False, sorted=False).indices
    return index
