"""Multi-view consistency: what a view from the side shows must be where the front view shows it, in the same colour.

Points of the side view's depth are carried into the front view. A point behind the front's surface may be hidden there
and is no fault; a point in front of it is one: the front looks through something solid. True shapes, drawn with the
same number of pixels, are measured alike and say what is left to the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, invert_rigid

YAWS = (-0.785, -0.393, 0.393, 0.785)
"""Radians: the side views, 22.5 and 45 degrees to either side."""

SOLID_ALPHA = 0.9
"""Coverage from which on a pixel's depth is a surface's, not a mixture with what is behind its edge."""

TOLERANCE = 0.05
"""World units (subjects have a radius of about 0.6): points this near the front's surface are seen by both views."""


class ViewLayers(NamedTuple):
    """One camera's image: rgb (H, W, 3), depth (H, W) in camera z and alpha (H, W)."""

    rgb: Tensor
    depth: Tensor
    alpha: Tensor


class Consistency(NamedTuple):
    """Measures of the points of side views that fall on the front view's surface.

    Attributes:
        depth: median absolute difference of depth, world units.
        seen_through: share that lies more than TOLERANCE in front of the surface that the front view shows.
        psnr: of the colours of points that both views see, decibels.
    """

    depth: float
    seen_through: float
    psnr: float


Shooter = Callable[[Cameras], ViewLayers]
"""Takes one camera (1,) and gives its view."""


def measure_consistency(scenes: Iterable[Shooter], focal: float, radius: float, yaw: float = 0.0) -> Consistency | None:
    """Means over scenes that are seen from ``yaw`` and from YAWS beside it; None if no scene is solid in both anywhere.

    Args:
        scenes: one function a scene.
        focal, radius: of the cameras.
        yaw: of the view that the others are compared with, radians; 0 is the front.
    """
    yaws = yaw + torch.tensor([0.0, *YAWS])
    cameras = from_yaw_pitch(yaws, torch.zeros_like(yaws), radius, focal)
    rows = []
    for shoot in scenes:
        front, *sides = [shoot(cameras[i : i + 1]) for i in range(len(cameras))]
        points = [reproject(side, cameras[i + 1], front, cameras[0]) for i, side in enumerate(sides)]
        difference, squared = (torch.cat(values) for values in zip(*points, strict=True))
        both = difference.abs() < TOLERANCE
        if both.any():  # a scene may be empty, as those of a model that has hardly been trained
            error = max(float(squared[both].mean()), 1e-10)
            through = float((difference < -TOLERANCE).float().mean())
            rows.append((float(difference.abs().median()), through, -10 * math.log10(error)))
    return Consistency(*torch.tensor(rows, dtype=torch.float64).mean(0).tolist()) if rows else None


def reproject(
    side: ViewLayers, side_camera: Cameras, front: ViewLayers, front_camera: Cameras
) -> tuple[Tensor, Tensor]:
    """Points of ``side`` carried into ``front``: depth there minus the front's depth, and squared colour difference.

    Both are (P,), of the points that fall where the front view is solid all around.
    """
    points, keep = unproject(side.depth, side_camera), side.alpha > SOLID_ALPHA
    local = points[keep] @ (matrix := invert_rigid(front_camera.cam_to_world))[:3, :3].T + matrix[:3, 3]  # (P, 3)
    projected = local @ front_camera.intrinsics.T
    grid = (projected[:, :2] / projected[:, 2:] * 2 - 1)[None, None]  # (1, 1, P, 2) in -1..1
    solid = (front.alpha > SOLID_ALPHA).to(front.depth)
    layers = torch.cat([front.rgb, front.depth[..., None], solid[..., None]], dim=-1).movedim(-1, 0)[None]
    sampled = functional.grid_sample(layers, grid, align_corners=False)[0, :, 0].T  # (P, 5)
    inside = sampled[:, 4] > 0.999  # all four pixels around are solid
    difference = local[inside, 2] - sampled[inside, 3]
    return difference, (side.rgb[keep][inside] - sampled[inside, :3]).square().mean(-1)


def unproject(depth: Tensor, camera: Cameras) -> Tensor:
    """World points (H, W, 3) of a depth map (H, W), whose pixel centres are at +0.5; ``camera`` has no batch."""
    height, width = depth.shape
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([columns / width, rows / height, torch.ones_like(rows)], dim=-1)  # (H, W, 3)
    rays = pixels @ torch.linalg.inv(camera.intrinsics).T
    points: Tensor = rays * depth[..., None] @ camera.cam_to_world[:3, :3].T + camera.cam_to_world[:3, 3]
    return points
