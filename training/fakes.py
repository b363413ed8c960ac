"""Generated images as both players of a training step see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render
from hgs_toolkit.training.clamping import floor_with_way_back
from hgs_toolkit.training.reconstruction import Encoded

DARKEST_DC = -0.499 / SH_C0
"""Degree-0 coefficient just above black: the renderer's own clamp at 0 is never reached."""


@dataclass(frozen=True)
class Fakes:
    """Generated images of b scenes seen by V cameras each, with what the losses need beside them.

    Attributes:
        images: (b V, 3, H, W) in -1..1, with alpha as a fourth channel for a discriminator that sees it.
        labels: (b V, 25) their cameras.
        scene: the Gaussians, for the regularisers.
        classes: (b V, C) their class vectors; None for a model without classes.
        encoded: which scenes are real subjects; None without an encoder.
    """

    images: Tensor
    labels: Tensor
    scene: GaussianHierarchy
    classes: Tensor | None
    encoded: Encoded | None = None


def draw(
    scene: GaussianHierarchy, cameras: Cameras, backgrounds: Tensor, resolution: int, *, with_alpha: bool
) -> Tensor:  # fmt: skip
    """Images (b V, 3 | 4, H, W) in -1..1 of b scenes under cameras (b, V) over colours (b, V, 3) in 0..1."""
    # The renderer clamps colours at black, where a Gaussian would get no gradient any more and stay black for good.
    visible = scene.replace(sh=floor_with_way_back(scene.sh, DARKEST_DC), check_finite=False)
    images, alphas = render(visible, cameras, resolution, resolution, background=backgrounds)
    if with_alpha:
        images = torch.cat([images, alphas], dim=-1)
    return (images.flatten(0, 1).movedim(-1, 1) * 2 - 1).contiguous()
