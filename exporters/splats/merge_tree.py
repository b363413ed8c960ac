"""A binary tree over Gaussians in which every inner node stands for all leaves below it.

Inner nodes have the moments of the mixture of their leaves: mass, mean, covariance and mean colour. The mass of a
Gaussian is its opacity times the surface of its ellipsoid, which is proportional to the mean area that it covers.

The generator's tree decides which Gaussians are merged. The generator draws the Gaussians of all levels together, so a
parent is itself a leaf beside the merged subtrees of its children. Siblings, and Gaussians without a tree (roots, files
of other programs), are merged in pairs of neighbours along a Morton curve until one is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import (
    log_scales_to_scales,
    logits_to_opacities,
    normalize_quats,
    opacities_to_logits,
    quats_to_rotmats,
    rotmats_to_quats,
)
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.int64]

NONE = -1
"""Index that stands for no node."""

THOMSEN = 1.6075
"""Exponent in Thomsen's formula for the surface of an ellipsoid, whose error is at most 1.1 %."""

LEAST_SHARE = 1e-6
"""Least ratio of a merged Gaussian's smallest standard deviation to its largest one."""


@dataclass(frozen=True, eq=False)
class MergeTree:
    """N leaves and N - 1 inner nodes; M = 2 N - 1, the root first, parents before children, siblings side by side.

    Attributes:
        means: (M, 3) centres.
        scales: (M, 3) standard deviations along the axes of ``quats``.
        quats: (M, 4) wxyz, unit.
        sh: (M, K, 3) coefficients.
        density: (M,) mass divided by surface, which for a leaf is its opacity. It exceeds 1 if the leaves below a node
            overlap; the node then covers as much as that many opaque Gaussians, one behind the other.
        first_child: (M,) index of the first of a node's two children; -1 for leaves.
        leaf: (M,) index of a leaf's Gaussian in the scene; -1 for inner nodes.
    """

    means: Doubles
    scales: Doubles
    quats: Doubles
    sh: Floats
    density: Doubles
    first_child: Index
    leaf: Index

    def __len__(self) -> int:
        return len(self.means)


def merge_tree(scene: GaussianHierarchy) -> MergeTree:
    """The tree of a batch of one with at least one Gaussian."""
    mixture = _Mixture(scene)
    level, parent = scene.level.numpy(), scene.parent.numpy()
    rank = np.empty(len(level), np.int64)
    rank[morton_order(scene.means[0].numpy())] = np.arange(len(level))
    top = np.arange(len(level))  # (N,) the node that stands for a Gaussian and all below it
    # A child's level is above its parent's, so its own subtree is complete when its parent's turn comes.
    parent_level = np.where(parent == NONE, BACKGROUND_LEVEL - 1, level[parent])
    for current in range(int(level.max()), BACKGROUND_LEVEL - 2, -1):
        children = np.flatnonzero(parent_level == current)
        children = children[np.lexsort((rank[children], parent[children]))]
        merged, above = _reduce(mixture, top[children], parent[children])
        if current >= BACKGROUND_LEVEL:
            top[above] = mixture.merge(above, merged)
        else:
            (root,) = merged
    return mixture.ordered_from(int(root))


def _reduce(mixture: _Mixture, nodes: Index, groups: Index) -> tuple[Index, Index]:
    """Merge the nodes of each group in pairs until one is left; returns these nodes and their groups.

    The nodes of a group must be side by side.
    """
    while True:
        first = np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))  # where each group begins
        position = np.arange(len(groups)) - np.repeat(first, np.diff(first, append=len(groups)))
        left = np.flatnonzero((position % 2 == 0) & (groups == np.append(groups[1:], groups[-1:] - 1)))
        if not len(left):
            return nodes, groups
        nodes = nodes.copy()
        nodes[left] = mixture.merge(nodes[left], nodes[left + 1])
        keep = position % 2 == 0
        nodes, groups = nodes[keep], groups[keep]


class _Mixture:
    """The nodes in the order in which they are made: first the leaves, then each inner node after its children."""

    def __init__(self, scene: GaussianHierarchy) -> None:
        count, bases = scene.num_gaussians, scene.sh.shape[2]
        total = 2 * count - 1
        scales = log_scales_to_scales(scene.log_scales[0].double())
        self.leaf_scales, self.leaf_quats = scales.numpy(), normalize_quats(scene.quats[0].double()).numpy()
        axes = quats_to_rotmats(scene.quats[0].double()) * scales[:, None]  # (N, 3, 3)
        opacities = logits_to_opacities(scene.opacity_logits[0].double()).numpy()
        self.count = self.leaves = count
        self.children = np.full((total, 2), NONE)
        self.mass, self.mean, self.covariance = np.empty(total), np.empty((total, 3)), np.empty((total, 3, 3))
        self.sh = np.empty((total, bases, 3), np.float32)
        self.mass[:count] = opacities * surface(self.leaf_scales)
        self.mean[:count] = scene.means[0].numpy()
        self.covariance[:count] = (axes @ axes.mT).numpy()
        self.sh[:count] = scene.sh[0].numpy()

    def merge(self, a: Index, b: Index) -> Index:
        """Make the parents (P,) of the nodes ``a`` and ``b`` (P,)."""
        new = np.arange(self.count, self.count + len(a))
        self.count += len(a)
        self.children[new] = np.column_stack([a, b])
        self.mass[new] = self.mass[a] + self.mass[b]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = self.mass[b] / self.mass[new]
        share = np.where(np.isfinite(share), share, 0.5)[:, None]  # both nodes may be invisible
        offset = self.mean[b] - self.mean[a]
        self.mean[new] = self.mean[a] + share * offset
        # The covariance of a mixture of two is the mean of theirs plus what the distance of their means adds.
        spread = (share * (1 - share) * offset)[:, :, None] * offset[:, None]
        self.covariance[new] = _blend(self.covariance[a], self.covariance[b], share[:, :, None]) + spread
        self.sh[new] = _blend(self.sh[a], self.sh[b], share[:, :, None].astype(np.float32))
        return new

    def ordered_from(self, root: int) -> MergeTree:
        """The tree below ``root``, its nodes sorted by depth."""
        order, first_child, made = [np.array([root])], [], 1
        while len(order[-1]):
            inner = self.children[order[-1], 0] != NONE
            first_child.append(np.where(inner, made + 2 * (np.cumsum(inner) - 1), NONE))
            order.append(self.children[order[-1][inner]].reshape(-1))
            made += len(order[-1])
        index = np.concatenate(order)
        leaf = np.where(index < self.leaves, index, NONE)
        scales, quats = self._shapes(index)
        return MergeTree(
            self.mean[index], scales, quats, self.sh[index], self.mass[index] / surface(scales),
            np.concatenate(first_child), leaf,
        )  # fmt: skip

    def _shapes(self, index: Index) -> tuple[Doubles, Doubles]:
        """Scales (M, 3) and quaternions (M, 4): a leaf's are those of the scene, an inner node's of its covariance."""
        scales, quats = np.empty((len(index), 3)), np.empty((len(index), 4))
        inner = index >= self.leaves
        scales[~inner], quats[~inner] = self.leaf_scales[index[~inner]], self.leaf_quats[index[~inner]]
        variances, axes = np.linalg.eigh(self.covariance[index[inner]])  # ascending; axes are columns
        deviations = np.sqrt(variances.clip(0))
        scales[inner] = np.maximum(deviations, LEAST_SHARE * deviations[:, 2:])
        axes[np.linalg.det(axes) < 0, :, 0] *= -1
        quats[inner] = rotmats_to_quats(torch.from_numpy(axes)).numpy()
        return scales, quats


def surface(scales: Doubles) -> Doubles:
    """The surfaces (N,) of ellipsoids with half-axes (N, 3) by Thomsen's formula, divided by 4 pi."""
    a, b, c = (scales**THOMSEN).T
    area: Doubles = ((a * b + a * c + b * c) / 3) ** (1 / THOMSEN)
    return area


def _blend(a: NDArray[np.floating], b: NDArray[np.floating], share: NDArray[np.floating]) -> NDArray[np.floating]:
    return a + share * (b - a)


def cut(tree: MergeTree, scene: GaussianHierarchy, count: int) -> GaussianHierarchy:
    """A flat scene of the ``count`` nodes that stand for all of ``scene`` when the largest nodes are opened first.

    A node of a density above 1 becomes an opaque Gaussian, enlarged so that it covers a half at the same distance.
    """
    opened = _opened_first(tree)[: max(0, min(count, scene.num_gaussians) - 1)]
    drawn = np.zeros(len(tree), bool)
    drawn[0] = True
    drawn[tree.first_child[opened]] = drawn[tree.first_child[opened] + 1] = True
    drawn[opened] = False
    density = tree.density[drawn]
    growth = half_cover_radius(density.clip(1)) / half_cover_radius(np.ones(1))

    def tensor(values: NDArray[Any]) -> torch.Tensor:  # (1, count, ...)
        return torch.from_numpy(values.astype(np.float32))[None]

    return GaussianHierarchy(
        means=tensor(tree.means[drawn]), log_scales=tensor(np.log(tree.scales[drawn] * growth[:, None])),
        quats=tensor(tree.quats[drawn]), sh=tensor(tree.sh[drawn]),
        opacity_logits=opacities_to_logits(tensor(density.clip(max=1))),
    )  # fmt: skip


def half_cover_radius(density: Doubles) -> Doubles:
    """The distance in standard deviations at which ``density`` opaque Gaussians, one behind the other, cover a half."""
    radius: Doubles = np.sqrt(-2 * np.log(-np.expm1(-np.log(2) / density)))
    return radius


def _opened_first(tree: MergeTree) -> Index:
    """The inner nodes from the largest to the smallest, but none before its parent."""
    size = tree.scales.max(axis=1)
    inner = np.flatnonzero(tree.first_child != NONE)
    bound = np.full(len(tree), np.inf)  # (M,) the least size on the way from the root
    rows = np.array([0])
    while len(rows):
        bound[rows] = np.minimum(bound[rows], size[rows])
        rows = rows[tree.first_child[rows] != NONE]
        children = np.concatenate([tree.first_child[rows], tree.first_child[rows] + 1])
        bound[children] = np.tile(bound[rows], 2)
        rows = children
    return inner[np.argsort(-bound[inner], kind="stable")]
