"""The tree of merged Gaussians: its shape, its moments, what is drawn of it, and levels of detail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.exporters.splats.lods import levels_of_detail
from hgs_toolkit.exporters.splats.merge_tree import MergeTree, cut, half_cover_radius, merge_tree, surface
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]


def leaves_below(tree: MergeTree, node: int) -> list[int]:
    """Gaussians of the scene under a node."""
    first = tree.first_child[node]
    return [int(tree.leaf[node])] if first < 0 else leaves_below(tree, first) + leaves_below(tree, first + 1)


def subtree(scene: GaussianHierarchy, root: int) -> set[int]:
    """A Gaussian and all below it in the generator's tree."""
    found = {root}
    for index, parent in enumerate(scene.parent.tolist()):  # parents come first in these scenes
        if parent in found:
            found.add(index)
    return found


@pytest.mark.parametrize("counts", [(1,), (2,), (37,), (4, 16, 64), (3, 1, 5)])
def test_every_gaussian_is_a_leaf_once_and_siblings_follow_their_parent(
    counts: tuple[int, ...], scene_factory: SceneFactory
) -> None:
    scene = scene_factory(counts, background=2)
    tree = merge_tree(scene)
    count = scene.num_gaussians
    assert len(tree) == 2 * count - 1
    assert sorted(leaves_below(tree, 0)) == list(range(count))
    inner = np.flatnonzero(tree.first_child >= 0)
    assert (tree.first_child[inner] > inner).all()
    assert sorted(np.concatenate([tree.first_child[inner], tree.first_child[inner] + 1])) == list(range(1, len(tree)))
    np.testing.assert_array_equal(tree.leaf[inner], -1)


def test_each_subtree_of_the_generator_has_a_node_with_its_root_as_a_leaf(scene: GaussianHierarchy) -> None:
    tree = merge_tree(scene)
    below = {frozenset(leaves_below(tree, node)): node for node in range(len(tree))}
    for root in range(20):  # levels 0 and 1
        node = below[frozenset(subtree(scene, root))]
        children = (tree.first_child[node], tree.first_child[node] + 1)
        assert root in [tree.leaf[child] for child in children]


def test_inner_nodes_have_the_moments_of_the_mixture_below_them(scene_factory: SceneFactory) -> None:
    scene = scene_factory((4, 16), degree=1)
    tree = merge_tree(scene)
    scales = scene.log_scales[0].double().exp().numpy()
    axes = quats_to_rotmats(scene.quats[0].double()).numpy() * scales[:, None]
    covariances, means = axes @ axes.transpose(0, 2, 1), scene.means[0].double().numpy()
    masses = scene.opacity_logits[0].double().sigmoid().numpy() * surface(scales)
    for node in np.flatnonzero(tree.first_child >= 0):
        rows = leaves_below(tree, int(node))
        weight = masses[rows] / masses[rows].sum()
        mean = weight @ means[rows]
        offset = means[rows] - mean
        expected = np.einsum("n,nij->ij", weight, covariances[rows] + offset[:, :, None] * offset[:, None])
        turned = quats_to_rotmats(torch.from_numpy(tree.quats[node])).numpy() * tree.scales[node]
        np.testing.assert_allclose(tree.means[node], mean, atol=1e-12)
        np.testing.assert_allclose(turned @ turned.T, expected, atol=1e-9)
        np.testing.assert_allclose(tree.sh[node], np.einsum("n,nkc->kc", weight, scene.sh[0].numpy()[rows]), atol=1e-5)
        np.testing.assert_allclose(
            tree.density[node] * surface(tree.scales[node][None])[0], masses[rows].sum(), rtol=1e-9
        )


def test_the_surface_is_that_of_a_sphere_and_near_that_of_a_disc() -> None:
    np.testing.assert_allclose(surface(np.full((1, 3), 2.0)), 4)
    np.testing.assert_allclose(surface(np.array([[1, 1, 1e-9]])), 0.5, rtol=0.011)


def test_invisible_gaussians_and_equal_places_merge_without_nan(scene_factory: SceneFactory) -> None:
    scene = scene_factory((8,))
    scene = scene.replace(means=0 * scene.means, opacity_logits=torch.full((1, 8), -1e9))
    tree = merge_tree(scene)
    for values in (tree.means, tree.scales, tree.quats, tree.density):
        assert np.isfinite(values).all()
    assert (tree.scales > 0).all()


@pytest.mark.parametrize("count", [1, 2, 17, 88, 89])
def test_a_cut_has_the_count_and_the_mass_that_were_asked_for(count: int, scene: GaussianHierarchy) -> None:
    tree = merge_tree(scene)
    drawn = cut(tree, scene, count)
    assert drawn.num_gaussians == count
    if count == 89:
        order = tree.leaf[tree.leaf >= 0]
        torch.testing.assert_close(drawn.means, scene.means[:, order])
        torch.testing.assert_close(drawn.opacity_logits, scene.opacity_logits[:, order], atol=1e-5, rtol=1e-5)


def test_many_opaque_gaussians_cover_further() -> None:
    radius = half_cover_radius(np.array([1.0, 2.0, 100.0]))
    np.testing.assert_allclose(1 - (1 - np.exp(-(radius**2) / 2)) ** np.array([1, 2, 100]), 0.5)


def test_levels_of_a_tree_are_unions_with_the_background(scene: GaussianHierarchy) -> None:
    lods = levels_of_detail(scene)
    assert [lod.name for lod in lods] == ["levels_0_0", "levels_0_1", "levels_0_2"]
    assert [lod.scene.num_gaussians for lod in lods] == [9, 25, 89]
    assert all(int((lod.scene.level == -1).sum()) == 5 for lod in lods)


def test_a_flat_scene_is_merged_by_four_until_few_are_left(scene_factory: SceneFactory) -> None:
    lods = levels_of_detail(scene_factory((5000,)))
    assert [lod.scene.num_gaussians for lod in lods] == [312, 1250, 5000]
    assert [lod.scene.num_gaussians for lod in levels_of_detail(scene_factory((300,)))] == [300]
