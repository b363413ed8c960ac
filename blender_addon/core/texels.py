# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as a graphics card reads them: tables of texels, a view's order, and which Gaussians a budget takes.

Nothing here knows Blender. A texel is four numbers; a table's texels fill the rows of a texture one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .harmonics import C0
from .projection import MIN_ALPHA, Lens, rotation_matrices
from .splats import ActivatedSplats, Array

WIDTH = 8192
"""Width of textures, texels; every graphics card that Blender supports has at least 16384."""

SHAPE_TEXELS, PLACE_TEXELS = 3, 4
"""Texels of a Gaussian's shape, and of the place of an object."""


class PackedSplats(NamedTuple):
    """N Gaussians in their object's coordinates, in the file's order.

    Attributes:
        shapes: (N, 3, 4) float32, rows of the matrix [axes | centre]; axes are columns as long as their deviation.
        colors: (N, 4) float32, display colour without harmonics, and opacity.
        harmonics: (N, K, 4) float32, higher coefficients and a 0; K of 0, 3, 8 or 15.
        centres: (N, 3) float32.
        ranking: (M,) numbers of the Gaussians that can be seen at all, by what they add to an image: coarse levels
            first, within a level those of the largest opacity times area.
    """

    shapes: Array
    colors: Array
    harmonics: Array
    centres: Array
    ranking: Array

    def chosen(self, count: int | None) -> Array:
        """Numbers, ascending, of the ``count`` Gaussians that matter most; of all that can be seen for None."""
        return np.sort(self.ranking if count is None else self.ranking[:count])


def pack(splats: ActivatedSplats, levels: Array) -> PackedSplats:
    """Tables of Gaussians, whose ``levels`` (N,) say which of them a budget takes first."""
    axes = rotation_matrices(splats.rotation) * splats.scale[:, None, :]
    shapes = np.concatenate([axes, splats.position[:, :, None]], 2).astype(np.float32)
    colors = np.column_stack([0.5 + C0 * splats.base[:, :3], splats.base[:, 3]]).astype(np.float32)
    harmonics = np.pad(splats.harmonics, ((0, 0), (0, 0), (0, 1))).astype(np.float32)
    sizes = np.sort(splats.scale, 1)
    ranking = np.lexsort((-splats.base[:, 3] * sizes[:, 1] * sizes[:, 2], levels))
    seen = splats.base[ranking, 3] >= MIN_ALPHA
    return PackedSplats(shapes, colors, harmonics, splats.position.astype(np.float32), ranking[seen])


def shares(counts: Sequence[int], budget: int) -> list[int | None]:
    """How many Gaussians of each object are drawn where ``budget`` are in all; None for all of an object's."""
    total = sum(counts)
    return [None if total <= budget else max(1, count * budget // total) for count in counts]


def far_to_near(depths: Array, lens: Lens) -> Array:
    """Numbers of the Gaussians between the clipping planes, the farthest first; equal depths in reverse order."""
    kept = np.flatnonzero((depths >= lens.near) & (depths <= lens.far))
    ordered: Array = kept[np.argsort(depths[kept], kind="stable")[::-1]]
    return ordered


def place_of(matrix: Array, *, parallel: bool, cut: bool) -> Array:
    """(4, 4) float32 texels of an object's place: the rows of its ``matrix`` to the camera, then the camera's position
    (with ``parallel``: its direction) in the object's coordinates, and 1 for a holdout."""
    back = np.linalg.inv(matrix[:3, :3])
    eye = back[:, 2] if parallel else -back @ matrix[:3, 3]
    return np.vstack([matrix[:3], [*eye, float(cut)]]).astype(np.float32)


def as_texture(values: Array) -> Array:
    """Numbers (..., 4 or 2) as the rows (height, WIDTH, 4 or 2) of a texture, filled up with zeros."""
    texels = values.reshape(-1, values.shape[-1])
    height = max(1, -(-len(texels) // WIDTH))
    sheet = np.zeros((height * WIDTH, texels.shape[1]), np.float32)
    sheet[: len(texels)] = texels
    return sheet.reshape(height, WIDTH, -1)
