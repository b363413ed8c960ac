"""Generated Gaussians as wide as training saw them, so that they hold together at any distance.

A generator is trained on images of one size, and the rasteriser widens every projected Gaussian by a filter of
:data:`FILTER` pixels squared. The generator learns to rely on that: Gaussians far smaller than a pixel form solid
features there and come apart into dots in a larger image, whose filter is finer. Here that filter becomes part of the
Gaussians.

Source: the 3D smoothing filter of Yu et al. 2024, "Mip-Splatting" (arXiv 2311.16493), section 4.1, with one sampling
rate for all Gaussians, that of the training cameras at the subject's distance.
"""

from __future__ import annotations

import torch

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.settings import DEFAULT_EPS2D as FILTER


def footprint(config: GeneratorConfig, size: int | None = None) -> float:
    """The variance, in world units squared, by which a generator's scenes must be widened.

    Args:
        config: ``footprint`` times the training filter, at the distance of its cameras.
        size: side of the image in pixels. The image's own filter counts, so that an image of the training size needs
            no widening. None is for files, which are seen from any distance.
    """
    pixel = config.poses.radius / (config.focal * config.resolution)
    share = 1.0 if size is None else max(0.0, 1.0 - (config.resolution / size) ** 2)
    return config.footprint * share * FILTER * pixel**2


def widen(scene: GaussianHierarchy, variance: float) -> GaussianHierarchy:
    """``scene`` convolved with an isotropic Gaussian of this variance: opacities, background and anchors stay."""
    if variance == 0:
        return scene
    wider = 0.5 * torch.logaddexp(2 * scene.log_scales, scene.log_scales.new_tensor(variance).log())
    scales = torch.where(scene.is_background[:, None], scene.log_scales, wider)
    return scene.replace(log_scales=scales, check_finite=False)  # finite ones stay so; a check would wait for a GPU
