"""A binary tree over Gaussians in which every inner node stands for all leaves below it.

Inner nodes have the moments of the mixture of their leaves: mass, mean, covariance and mean colour. The mass of a
Gaussian is its opacity times the surface of its ellipsoid, which is proportional to the mean area that it covers.

The generator's tree decides which Gaussians are merged. The generator draws the Gaussians of all levels together, so a
parent is itself a leaf beside the merged subtrees of its children. Siblings, and Gaussians without a tree (roots, files
of other programs), are merged in pairs of neighbours along a Morton curve until one is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import (
    covariances,
    log_scales_to_scales,
    logits_to_opacities,
    normalize_quats,
    opacities_to_logits,
    rotmats_to_quats,
)
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.stored import MAX_LOG_SCALE
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.parsing.distance import LEAST_LOG_SCALE

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.int64]

NONE = -1
"""Index that stands for no node."""

THOMSEN = 1.6075
"""Exponent in Thomsen's formula for the surface of an ellipsoid, whose error is at most 1.1 %."""

LOWER = np.tril_indices(3)
"""Rows and columns of the entries on and below the diagonal of a matrix."""

BLOCK = 8192
"""Number of nodes that are computed at a time, which bounds the memory."""

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
    return merged_nodes(scene).part(slice(None))


def merged_nodes(scene: GaussianHierarchy) -> TreeNodes:
    """The nodes of :func:`merge_tree`, whose shapes are worked out when a part of them is asked for."""
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
    """The nodes in the order in which they are made: first the leaves, then each inner node after its children.

    Of a covariance, the entries on and below the diagonal are kept, and those of leaves not at all: they follow from
    the scene. What is computed for many nodes is computed for BLOCK of them at a time.
    """

    def __init__(self, scene: GaussianHierarchy) -> None:
        count, bases = scene.num_gaussians, scene.sh.shape[2]
        total = 2 * count - 1
        # (N, 3), (N, 4) float32 of the scene; the surface of anything smaller or larger leaves the range of doubles.
        self.log_scales, self.quats = scene.log_scales[0].clip(LEAST_LOG_SCALE, MAX_LOG_SCALE), scene.quats[0]
        self.count = self.leaves = count
        self.children = np.empty((count - 1, 2), np.int64)  # of inner nodes
        self.covariance = np.empty((count - 1, len(LOWER[0])))  # of inner nodes
        self.mass, self.mean = np.empty(total), np.empty((total, 3))
        self.sh = np.empty((total, bases, 3), np.float32)
        for rows in blocks(count):
            opacities = logits_to_opacities(scene.opacity_logits[0, rows].double()).numpy()
            self.mass[rows] = opacities * surface(self.leaf_scales(rows))
        self.mean[:count] = scene.means[0].numpy()
        self.sh[:count] = scene.sh[0].numpy()

    def leaf_scales(self, leaves: Index | slice) -> Doubles:
        """Standard deviations (P, 3) of leaves."""
        return log_scales_to_scales(self.log_scales[leaves].double()).numpy()

    def leaf_quats(self, leaves: Index | slice) -> Doubles:
        """Unit quaternions (P, 4) of leaves."""
        return normalize_quats(self.quats[leaves].double()).numpy()

    def merge(self, a: Index, b: Index) -> Index:
        """Make the parents (P,) of the nodes ``a`` and ``b`` (P,)."""
        new = np.arange(self.count, self.count + len(a))
        self.count += len(a)
        self.children[new - self.leaves] = np.column_stack([a, b])
        for rows in blocks(len(a)):
            self._set_moments(new[rows], a[rows], b[rows])
        return new

    def _set_moments(self, new: Index, a: Index, b: Index) -> None:
        """Set the moments of the nodes ``new`` (P,) from those of their children."""
        self.mass[new] = self.mass[a] + self.mass[b]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = self.mass[b] / self.mass[new]
        share = np.where(np.isfinite(share), share, 0.5)[:, None]  # both nodes may be invisible
        offset = self.mean[b] - self.mean[a]
        self.mean[new] = self.mean[a] + share * offset
        # The covariance of a mixture of two is the mean of theirs plus what the distance of their means adds.
        spread = (share * (1 - share) * offset)[:, LOWER[0]] * offset[:, LOWER[1]]
        self.covariance[new - self.leaves] = _blend(self.covariances(a), self.covariances(b), share) + spread
        self.sh[new] = _blend(self.sh[a], self.sh[b], share[:, :, None].astype(np.float32))

    def covariances(self, nodes: Index) -> Doubles:
        """The entries (P, 6) on and below the diagonal of the covariances of nodes."""
        result = np.empty((len(nodes), len(LOWER[0])))
        is_leaf = nodes < self.leaves
        result[~is_leaf] = self.covariance[nodes[~is_leaf] - self.leaves]
        leaves = nodes[is_leaf]
        scales = torch.from_numpy(self.leaf_scales(leaves))
        result[is_leaf] = covariances(self.quats[leaves].double(), scales).numpy()[:, *LOWER]
        return result

    def ordered_from(self, root: int) -> TreeNodes:
        """The nodes below ``root``, sorted by depth."""
        order, first_child, made = [np.array([root])], [], 1
        while len(order[-1]):
            inner = order[-1] >= self.leaves
            first_child.append(np.where(inner, made + 2 * (np.cumsum(inner) - 1), NONE))
            order.append(self.children[order[-1][inner] - self.leaves].reshape(-1))
            made += len(order[-1])
        return TreeNodes(self, np.concatenate(order), np.concatenate(first_child))

    def shapes(self, nodes: Index) -> tuple[Doubles, Doubles]:
        """Scales (P, 3) and quaternions (P, 4): a leaf's are those of the scene, an inner node's of its covariance."""
        scales, quats = np.empty((len(nodes), 3)), np.empty((len(nodes), 4))
        inner = nodes >= self.leaves
        scales[~inner], quats[~inner] = self.leaf_scales(nodes[~inner]), self.leaf_quats(nodes[~inner])
        matrices = np.zeros((int(inner.sum()), 3, 3))
        matrices[:, *LOWER] = self.covariance[nodes[inner] - self.leaves]
        variances, axes = np.linalg.eigh(matrices)  # of what is below the diagonal; ascending; axes are columns
        deviations = np.sqrt(variances.clip(0))
        scales[inner] = np.maximum(deviations, LEAST_SHARE * deviations[:, 2:])
        axes[np.linalg.det(axes) < 0, :, 0] *= -1
        quats[inner] = rotmats_to_quats(torch.from_numpy(axes)).numpy()
        return scales, quats


@dataclass(frozen=True, eq=False)
class TreeNodes:
    """The nodes of a :class:`MergeTree` in its order, before their shapes are known.

    Attributes:
        mixture: moments of the nodes.
        index: (M,) the nodes' numbers there.
        first_child: (M,) as in the tree.
    """

    mixture: _Mixture
    index: Index
    first_child: Index

    def __len__(self) -> int:
        return len(self.index)

    def part(self, rows: slice) -> MergeTree:
        """Some of the tree's nodes; ``first_child`` counts from the tree's beginning."""
        index = self.index[rows]
        scales, quats = self.mixture.shapes(index)
        return MergeTree(
            self.mixture.mean[index], scales, quats, self.mixture.sh[index], self.mixture.mass[index] / surface(scales),
            self.first_child[rows], np.where(index < self.mixture.leaves, index, NONE),
        )  # fmt: skip


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices of at most ``size`` rows that cover ``count`` rows."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


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
