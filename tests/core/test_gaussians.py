"""The hierarchy type: what it refuses, and what choosing levels and scenes keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate, stack


def _tensors(batch: int = 2, count: int = 21, bases: int = 1, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "means": (batch, count, 3),
        "log_scales": (batch, count, 3),
        "quats": (batch, count, 4),
        "sh": (batch, count, bases, 3),
        "opacity_logits": (batch, count),
    }
    return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}


def _tree(batch: int = 2, bases: int = 1, seed: int = 0) -> GaussianHierarchy:
    """1 + 4 + 16 Gaussians, children of a parent next to each other."""
    level = torch.tensor([0] + [1] * 4 + [2] * 16)
    parent = torch.tensor([-1] + [0] * 4 + [1 + i // 4 for i in range(16)])
    return GaussianHierarchy(**_tensors(batch, 21, bases, seed), level=level, parent=parent)


def test_a_flat_cloud_is_a_forest_of_roots() -> None:
    flat = GaussianHierarchy(**_tensors())
    assert flat.num_levels == 1
    assert (flat.parent == -1).all()
    assert flat.level_counts == [21]


def test_the_levels_partition_the_tree() -> None:
    tree = _tree()
    assert tree.level_counts == [1, 4, 16]
    assert sum(tree.levels(level).num_gaussians for level in range(3)) == tree.num_gaussians


def test_a_prefix_of_levels_keeps_the_parents_it_contains() -> None:
    tree = _tree()
    prefix = tree.levels(range(2))
    assert torch.equal(prefix.means, tree.means[:, :5])
    assert torch.equal(prefix.parent, tree.parent[:5])


def test_levels_whose_parents_are_gone_become_roots_and_inner_links_are_renumbered() -> None:
    tree = _tree()
    upper = tree.levels(1, 2)
    assert (upper.parent[:4] == -1).all()
    assert torch.equal(upper.parent[4:], tree.parent[5:] - 1)


def test_background_gaussians_stay_unless_told_otherwise() -> None:
    tree = _tree()
    background = GaussianHierarchy(**_tensors(count=3, seed=1), level=torch.full((3,), -1))
    scene = concatenate([tree, background])
    assert scene.levels(0).num_gaussians == 4
    assert scene.levels(0, background=False).num_gaussians == 1
    assert scene.num_levels == 3


def test_one_scene_of_a_batch_is_a_batch_of_one() -> None:
    tree = _tree(batch=3)
    assert torch.equal(tree[-1].means, tree.means[2:])
    assert len(tree[1]) == 1
    assert torch.equal(stack([tree[i] for i in range(3)]).quats, tree.quats)
    with pytest.raises(IndexError):
        tree[3]


def test_anchors_follow_the_scene_that_is_chosen() -> None:
    tree = _tree()
    with_anchors = tree.replace(anchors=_tree(seed=5))
    assert with_anchors.anchors is not None
    chosen = with_anchors[1].anchors
    assert chosen is not None
    assert torch.equal(chosen.means, with_anchors.anchors.means[1:])


def test_concatenation_renumbers_parents_and_pads_harmonics() -> None:
    first, second = _tree(bases=1), _tree(bases=4, seed=2)
    both = concatenate([first, second])
    assert both.sh_degree == 1
    assert (both.sh[:, :21, 1:] == 0).all()
    linked = second.parent >= 0
    assert torch.equal(both.parent[21:][linked], second.parent[linked] + 21)
    assert torch.equal(both.levels(0, 1, 2).means, both.means)


def test_changing_type_keeps_the_tree() -> None:
    tree = _tree().to(dtype=torch.float64)
    assert tree.means.dtype == torch.float64
    assert tree.level.dtype == torch.int64
    assert tree.detach().num_levels == 3


@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "sh", "opacity_logits"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_values_are_counted_and_refused_by_name(name: str, value: float) -> None:
    tensors = _tensors()
    tensors[name].flatten()[:3] = value
    with pytest.raises(ShapeError, match=f"3 in {name}"):
        GaussianHierarchy(**tensors)
    GaussianHierarchy(**tensors, check_finite=False)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("means", (21, 3)), ("log_scales", (2, 20, 3)), ("quats", (2, 21, 3)), ("sh", (2, 21, 3)),
     ("sh", (2, 21, 5, 3)), ("opacity_logits", (2, 21, 1))],
)  # fmt: skip
def test_wrong_shapes_are_refused_with_the_expected_one(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        GaussianHierarchy(**(_tensors() | {name: torch.zeros(shape)}))


def test_mixed_types_are_refused() -> None:
    tensors = _tensors()
    with pytest.raises(ShapeError, match="quats"):
        GaussianHierarchy(**(tensors | {"quats": tensors["quats"].double()}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": torch.zeros(20, dtype=torch.int64)}, r"expected int64 of shape \(21,\)"),
        ({"level": torch.zeros(21)}, "expected int64"),
        ({"level": torch.full((21,), -2)}, "-2 found"),
        ({"parent": torch.full((21,), 21)}, "outside 0..20"),
        ({"parent": torch.zeros(21, dtype=torch.int64)}, "lower level"),
    ],
)
def test_trees_that_are_none_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        GaussianHierarchy(**_tensors(), **change)


def test_scenes_of_different_trees_do_not_stack() -> None:
    with pytest.raises(ShapeError, match="different trees"):
        stack([_tree(batch=1), GaussianHierarchy(**_tensors(batch=1))])


def test_an_empty_cloud_is_allowed() -> None:
    empty = GaussianHierarchy(**_tensors(count=0))
    assert empty.num_levels == 0
    assert empty.levels(0).num_gaussians == 0


def test_a_scene_describes_itself_in_one_line(scene: GaussianHierarchy) -> None:
    assert repr(scene) == (
        "GaussianHierarchy(1 x 89 Gaussians, levels [4, 16, 64], 5 background, SH degree 0, float32 on cpu)"
    )


def test_stored_and_activated_values_are_both_there(scene: GaussianHierarchy) -> None:
    torch.testing.assert_close(scene.scales.log(), scene.log_scales)
    torch.testing.assert_close(scene.opacities.logit(), scene.opacity_logits)
