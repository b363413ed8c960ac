"""Palettes of .sog files: vectors that stand for all, found by k-means, whose products are those of a BLAS."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array

from hgs_toolkit.exporters.splats.stored import Floats

COARSE = 256
"""Clusters of a palette's first stage; the second stage splits each by itself, at a 128th of the cost of one stage."""

SAMPLE = 64
"""Vectors for each coarse cluster among which its centre is looked for."""

ROUNDS = 4
"""Rounds of k-means in each stage; more rounds lower the error by less than a hundredth."""

Labels = NDArray[np.intp]


def palette(vectors: Floats, size: int, seed: int = 0) -> tuple[Floats, Labels]:
    """At most ``size`` entries (P, D) that stand for ``vectors`` (N, D), and the label (N,) of each vector's entry.

    Up to ``size`` distinct vectors are kept exactly. More are clustered by k-means in two stages: coarse clusters, of
    which each is split in proportion to its members.
    """
    random = np.random.default_rng(seed)
    # Most scenes have far more distinct vectors, as the hashes of a part of them show.
    if all(len(np.unique(_hashes(part, random))) <= size for part in (vectors[: 2 * size], vectors)):
        distinct, labels = np.unique(vectors, axis=0, return_inverse=True)
        if len(distinct) <= size:
            return distinct, labels.reshape(-1)
    some = vectors.take(random.choice(len(vectors), min(len(vectors), SAMPLE * COARSE), replace=False), axis=0)
    coarse = _nearest(vectors, _kmeans(some, min(COARSE, size), random)[0])
    members = [index for label in range(coarse.max() + 1) if len(index := np.flatnonzero(coarse == label))]
    # Each cluster gets one entry; the remaining ones are shared by the clusters' sizes, rounded down.
    spare = size - len(members)
    centres, result, used = [], np.zeros(len(vectors), np.intp), 0
    for index in members:
        fine, which = _kmeans(vectors.take(index, axis=0), 1 + spare * len(index) // len(vectors), random)
        centres.append(fine)
        result[index] = used + which
        used += len(fine)
    return np.concatenate(centres), result


def _hashes(vectors: Floats, random: np.random.Generator) -> NDArray[np.uint64]:
    """A hash (N,) of each vector; equal vectors have equal hashes, so there are at most as many as distinct vectors."""
    result = np.zeros(len(vectors), np.uint64)
    for column in vectors.T:
        bits = (column + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0
        result += bits * random.integers(2**63, dtype=np.uint64)
    return result


def _kmeans(vectors: Floats, size: int, random: np.random.Generator) -> tuple[Floats, Labels]:
    """Centres (min(size, M), D) and labels (M,) by Lloyd's algorithm; a cluster without members keeps its centre."""
    if len(vectors) <= size:
        return vectors, np.arange(len(vectors))
    centres = vectors[random.choice(len(vectors), size, replace=False)]
    labels = _nearest(vectors, centres)
    ones, starts = np.ones(len(vectors), np.float32), np.arange(len(vectors) + 1)
    for _ in range(ROUNDS):
        counts = np.bincount(labels, minlength=size)
        sums = csc_array((ones, labels, starts), shape=(size, len(vectors))) @ vectors
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres).astype(np.float32)
        labels = _nearest(vectors, centres)
    return centres, labels


def _nearest(vectors: Floats, centres: Floats, rows: int = 1024) -> Labels:
    """The index (M,) of the centre nearest to each vector; a cache holds what ``rows`` vectors at a time need."""
    points, weights = torch.from_numpy(vectors), torch.from_numpy(centres.T)
    offset = weights.square().sum(0) / -2
    labels, scores = np.empty(len(vectors), np.intp), torch.empty(rows, len(centres))
    for start in range(0, len(vectors), rows):
        block = points[start : start + rows]
        score = torch.addmm(offset, block, weights, out=scores[: len(block)])
        score.numpy().argmax(axis=1, out=labels[start : start + rows])  # torch takes ten times as long for it
    return labels
