"""The reference's discriminator: StyleGAN2's residual one, with a branch that predicts the camera from the image.

Legend: B batch, C channels, R image resolution, r resolution of a block.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; pose branch: Hyun & Heo 2024.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.cameras import LABEL_SIZE
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

CLAMP = 256.0
"""Bound on activations: the reference's guard against overflow in half precision, part of its behaviour."""

HALF = math.sqrt(0.5)
"""Factor on both addends of a residual sum, which keeps its variance."""


def bounded_lrelu(x: Tensor, bound: float = CLAMP) -> Tensor:
    """Leaky ReLU (its gain is in the layer before), clamped to +-``bound``."""
    return functional.leaky_relu(x, LRELU_SLOPE).clamp(-bound, bound)


class StyleGAN2Block(nn.Module):
    """Two 3x3 convolutions and a linear skip; halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualConv2d(in_channels, in_channels, 3, gain=ACTIVATION_GAIN)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3, stride=2, padding=0, gain=ACTIVATION_GAIN * HALF)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False, gain=HALF)

    def forward(self, x: Tensor) -> Tensor:  # (B, C_in, r, r) -> (B, C_out, r/2, r/2)
        """Features of the next resolution."""
        bound = CLAMP * HALF
        skip = self.skip(blur(x, padding=1, stride=2)).clamp(-bound, bound)
        y = bounded_lrelu(self.conv0(x))
        y = bounded_lrelu(self.conv1(blur(y, padding=2)), bound)
        total: Tensor = skip + y
        return total


class StyleGAN2Head(nn.Module):
    """The 4x4 features to one logit, with the minibatch's standard deviation as a further channel."""

    def __init__(self, channels: int, mbstd_group: int) -> None:
        super().__init__()
        self.mbstd_group = mbstd_group
        self.conv = EqualConv2d(channels + (mbstd_group > 0), channels, 3, gain=ACTIVATION_GAIN)
        self.fc = EqualLinear(channels * 4 * 4, channels, activation="lrelu")
        self.out = EqualLinear(channels, 1)
        self.class_projection: ClassProjection | None = None

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:  # (B, C, 4, 4) [, (B, classes)] -> (B,)
        """Logits."""
        if self.mbstd_group:
            x = append_minibatch_std(x, self.mbstd_group)
        features = self.fc(bounded_lrelu(self.conv(x)).flatten(1))
        logits: Tensor = self.out(features).squeeze(1)
        if self.class_projection is not None and classes is not None:
            logits = logits + self.class_projection(features, classes)
        return logits


class StyleGAN2Discriminator(Discriminator):
    """StyleGAN2 "resnet" discriminator; the label reaches the pose branch only, never the logit. Classes do reach it.

    Args:
        config: ``resolution``, ``channel_base``, ``channel_max``, ``mbstd_group``, ``pose`` ("branch" or "none"),
            ``pose_dim``, ``classes`` and ``channels_last`` are used; it always computes in float32 and ignores
            ``precision``.

    Raises:
        ConfigError: if ``config.pose`` is "projection", which the reference does not have.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__(config)
        if config.pose == "projection":
            raise ConfigError("discriminator.pose is 'projection'; kind 'stylegan2' knows 'branch' and 'none'")
        sizes = block_resolutions(config.resolution)
        width = {r: min(config.channel_base // r, config.channel_max) for r in (*sizes, 4)}
        self.fromrgb = EqualConv2d(config.image_channels, width[config.resolution], 1, gain=ACTIVATION_GAIN)
        self.blocks = nn.ModuleDict({str(r): StyleGAN2Block(width[r], width[r // 2]) for r in sizes})
        self.head = StyleGAN2Head(width[4], config.mbstd_group)
        self.has_pose_branch = config.pose == "branch"
        if self.has_pose_branch:
            self.pose_block = StyleGAN2Block(width[8], width[4])
            self.pose_layers = _feature_layers(width[4] * 4 * 4, config.pose_dim)
            self.camera_layers = _feature_layers(LABEL_SIZE * config.views, config.pose_dim)
        if config.classes:  # last: the other layers' initial weights are the same without classes
            self.head.class_projection = ClassProjection(width[4], config.classes, config.pose_dim)
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def forward(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> DiscriminatorOutput:
        """Judge ``images`` (B, C, R, R) in [-1, 1]; ``labels`` (B, 25 V) only fill ``camera_features``."""
        self.check_input(images, labels, classes)
        with torch.autocast(images.device.type, enabled=False):
            return self._judge(self.lay_out(images), labels, classes)

    def _judge(self, images: Tensor, labels: Tensor, classes: Tensor | None) -> DiscriminatorOutput:
        x = bounded_lrelu(self.fromrgb(images))
        for block in list(self.blocks.values())[:-1]:
            x = block(x)
        logits = self.head(self.blocks["8"](x), classes)
        if not self.has_pose_branch:
            return DiscriminatorOutput(logits)
        pose_features = self.pose_layers(self.pose_block(x).flatten(1))
        return DiscriminatorOutput(logits, pose_features, self.camera_layers(labels))


def block_resolutions(resolution: int) -> list[int]:
    """Input resolutions of the residual blocks: R, R/2, ..., 8."""
    return [2**n for n in range(int(math.log2(resolution)), 2, -1)]


def reference_names(resolution: int) -> dict[str, str]:
    """The authors' parameter names (in their discriminator's state dict) to ours; shapes and values are the same.

    Their fixed ``resample_filter`` buffers have no counterpart here and are left out.
    """
    blocks = {f"b{r}": f"blocks.{r}" for r in block_resolutions(resolution)} | {"b8_pose": "pose_block"}
    modules = {f"b{resolution}.fromrgb": "fromrgb"}
    modules |= {f"{b}.{layer}": f"{blocks[b]}.{layer}" for b in blocks for layer in ("conv0", "conv1", "skip")}
    modules |= {f"b4.{layer}": f"head.{layer}" for layer in ("conv", "fc", "out")}
    modules |= {f"aux_branch_feat.{i}": f"pose_layers.{i}" for i in (0, 1)}
    modules |= {f"aux_branch_camera.{i}": f"camera_layers.{i}" for i in (0, 1)}
    weights = {f"{theirs}.weight": f"{ours}.weight" for theirs, ours in modules.items()}
    biased = {theirs: ours for theirs, ours in modules.items() if not ours.endswith(".skip")}
    return weights | {f"{theirs}.bias": f"{ours}.bias" for theirs, ours in biased.items()}


def _feature_layers(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(EqualLinear(in_features, 512, activation="lrelu"), EqualLinear(512, out_features))
