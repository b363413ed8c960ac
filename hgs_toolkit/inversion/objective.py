"""How far images are from the photographs: colours at several scales, their gradients, and features of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.metrics.extractors import Extractor
from hgs_toolkit.model.discriminator import Discriminator
from hgs_toolkit.model.projected_discriminator import of_pixels

SCALES = 4
"""Scales of the pyramid; each halves the image."""

NETWORK_SIZE = 112
"""Pixels a side of what an extractor sees, where its own size is larger: a quarter of the work, and on images of 64
pixels the same figures (docs/inversion.md)."""

FeatureMaps = Callable[[Tensor], list[Tensor]]
"""Images (V, 3, H, W) in 0..1 to feature maps (V, C, h, w)."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted sum of distances between images (V, H, W, 3) in 0..1.

    Attributes:
        color: weight of the mean absolute difference, averaged over the scales.
        square: weight of the mean squared difference, which is what PSNR counts.
        gradient: weight of the mean absolute difference of differences between neighbouring pixels: edges.
        feature: weight of each network's feature distance.
        networks: name to feature maps, such as those of the checkpoint's own discriminator.
    """

    color: float = 1.0
    square: float = 5.0
    gradient: float = 1.0
    feature: float = 0.1
    networks: dict[str, FeatureMaps] = field(default_factory=dict)

    def __call__(self, images: Tensor, photographs: Tensor) -> Tensor:
        """The distance (), differentiable in ``images``."""
        a, b = images.movedim(-1, 1), photographs.movedim(-1, 1)  # (V, 3, H, W)
        total = self.square * (a - b).square().mean()
        for small_a, small_b in zip(pyramid(a), pyramid(b), strict=True):
            total = total + self.color / SCALES * (small_a - small_b).abs().mean()
            total = total + self.gradient / SCALES * gradient_distance(small_a, small_b)
        for features in self.networks.values():
            total = total + self.feature * feature_distances(features, a, b).mean()
        return total


def pyramid(images: Tensor) -> Iterator[Tensor]:
    """``images`` (V, C, H, W) at SCALES sizes, each the average of 2 x 2 pixels of the one before."""
    for _ in range(SCALES):
        yield images
        if min(images.shape[-2:]) > 1:
            images = functional.avg_pool2d(images, 2)


def gradient_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the horizontal and vertical differences of (V, C, H, W)."""
    difference = a - b
    rows, columns = difference.diff(dim=-2), difference.diff(dim=-1)
    return (rows.abs().mean() if rows.numel() else 0.0) + (columns.abs().mean() if columns.numel() else a.new_zeros(()))


def feature_distances(features: FeatureMaps, a: Tensor, b: Tensor) -> Tensor:
    """Distances (V,) of images (V, 3, H, W): squared, of feature maps scaled to length 1 at each place, averaged over
    places and layers.

    The unlearned form of LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1 with all weights 1).
    """
    with torch.no_grad():
        wanted = [functional.normalize(layer, dim=1) for layer in features(b)]
    layers = zip(features(a), wanted, strict=True)
    return torch.stack([(functional.normalize(x, dim=1) - y).square().sum(1).mean((1, 2)) for x, y in layers]).mean(0)


def discriminator_features(discriminator: Discriminator, labels: Tensor, coverage: Tensor | None = None) -> FeatureMaps:
    """Outputs of the blocks of a discriminator that sees images under the cameras ``labels`` (V, 25), one at a time.

    Args:
        coverage: (V, H, W, 1) of the photographs, which a discriminator with alpha sees beside photographs and
            renderings alike: colours are compared here, silhouettes by the backgrounds. None is all of the image.
    """
    judge = of_pixels(discriminator)  # heads on another network's features say nothing here
    blocks = judge.get_submodule("blocks")
    # Classes count behind the blocks alone.
    classes = labels.new_zeros(len(labels), discriminator.class_size) if discriminator.class_size else None

    def features(images: Tensor) -> list[Tensor]:
        if judge.image_channels > images.shape[1]:
            alpha = torch.ones_like(images[:, :1]) if coverage is None else coverage.movedim(-1, 1).to(images)
            images = torch.cat([images, alpha], dim=1)
        with _outputs(list(blocks.children())) as found:
            judge(images * 2 - 1, labels, classes)
        return [layer.float() for layer in found]

    return features


def extractor_features(extractor: Extractor) -> FeatureMaps:
    """Four-dimensional outputs of the direct parts of an extractor's network: a perceptual distance of LPIPS's type."""
    convolutions = [module for module in extractor.network.modules() if isinstance(module, nn.Conv2d)]
    layers: list[nn.Module] = list(convolutions[2::4])  # a spread of depths
    size = min(extractor.size, NETWORK_SIZE)

    def features(images: Tensor) -> list[Tensor]:
        resized = functional.interpolate(
            images, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        with _outputs(layers) as found:
            extractor.network(resized.clamp(0, 1))
        return found

    return features


@contextmanager
def _outputs(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    """The outputs of ``modules`` while the context is open, in the order they are made."""
    found: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
