# SPDX-License-Identifier: GPL-3.0-or-later
"""The passes of the exact engine: what an image says about its pixels besides their colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from bpy.types import ViewLayer

from ..compat import OBJECT_INDEX_PASS
from ..core.cryptomatte import RANKS_PER_PASS, ranked
from ..core.splats import Array
from .compositing import HALF, nearest
from .drawing import LEVELS, NORMALS, OWNERS, Drawn

COMBINED, DEPTH, NORMAL, LEVEL, CRYPTOMATTE = "Combined", "Depth", "Normal", "Level", "CryptoObject"

NOTHING = 0
"""Level of a pixel to which no Gaussian contributes; that of the background is 1, the coarsest of the tree 2."""


class PassKind(NamedTuple):
    """A pass as Blender is told of it."""

    name: str
    channels: str
    type: Literal["VALUE", "VECTOR", "COLOR"]
    needs: str = ""  # of drawing.py


def passes_of(layer: ViewLayer, *, level: bool) -> list[PassKind]:
    """The passes that a view layer asks for; ``level``: that of the levels, too."""
    kinds = [PassKind(COMBINED, "RGBA", "COLOR")]
    if layer.use_pass_z:
        kinds.append(PassKind(DEPTH, "Z", "VALUE"))
    if layer.use_pass_normal:
        kinds.append(PassKind(NORMAL, "XYZ", "VECTOR", NORMALS))
    if layer.use_pass_object_index:
        kinds.append(PassKind(OBJECT_INDEX_PASS, "X", "VALUE", OWNERS))
    if level:
        kinds.append(PassKind(LEVEL, "X", "VALUE", LEVELS))
    if layer.use_pass_cryptomatte_object:
        kinds += [PassKind(name, "RGBA", "COLOR", OWNERS) for name in cryptomatte_names(layer)]
    return kinds


def cryptomatte_names(layer: ViewLayer) -> list[str]:
    """Names of the passes that hold as many ranks as the layer asks for."""
    return [f"{CRYPTOMATTE}{number:02d}" for number in range(-(-layer.pass_cryptomatte_depth // RANKS_PER_PASS))]


def wanted_by(kinds: Sequence[PassKind]) -> frozenset[str]:
    """What :func:`~.drawing.draw` has to find out for passes."""
    return frozenset(kind.needs for kind in kinds if kind.needs)


def sharp_passes(kinds: Sequence[PassKind], drawn: Drawn, to_camera: Array) -> Iterator[tuple[str, Array]]:
    """Names and images (H, W, C) of the passes that are not averaged: depth, normal, object index and level."""
    for kind in kinds:
        if kind.name == DEPTH:
            yield kind.name, nearest(drawn)[..., None]
        elif kind.name == NORMAL:
            yield kind.name, world_normals(drawn, to_camera)
        elif kind.name == OBJECT_INDEX_PASS:
            yield kind.name, object_indices(drawn)
        elif kind.name == LEVEL:
            yield kind.name, levels(drawn)


def world_normals(drawn: Drawn, to_camera: Array) -> Array:
    """(H, W, 3) unit vectors in the world: of Gaussians where they cover most of a pixel, else of the surface."""
    normals = drawn.known[NORMALS].astype(np.float64)
    behind = np.zeros_like(normals) if drawn.surface is None else drawn.surface.normals
    normals = np.where(drawn.picture.alphas[..., None] > HALF, normals, behind)
    turned = normals @ to_camera[:3, :3]  # by the inverse of the rotation
    unit: Array = turned / np.maximum(np.linalg.norm(turned, axis=-1, keepdims=True), 1e-12)
    return unit


def object_shares(drawn: Drawn) -> Array:
    """(H, W, K) how far the objects of the image's table cover its pixels."""
    shares = drawn.known[OWNERS].copy()
    if drawn.surface is not None:
        rows, columns = np.nonzero(drawn.surface.covers > 0)
        behind = (1 - drawn.picture.alphas)[rows, columns] * drawn.surface.covers[rows, columns]
        shares[rows, columns, drawn.surface.owners[rows, columns]] += behind
    return shares


def object_indices(drawn: Drawn) -> Array:
    """(H, W, 1) Pass Index of the object that covers most of a pixel; 0 where it is covered half or less."""
    shares = object_shares(drawn)
    if not shares.shape[-1]:
        return np.zeros((*shares.shape[:2], 1))
    indices = np.array(drawn.table.indices, np.float32)[shares.argmax(-1)]
    result: Array = np.where(shares.sum(-1) > HALF, indices, 0)[..., None]
    return result


def levels(drawn: Drawn) -> Array:
    """(H, W, 1) the level that contributes most, plus 2, as in the annotations of ``hgs synth``; else NOTHING."""
    shares = drawn.known[LEVELS]
    result: Array = np.where(shares.sum(-1) > 0, shares.argmax(-1) + 1, NOTHING)[..., None]
    return result


def cryptomatte(shares: Array, names: Sequence[str], layer: ViewLayer) -> Iterator[tuple[str, Array]]:
    """Names and images (H, W, 4) of the passes that say which objects cover a pixel, and how far."""
    passes = cryptomatte_names(layer)
    yield from zip(passes, ranked(shares, names, len(passes)), strict=True)
