"""How well a scene shows what it should: against the photographs, and against the truth where that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.datasets.critters.drawing import Critter, Rendering
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.inversion.objective import FeatureMaps, feature_distances
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.rendering import render, render_depth

NOVEL_YAWS = (-0.7, -0.35, 0.35, 0.7)
"""Radians: the views from which a known subject is compared, one and two standard deviations of the critters' prior."""

FAR_YAWS = (-2.36, -1.57, 1.57, 2.36, 3.14)
"""Radians: further ones, from the sides and from behind, for a model of subjects that have been seen from there."""

GREY = 0.5

SSIM_WINDOW = 7


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio of images in 0..1, decibels; infinite for equal ones."""
    error = float((a - b).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity (Wang et al. 2004) of two images (H, W, 3) in 0..1, window of 7 pixels."""
    window = min(SSIM_WINDOW, a.shape[0] - 1 + a.shape[0] % 2)
    value = structural_similarity(a.cpu().numpy(), b.cpu().numpy(), win_size=window, channel_axis=2, data_range=1.0)
    return float(value)


def compare(images: Tensor, photographs: Tensor, networks: dict[str, FeatureMaps]) -> list[dict[str, float]]:
    """For each of the images (V, H, W, 3) in 0..1: psnr, ssim, and the feature distance of each network."""
    rows = [{"psnr": psnr(a, b), "ssim": ssim(a, b)} for a, b in zip(images, photographs, strict=True)]
    for name, features in networks.items():
        # All views at once: a discriminator has the camera of each.
        with torch.no_grad():
            distances = feature_distances(features, images.movedim(-1, 1), photographs.movedim(-1, 1))
        for row, distance in zip(rows, distances.tolist(), strict=True):
            row[f"features_{name}"] = distance
    return rows


@dataclass(frozen=True)
class NovelView:
    """A view that the search did not see.

    Attributes:
        yaw: radians from the front.
        psnr: over grey, decibels.
        depth_error: mean absolute difference of depth where both show the subject, world units.
        overlap: intersection over union of the two silhouettes.
    """

    yaw: float
    psnr: float
    depth_error: float
    overlap: float


def novel_cameras(poses: PosePrior, focal: float, pitch: float = 0.05) -> Cameras:
    """The cameras (V,) of NOVEL_YAWS and, where a model's cameras go round, of FAR_YAWS."""
    yaw = torch.tensor(NOVEL_YAWS + FAR_YAWS if poses.goes_round else NOVEL_YAWS)
    return from_yaw_pitch(yaw, torch.full_like(yaw, pitch), poses.radius, focal)


def over(rendering: Rendering, background: Tensor) -> Tensor:
    """The image (H, W, 3) of a known subject over a colour, () or (3,)."""
    alpha = torch.from_numpy(rendering.alpha)[..., None]
    return torch.from_numpy(rendering.rgb) * alpha + background * (1 - alpha)


@torch.no_grad()
def novel_views(scene: GaussianHierarchy, truth: Critter, cameras: Cameras, resolution: int) -> list[NovelView]:
    """How ``scene`` compares with the critter it should be, from ``cameras`` (V,) of :func:`novel_cameras`."""
    images, alphas = (value.cpu() for value in render(scene, cameras, resolution, resolution, (GREY,) * 3))
    depths = render_depth(scene, cameras, resolution, resolution).cpu()
    yaws, found = yaw_pitch_radius(cameras.cam_to_world)[0].tolist(), []
    for index, camera in enumerate(cameras):
        real = truth.render(camera.labels.numpy(), resolution)
        covered, wanted = alphas[0, index, ..., 0] > GREY, torch.from_numpy(real.alpha) > GREY
        both = covered & wanted
        error = (depths[0, index, ..., 0] - torch.from_numpy(real.depth)).abs()[both]
        found.append(
            NovelView(
                yaw=yaws[index],
                psnr=psnr(images[0, index].clamp(0, 1), over(real, torch.tensor(GREY))),
                depth_error=float(error.mean()) if len(error) else math.nan,
                overlap=float(both.sum() / (covered | wanted).sum().clamp_min(1)),
            )
        )
    return found
