from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hgs_toolkit.model import edge_block, layers
from hgs_toolkit.model.edge_block import AdaptiveEdgeBlock, EdgeGather, LocalEdgeBlock, nearest_neighbors


def gathered_per_edge(edges: EdgeGather, x: Tensor, index: Tensor) -> Tensor:
    """The equations as they stand, edge by edge: x (N, C), index (N, k) -> (N, C)."""
    difference = x[index] - x[:, None]  # (N, k, C)
    edge_feature = torch.cat([x[:, None].expand_as(difference), difference], dim=-1)
    weight: Tensor = edges.weight_out(edges.weight_hidden(difference)).softmax(dim=1)
    value: Tensor = edges.value_out(edges.value_hidden(edge_feature))
    return (weight * value).sum(1)


def with_random_scales(block: AdaptiveEdgeBlock) -> AdaptiveEdgeBlock:
    block.norm.style.weight.data.normal_()
    return block


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("piece", [1 << 19, 50])
def test_the_adaptive_block_is_its_equations(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(layers, "PIECE", piece)
    block = with_random_scales(AdaptiveEdgeBlock(6, 4, 5))
    x, w = torch.randn(2, 20, 6), torch.randn(2, 1, 4)
    y, scale = block.norm(x, w[:, 0])
    index = nearest_neighbors(y, 5)
    expected = x + torch.stack([gathered_per_edge(block.edges, y[b], index[b]) for b in range(2)]) * scale
    torch.testing.assert_close(block(x, w), expected)


def test_the_local_block_is_its_equations_over_the_siblings() -> None:
    block = LocalEdgeBlock(6, 4)
    block.layer_scale.data.normal_()
    x = torch.randn(2, 12, 6)
    siblings = (torch.arange(12) // 4 * 4)[:, None] + torch.arange(4)
    expected = torch.stack([scene + gathered_per_edge(block.edges, scene, siblings) * block.layer_scale for scene in x])
    torch.testing.assert_close(block(x, torch.zeros(2, 0, 4)), expected)


def test_both_blocks_start_as_the_identity() -> None:
    x = torch.randn(2, 12, 6)
    assert torch.equal(AdaptiveEdgeBlock(6, 4, 5)(x, torch.randn(2, 1, 4)), x)
    assert torch.equal(LocalEdgeBlock(6, 4)(x, torch.zeros(2, 0, 4)), x)


def test_renumbering_the_points_renumbers_the_result_of_the_adaptive_block() -> None:
    block = with_random_scales(AdaptiveEdgeBlock(6, 4, 5))
    x, w, order = torch.randn(1, 20, 6), torch.randn(1, 1, 4), torch.randperm(20)
    torch.testing.assert_close(block(x[:, order], w), block(x, w)[:, order], atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_neighbours() -> None:
    block = with_random_scales(AdaptiveEdgeBlock(6, 4, 3)).double()
    x = torch.randn(1, 8, 6, dtype=torch.float64, requires_grad=True)
    w = torch.randn(1, 1, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: block(x, w), (x,))


@pytest.mark.parametrize("cells", [1 << 22, 64])
def test_nearest_neighbors_are_those_of_all_distances(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(edge_block, "SEARCH_CELLS", cells)
    points = torch.randn(2, 30, 5)
    distances = torch.cdist(points, points) + torch.eye(30) * 1e9
    expected = distances.topk(7, largest=False).indices
    assert torch.equal(nearest_neighbors(points, 7).sort().values, expected.sort().values)
