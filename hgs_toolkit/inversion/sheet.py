"""The image of an inversion: photograph, what was found, and other sides of it."""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.critters.drawing import Critter
from hgs_toolkit.imaging.images import grid
from hgs_toolkit.inversion.inversion import Inversion, draw_photographs
from hgs_toolkit.inversion.latent import draw
from hgs_toolkit.inversion.quality import over
from hgs_toolkit.inversion.target import Target

SIDES = (-0.7, -0.35, 0.0, 0.35, 0.7)
ALL_SIDES = (0.0, 0.79, 1.57, 2.36, 3.14, -2.36, -1.57, -0.79)
"""Yaws of the other sides, radians; the second for a model whose cameras go round."""

MAX_ROWS = 8
"""Photographs on the sheet; the first ones, if there are more."""

CELL_SIZE = 256
"""Pixels a side of the sheet's images, at least; smaller ones are enlarged by whole factors."""


def sheet(found: Inversion, target: Target, truth: Critter | None = None) -> Tensor:
    """An image (H, W, 3) with a row for each photograph: it, its reconstruction before and after tuning, other sides.

    Args:
        truth: what the photographs show, where that is known; its own other sides are a further row.
    """
    poses, focal = found.model.config.poses, found.model.config.focal
    background, yaw = found.fit.background, torch.tensor(ALL_SIDES if poses.goes_round else SIDES)
    cameras = from_yaw_pitch(yaw, torch.full_like(yaw, poses.pitch_mean), poses.radius, focal)
    with torch.no_grad():
        sides = draw(found.scene, cameras, target.resolution, background).clamp(0, 1)  # (S, H, W, 3)
    shown = [target.over(background)]
    shown += [draw_photographs(scene, target, found.fit) for scene in (found.before, found.scene) if scene is not None]
    rows = []
    for index in range(min(len(target.cameras), MAX_ROWS)):
        rows += [view[index] for view in shown] + list(sides)
    if truth is not None:
        real = (truth.render(camera.labels.numpy(), target.resolution) for camera in cameras)
        rows += [torch.ones_like(view[0]) for view in shown] + [over(side, background.cpu()) for side in real]
    factor = max(1, -(-CELL_SIZE // target.resolution))
    cells = torch.stack([row.cpu() for row in rows]).repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return grid(cells, columns=len(shown) + len(sides), gap=4)
