"""The lean residual discriminator of the ``r3`` recipe: no normalisation, cheap to differentiate twice.

Legend: B batch, C channels, R image resolution, r resolution of a block, P pose_dim.

Sources: Miyato & Koyama 2018, "cGANs with Projection Discriminator" (the camera's share of the logit);
Huang et al. 2024, "The GAN is dead; long live the GAN!" (residual, unnormalised, penalised on both sides).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.cameras import LABEL_SIZE, Cameras
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.model.discriminator_base import (
    ClassProjection,
    Discriminator,
    DiscriminatorOutput,
    EqualConv2d,
    append_minibatch_std,
    blur,
)
from hgs_toolkit.model.layers import ACTIVATION_GAIN, LRELU_SLOPE, EqualLinear
from hgs_toolkit.model.precision import autocast_dtype

HALF = math.sqrt(0.5)
"""Factor on both addends of a residual sum, which keeps its variance."""

CAMERA_NUMBERS = 14
"""What the projection sees of a camera: the upper 3x4 of camera-to-world and the two focal lengths."""


class ResidualBlock(nn.Module):
    """3x3 at resolution r, down-sampling, 3x3 at r/2; the 1x1 skip sees the down-sampled input."""

    def __init__(self, in_channels: int, out_channels: int, *, blurred: bool) -> None:
        super().__init__()
        self.blurred = blurred
        self.conv0 = EqualConv2d(in_channels, in_channels, 3, gain=ACTIVATION_GAIN)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3, gain=ACTIVATION_GAIN * HALF)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False, gain=HALF)

    def forward(self, x: Tensor) -> Tensor:  # (B, C_in, r, r) -> (B, C_out, r/2, r/2)
        """Features of the next resolution."""
        y = self._halve(functional.leaky_relu(self.conv0(x), LRELU_SLOPE))
        total: Tensor = self.skip(self._halve(x)) + functional.leaky_relu(self.conv1(y), LRELU_SLOPE)
        return total

    def _halve(self, x: Tensor) -> Tensor:
        return blur(x, padding=1, stride=2) if self.blurred else functional.avg_pool2d(x, 2)


class CameraEmbedding(nn.Module):
    """Labels (B, 25 V) of the cameras of V views to vectors (B, P) of root-mean-square 1."""

    def __init__(self, pose_dim: int, views: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            EqualLinear(CAMERA_NUMBERS * views, pose_dim, activation="lrelu"), EqualLinear(pose_dim, pose_dim)
        )

    def forward(self, labels: Tensor) -> Tensor:
        """Embed ``labels``."""
        cameras = Cameras.from_labels(labels.unflatten(1, (-1, LABEL_SIZE)))  # (B, V)
        focal = cameras.intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2]
        numbers = torch.cat([cameras.cam_to_world[..., :3, :].flatten(2), focal], dim=-1)  # (B, V, 14)
        embedded: Tensor = self.layers(numbers.flatten(1))
        return embedded * (embedded.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class ResidualDiscriminator(Discriminator):
    """Residual blocks from R down to 4x4, one linear layer, and the camera's projection.

    The logit is o(f) + <P f, e(camera)> / sqrt(pose_dim), with f the features of the whole image; classes add such a
    product of their own.

    Args:
        config: ``channels``, ``pose`` ("projection" or "none"), ``pose_dim``, ``classes``, ``mbstd_group``,
            ``downsample``, ``precision`` and ``channels_last`` are used. Logits are float32 at any precision.

    Raises:
        ConfigError: if ``config.pose`` is "branch", which belongs to kind "stylegan2".
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__(config)
        if config.pose == "branch":
            raise ConfigError("discriminator.pose is 'branch'; kind 'residual' knows 'projection' and 'none'")
        self.precision = config.precision
        self.mbstd_group = config.mbstd_group
        widths, last = config.channels, config.channels[-1]
        self.fromrgb = EqualConv2d(config.image_channels, widths[0], 1, gain=ACTIVATION_GAIN)
        self.blocks = nn.Sequential(
            *(ResidualBlock(i, o, blurred=config.downsample == "blur") for i, o in itertools.pairwise(widths))
        )
        self.conv = EqualConv2d(last + (config.mbstd_group > 0), last, 3, gain=ACTIVATION_GAIN)
        self.fc = EqualLinear(last * 4 * 4, last, activation="lrelu")
        self.out = EqualLinear(last, 1)
        self.camera = CameraEmbedding(config.pose_dim, config.views) if config.pose == "projection" else None
        self.project = EqualLinear(last, config.pose_dim) if config.pose == "projection" else None
        self.class_projection = ClassProjection(last, config.classes, config.pose_dim) if config.classes else None
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def forward(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> DiscriminatorOutput:
        """Judge ``images`` (B, C, R, R) in [-1, 1] seen from ``labels`` (B, 25 V); there are no pose features."""
        self.check_input(images, labels, classes)
        dtype = autocast_dtype(self.precision, images.device)
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None):
            x = self._features(images)
        with torch.autocast(images.device.type, enabled=False):
            return DiscriminatorOutput(self._logits(x.to(labels.dtype), labels, classes))

    def _features(self, images: Tensor) -> Tensor:  # (B, C, R, R) -> (B, C, 4, 4)
        x = self.fromrgb(self.lay_out(images))
        x = self.blocks(functional.leaky_relu(x, LRELU_SLOPE))
        if self.mbstd_group:
            x = append_minibatch_std(x, self.mbstd_group)
        return functional.leaky_relu(self.conv(x), LRELU_SLOPE)

    def _logits(self, x: Tensor, labels: Tensor, classes: Tensor | None) -> Tensor:  # (B, C, 4, 4), ... -> (B,)
        features = self.fc(x.flatten(1))  # (B, C)
        logits: Tensor = self.out(features).squeeze(1)
        if self.camera is not None and self.project is not None:
            embedding = self.camera(labels)  # (B, P)
            logits = logits + (self.project(features) * embedding).sum(dim=1) / math.sqrt(embedding.shape[1])
        if self.class_projection is not None and classes is not None:
            logits = logits + self.class_projection(features, classes)
        return logits
