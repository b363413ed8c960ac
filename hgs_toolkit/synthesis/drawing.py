"""One pass of the rasteriser for all that is wanted of a scene's views: colour, depth, normals, level weights.

Projecting and sorting 5,000 Gaussians costs more than compositing a few channels, so the layers travel together; they
equal what :mod:`hgs_toolkit.rendering` draws one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import facing_normals, level_membership, render

Layer = NDArray[np.float32]

COLORS = 3
"""Channels of a layer of colour."""

VIEWS_AT_ONCE = 8
"""Views drawn in one call, at most: enough to share its cost."""

BYTES_AT_ONCE = 1 << 25
"""Bytes of layers drawn in one call, at most, unless one view alone has more; the call takes about three times that."""

PIXEL_BYTES = 64
"""Bytes of a pixel in all layers: colour, alpha, depth, normal and the shares of up to eight levels."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What the rasteriser leaves of one view; a layer that is not wanted is None.

    Attributes:
        color: (H, W, 3) display RGB over black, not clamped above.
        alpha: (H, W) of all Gaussians.
        depth: (H, W) expected camera z, world units; 0 where nothing is drawn.
        normal: (H, W, 3) world normals composited by alpha, not normalised.
        level: (H, W, L + 1) each level's share of the pixel; the background comes first.
    """

    color: Layer
    alpha: Layer
    depth: Layer | None
    normal: Layer | None
    level: Layer | None

    @cached_property
    def subject(self) -> Layer:
        """Alpha (H, W) of the tree alone, as far as the background does not hide it."""
        alpha: Layer = self.alpha if self.level is None else self.alpha - self.level[..., 0]
        return alpha


def views_within(limit: int, size: int) -> int:
    """Number of views of ``size`` x ``size`` pixels whose layers take ``limit`` bytes at most; at least one."""
    return max(1, limit // (PIXEL_BYTES * size * size))


def draw_layers(scenes: GaussianHierarchy, cameras: Cameras, size: int, wanted: Collection[str]) -> Iterator[Layers]:
    """The layers of B scenes from C cameras each, scene by scene.

    Args:
        cameras: B · C cameras, those of the first scene first.
        wanted: some of ``depth``, ``normal`` and ``level``.
    """
    cameras = cameras.to(scenes.device, scenes.means.dtype)
    views = len(cameras) // len(scenes)
    at_once = min(VIEWS_AT_ONCE, views_within(BYTES_AT_ONCE, size))
    together = max(1, at_once // views)  # scenes
    for first in range(0, len(scenes), together):
        part = scenes[first : first + together]
        theirs = cameras[first * views : (first + len(part)) * views].reshape(len(part), views)
        for start in range(0, views, at_once):
            yield from _draw(part, theirs[:, start : start + at_once], size, wanted)


def _draw(scene: GaussianHierarchy, cameras: Cameras, size: int, wanted: Collection[str]) -> Iterator[Layers]:
    """The layers of scenes (B) from ``cameras`` (B, C)."""
    parts = _features(scene, cameras, wanted)
    values, alphas = render(
        scene, cameras, size, size,
        features=torch.cat(list(parts.values()), dim=-1) if parts else None,
        render_mode="RGB+ED" if "depth" in wanted else "RGB",
    )  # fmt: skip
    # A plane a channel in memory: what makes files of the layers works on planes several times as fast.
    planes = values.flatten(0, 1).movedim(-1, 1).contiguous().cpu().numpy()  # (B · C, D + depth, H, W)
    alpha = alphas[..., 0].flatten(0, 1).cpu().numpy()  # (B · C, H, W)
    ends = np.cumsum([COLORS, *(part.shape[-1] for part in parts.values())])
    images = np.moveaxis(planes[:, : ends[-1]], 1, -1)
    layers = dict(zip(["color", *parts], np.split(images, ends[:-1], axis=-1), strict=True))
    if "depth" in wanted:
        layers["depth"] = planes[:, -1]
    for view in range(len(alpha)):
        color, depth, normal, level = (
            layers[name][view] if name in layers else None for name in ("color", "depth", "normal", "level")
        )
        assert color is not None
        yield Layers(color, alpha[view], depth, normal, level)


def _features(scene: GaussianHierarchy, cameras: Cameras, wanted: Collection[str]) -> dict[str, Tensor]:
    """Values (B, C, N, ·) of every Gaussian beside its colour, by layer, or (B, N, ·) if no camera changes them."""
    parts = {}
    if "normal" in wanted:
        parts["normal"] = facing_normals(scene, cameras)
    if "level" in wanted:
        membership = level_membership(scene)
        parts["level"] = membership[:, None].expand(*parts["normal"].shape[:3], -1) if parts else membership
    return parts
