# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians moved, turned, scaled and thinned out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .harmonics import turned
from .rotations import matrices_to_quaternions, quaternions_to_matrices
from .splats import NO_PARENT, OFFSET, ActivatedSplats, Array, offset_of

STILL = 1e-6
"""A matrix this close to that of no movement moves nothing, so that files come back as they were."""

UNEVEN = 1e-5
"""Relative difference of a matrix's scales from which Gaussians change their shape."""


def moved(splats: ActivatedSplats, matrix: Array) -> ActivatedSplats:
    """``splats`` after the affine map ``matrix`` (4, 4): places, shapes and colours, which turn along.

    Uneven scales and shears give each Gaussian new axes; harmonics follow the rotation that is closest to the map. The
    offset to which coordinates are relative is turned and scaled along.
    """
    if np.abs(matrix - np.eye(4)).max() < STILL:
        return splats
    linear = matrix[:3, :3].astype(np.float64)
    facts = dict(splats.facts)
    if (offset := offset_of(facts)).any():
        facts[OFFSET] = (_exact_turn(linear) @ offset).tolist()
    left, sizes, right = np.linalg.svd(linear)
    rotation = left @ right  # the closest rotation, or reflection
    position = splats.position @ linear.T + matrix[:3, 3]
    axes = quaternions_to_matrices(splats.rotation)
    if np.ptp(sizes) <= UNEVEN * sizes.max():
        scale, axes = splats.scale * sizes.mean(), rotation @ axes
    else:
        arms = linear @ (axes * splats.scale[:, None, :].astype(np.float64))
        axes, scale, _ = np.linalg.svd(arms)
    return replace(
        splats, position=position.astype(np.float32), scale=scale.astype(np.float32),
        rotation=matrices_to_quaternions(axes), harmonics=turned(splats.harmonics, rotation), facts=facts,
    )  # fmt: skip


def _exact_turn(linear: Array) -> Array:
    """``linear`` (3, 3); as whole numbers where it is so near to them that only Blender's single precision can be why.

    An offset of millions would show the rounding.
    """
    whole = np.round(linear)
    return whole if np.abs(linear - whole).max() < STILL else linear


def kept(splats: ActivatedSplats, keep: Array) -> ActivatedSplats:
    """The Gaussians where ``keep`` (N,) is true; orphans go to the nearest ancestor that is left."""
    arrays = {name: getattr(splats, name)[keep] for name in ("position", "scale", "rotation", "base", "harmonics")}
    if splats.level is None or splats.parent is None:
        return replace(splats, **arrays)
    parent = splats.parent.copy()
    while (lost := (parent != NO_PARENT) & ~keep[parent]).any():
        parent[lost] = splats.parent[parent[lost]]
    number = np.append(np.cumsum(keep) - 1, NO_PARENT)  # the last one stands for no parent
    return replace(splats, **arrays, level=splats.level[keep], parent=number[parent[keep]].astype(np.int32))


def parents_by_index(level: Array, parent: Array, index: Array) -> Array:
    """Places (N,) of the parents, which ``parent`` names by the numbers ``index`` that Gaussians came in with.

    Gaussians may have been deleted, copied or joined with others since: where no Gaussian has the number, several
    have it, or the one that has it is of no lower level, there is no parent.
    """
    order = np.argsort(index, kind="stable")
    first, last = (np.searchsorted(index[order], parent, side) for side in ("left", "right"))
    place = order[np.minimum(first, len(order) - 1)]
    found = (parent != NO_PARENT) & (last - first == 1) & (level[place] < level)
    return np.where(found, place, NO_PARENT).astype(np.int32)
