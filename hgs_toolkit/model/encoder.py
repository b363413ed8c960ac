"""The encoder of a variational autoencoder whose decoder is the generator: images of one subject to its latent.

Legend: B subjects, V views of each, C channels of an image, R its resolution.

Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes" (arXiv 1312.6114), with several views of a subject.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.model.discriminator_base import EqualConv2d
from hgs_toolkit.model.layers import LRELU_SLOPE, EqualLinear
from hgs_toolkit.model.residual_discriminator import ResidualBlock

INPUT_SIZE = 32
"""Side that images are brought to, pixels: one encoder goes through all stages of a grown run."""

WIDTHS = (32, 64, 128, 192)
"""Channels from INPUT_SIZE down to 4x4."""

HIDDEN = 256
"""Width of the linear layers after the views' features."""

POSE_NUMBERS = 12
"""The upper 3x4 of camera-to-world."""

LOG_VARIANCE = (-8.0, 4.0)
"""Range of the latents' log-variance."""


@dataclass(frozen=True)
class LatentDistribution:
    """Independent normal distributions of the latents of B subjects.

    Attributes:
        mean, log_variance: (B, z_dim).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latents (B, z_dim) from standard normal ``noise`` of that shape; gradients reach the distribution."""
        return self.mean + noise * (0.5 * self.log_variance).exp()

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the standard normal distribution in nats, the mean over subjects."""
        each = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        mean: Tensor = 0.5 * each.sum(dim=1).mean()
        return mean


class SceneEncoder(nn.Module):
    """Images of a subject with their cameras to the distribution of its latent; the views' features are averaged.

    Args:
        z_dim: of the generator.
        channels: of an image, 3 or 4.
    """

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.fromrgb = EqualConv2d(channels, WIDTHS[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(i, o, blurred=False) for i, o in itertools.pairwise(WIDTHS)))
        self.views = EqualLinear(WIDTHS[-1] * 4 * 4 + POSE_NUMBERS, HIDDEN, activation="lrelu")
        self.hidden = EqualLinear(HIDDEN, HIDDEN, activation="lrelu")
        self.out = EqualLinear(HIDDEN, 2 * z_dim)

    def forward(self, images: Tensor, labels: Tensor) -> LatentDistribution:
        """Encode images (B, V, C, R, R) in -1..1 seen from ``labels`` (B, V, 25)."""
        subjects, views = images.shape[:2]
        x = _resized(images.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        x = self.blocks(functional.leaky_relu(self.fromrgb(x), LRELU_SLOPE)).flatten(1)  # (B V, 16 C_last)
        pose = Cameras.from_labels(labels.flatten(0, 1)).cam_to_world[:, :3].flatten(1)  # (B V, 12)
        each = self.views(torch.cat([x, pose], dim=1))
        mean, log_variance = self.out(self.hidden(each.unflatten(0, (subjects, views)).mean(dim=1))).chunk(2, dim=1)
        return LatentDistribution(mean, log_variance.clamp(*LOG_VARIANCE))


def _resized(images: Tensor) -> Tensor:  # (n, C, R, R) -> (n, C, 32, 32)
    if images.shape[-1] % INPUT_SIZE == 0:
        return functional.avg_pool2d(images, images.shape[-1] // INPUT_SIZE)
    return functional.interpolate(images, size=INPUT_SIZE, mode="nearest")
