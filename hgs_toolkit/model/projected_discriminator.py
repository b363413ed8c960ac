"""The discriminator that judges features of a frozen, pretrained network, with a residual one beside it.

Small networks ("heads") judge activations of the frozen network at several resolutions, after fixed random convolutions
have mixed them across channels and from coarse to fine. The discriminator's own step needs no gradient through the
frozen network. The residual one sees what the frozen network does not: alpha, and the finest pixels.

Legend: B batch, V views judged together, S number of scales, M mixed channels, P pose_dim.

Source: Sauer et al. 2021, "Projected GANs Converge Faster" (arXiv 2111.01007), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.cameras import LABEL_SIZE
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model.discriminator_base import ClassProjection, Discriminator, DiscriminatorOutput, EqualConv2d
from hgs_toolkit.model.layers import ACTIVATION_GAIN, LRELU_SLOPE
from hgs_toolkit.model.precision import autocast_dtype
from hgs_toolkit.model.residual_discriminator import HALF, CameraEmbedding, ResidualDiscriminator

SMALLEST = 4
"""Side of the features whose mean a head judges, pixels."""

FEWEST = 2
"""Convolutions of a head, at least: heads of 32 and of 64 pixels then have the same, and the smaller ones grow."""


class FrozenFeatures(nn.Module):
    """Base of pretrained networks: images (B, 3, size, size) in 0..1 to activations of about unit size, fine to coarse.

    Attributes:
        widths: channels of the activations.
    """

    widths: Sequence[int]

    def freeze(self) -> None:
        """Make buffers of all parameters, which no optimiser, average or state dict holds."""
        for module in self.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, value.detach(), persistent=False)


class Head(nn.Module):
    """3x3 convolutions that halve down to 4x4, then a linear judgement of the mean over all places."""

    def __init__(self, size: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        mixed, width, pose_dim = config.feature_channels, config.head_channels, config.pose_dim
        halvings = max(math.ceil(math.log2(size / SMALLEST)), 0)
        layers: list[nn.Module] = []
        for i in range(max(halvings, FEWEST)):
            stride = 2 if i < halvings else 1
            layers += [
                EqualConv2d(width if i else mixed, width, 3, stride=stride, gain=ACTIVATION_GAIN),
                nn.LeakyReLU(LRELU_SLOPE),
            ]
        self.layers = nn.Sequential(*layers)
        self.out = EqualConv2d(width, 1, 1)
        self.project = EqualConv2d(width, pose_dim, 1) if config.pose == "projection" else None
        self.class_projection = ClassProjection(width, config.classes, pose_dim) if config.classes else None

    def forward(self, x: Tensor, camera: Tensor | None, classes: Tensor | None) -> Tensor:  # (B, M, h, w), ... -> (B,)
        """Judge mixed features seen from an embedded camera (B, P) of a subject of ``classes``."""
        features = self.layers(x).mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1); what follows is linear
        logits: Tensor = self.out(features).flatten()
        if self.project is not None and camera is not None:
            seen = self.project(features).flatten(1)  # (B, P)
            logits = logits + (seen * camera).sum(dim=1) / math.sqrt(camera.shape[1])
        if self.class_projection is not None and classes is not None:
            logits = logits + self.class_projection(features.flatten(1), classes)
        return logits


class ProjectedDiscriminator(Discriminator):
    """A residual discriminator of the pixels, and a head on each scale of the frozen features.

    Args:
        config: of the residual discriminator, whose every setting is used; ``feature_size``, ``feature_channels`` and
            ``head_channels`` are those of the heads.
        network: the frozen network; its weights are not part of this discriminator's state.

    Raises:
        ConfigError: as :class:`ResidualDiscriminator`.
    """

    def __init__(self, config: DiscriminatorConfig, network: FrozenFeatures) -> None:
        super().__init__(config)
        self.size, self.precision = config.feature_size, config.precision
        self.pixels = ResidualDiscriminator(config)
        self.network = network
        network.freeze()
        with torch.no_grad():
            sizes = [x.shape[-1] for x in network(torch.zeros(1, 3, self.size, self.size))]
        mixed = config.feature_channels
        for scale, width in enumerate(network.widths):
            self.register_buffer(f"across_{scale}", torch.randn(mixed, width, 1, 1) / math.sqrt(width))
            if scale > 0:
                self.register_buffer(f"down_{scale}", torch.randn(mixed, mixed, 3, 3) / math.sqrt(mixed * 9))
        self.camera = CameraEmbedding(config.pose_dim, views=1) if config.pose == "projection" else None
        self.heads = nn.ModuleList(Head(size, config) for size in sizes)
        for part in (network, self.heads):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a tenth of a step on a CPU

    @property
    def blocks(self) -> nn.Sequential:
        """The residual discriminator's blocks, whose activations describe images elsewhere, too."""
        return self.pixels.blocks

    def forward(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> DiscriminatorOutput:
        """Judge ``images`` (B, C, R, R) in [-1, 1] seen from ``labels`` (B, 25 V); logits are (B, 1 + S).

        While the heads learn (their parameters require gradients), no gradient flows through the frozen network: the
        mixed features are leaves, of which the heads' gradient penalty is taken.
        """
        self.check_input(images, labels, classes)
        seen = images.unflatten(1, (self.views, -1)).flatten(0, 1)[:, :3]  # (B V, 3, R, R)
        learning = any(parameter.requires_grad for parameter in self.heads.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not learning):
            features = [x.to(labels.dtype) for x in self._mixed(seen)]
        if learning and torch.is_grad_enabled():
            features = [x.requires_grad_() for x in features]
        camera = None if self.camera is None else self.camera(labels.unflatten(1, (-1, LABEL_SIZE)).flatten(0, 1))
        of_view = None if classes is None else classes.repeat_interleave(self.views, dim=0)
        judged = [head(x, camera, of_view) for head, x in zip(self.heads, features, strict=True)]  # S of (B V,)
        of_views = torch.stack(judged, dim=1).unflatten(0, (-1, self.views)).mean(dim=1)  # (B, S)
        logits = torch.cat([self.pixels(images, labels, classes).logits[:, None], of_views], dim=1)
        return DiscriminatorOutput(logits, features=tuple(features) if learning else ())

    def _mixed(self, images: Tensor) -> list[Tensor]:
        """Features (B, M, h, w) of images (B, 3, R, R), fine to coarse: each sees all coarser ones."""
        size = (self.size, self.size)
        resized = images if images.shape[-1] == self.size else functional.interpolate(images, size, mode="bilinear")
        dtype = autocast_dtype(self.precision, images.device)
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None):
            found: list[Tensor] = []
            for scale, x in reversed(list(enumerate(self.network((resized + 1) / 2)))):
                x = functional.conv2d(x, self.get_buffer(f"across_{scale}"))
                if found:
                    coarser = functional.conv2d(found[-1], self.get_buffer(f"down_{scale + 1}"), padding=1)
                    x = (x + functional.interpolate(coarser, x.shape[-2:], mode="bilinear")) * HALF
                found.append(x)
        return found[::-1]


def of_pixels(discriminator: Discriminator) -> Discriminator:
    """The part of ``discriminator`` that judges pixels: itself, or what stands beside heads on pretrained features."""
    return discriminator.pixels if isinstance(discriminator, ProjectedDiscriminator) else discriminator
