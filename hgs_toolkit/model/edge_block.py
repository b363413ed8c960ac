"""Edge blocks: a point gathers from its neighbours, found in feature space or simply its siblings.

For an edge i → j with the edge feature e_ij = [x_i ; x_j − x_i] (dynamic graph CNN, Wang et al. 2019, equation 8)
    weight_ij = softmax over j of U₂ lrelu(U₁ (x_j − x_i)),    value_ij = V₂ lrelu(V₁ e_ij),    y_i = Σ_j weight·value
channel by channel. U₁ and V₁ are linear, so they are applied per point and combined per edge: the same result for a
k-th of the work.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.model.constants import Constants
from hgs_toolkit.model.layers import LRELU_SLOPE, AdaIN, EqualLinear, Map, in_pieces

SEARCH_CELLS = 1 << 22
"""Number of distances held at a time in the neighbour search (16 MB)."""


class EdgeGather(Constants):
    """The two networks on edges and the weighted sum, for any choice of neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.channels = channels
        self.weight_hidden = EqualLinear(channels, half, activation="lrelu")
        self.weight_out = EqualLinear(half, channels)
        self.value_hidden = EqualLinear(2 * channels, channels, activation="lrelu")
        self.value_out = EqualLinear(channels, channels)

    def per_point(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """A function (B, N, C) -> what a point sends and what it adds as receiver, (B, N, C/2 + C) each.

        The weight net's hidden units are in front.
        U₁(x_j − x_i) + b = U₁x_j + (b − U₁x_i);  V₁[x_i ; x_j − x_i] + b = V₁ᵇx_j + ((V₁ᵃ − V₁ᵇ)x_i + b).
        """
        weight, bias = self.constant("per_point", self._stacked)

        def apply(x: Tensor) -> tuple[Tensor, Tensor]:
            sent, received = functional.linear(x, weight, bias).chunk(2, dim=-1)
            return sent, received

        return apply

    def sent_and_received(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`per_point` gives for the points of all scenes."""
        weight, bias = self.constant("per_point", self._stacked)
        sent, received = self.by_scene(lambda scenes: functional.linear(scenes, weight, bias), x).chunk(2, dim=-1)
        return sent, received

    def _stacked(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the first layers of both networks, for what is sent, then for what is received."""
        u, u_bias = self.weight_hidden.effective()
        v, v_bias = self.value_hidden.effective()
        v_self, v_other = v.chunk(2, dim=1)
        assert u_bias is not None
        assert v_bias is not None
        bias = torch.cat([torch.zeros_like(u_bias), torch.zeros_like(v_bias), u_bias, v_bias])
        return torch.cat([u, v_other, -u, v_self - v_other]), bias

    def on_edges(self) -> Callable[[Tensor], Tensor]:
        """A function of sums of sent and received (M, k, C/2 + C), overwritten, -> weighted sums over k (M, C)."""
        weight_out, value_out, half = self.weight_out.prepared(), self.value_out.prepared(), self.channels // 2

        def apply(hidden: Tensor) -> Tensor:
            # Two-dimensional, because a matrix product takes columns of a matrix as they lie, without a copy.
            flat = functional.leaky_relu_(hidden.flatten(0, 1), LRELU_SLOPE)  # (M·k, C/2 + C)
            weight = weight_out(flat[:, :half]).view(*hidden.shape[:2], -1).softmax(dim=1)
            value = value_out(flat[:, half:]).view(*hidden.shape[:2], -1)
            return (weight * value).sum(1)

        return apply


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
        on_edges = self.edges.on_edges()
        sent, received = self.edges.sent_and_received(y)
        sums = [self._of_scene(on_edges, *scene) for scene in zip(sent, received, index, strict=True)]
        return torch.addcmul(x, torch.stack(sums), scale)

    def _of_scene(self, on_edges: Callable[[Tensor], Tensor], sent: Tensor, received: Tensor, index: Tensor) -> Tensor:
        """(N, 3C/2), (N, 3C/2), (N, k) -> (N, C)."""

        def on_piece(index: Tensor, received: Tensor) -> Tensor:
            gathered = sent.index_select(0, index.flatten()).view(*index.shape, -1)  # (n, k, 3C/2)
            return on_edges(gathered + received.unsqueeze(1))

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
        return self.prepared()(x.flatten(0, 1)).view_as(x)

    def prepared(self) -> Map:
        """The block as a function (M, C) -> (M, C) of whole families, as :meth:`EqualLinear.prepared`."""
        per_point, on_edges = self.edges.per_point(), self.edges.on_edges()

        def apply(x: Tensor) -> Tensor:
            sent, received = (part.view(-1, self.branching, part.shape[-1]) for part in per_point(x))
            edges = sent.unsqueeze(1) + received.unsqueeze(2)  # (families, i, j, 3C/2)
            return torch.addcmul(x, on_edges(edges.flatten(0, 1)), self.layer_scale)

        return apply


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
