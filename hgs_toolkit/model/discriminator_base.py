"""What both discriminators share: the call, its result, equalised convolutions, minibatch standard deviation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.cameras import LABEL_SIZE
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.model.layers import EqualLinear, embedding_of, unit_rms


class DiscriminatorOutput(NamedTuple):
    """A discriminator's outputs for a batch, in the type of the labels (float32) at any inner precision.

    Attributes:
        logits: (B,) higher means "looks real (and fits its camera)"; (B, K) for kinds that make K judgements.
        pose_features: (B, pose_dim) of the image, for the pose InfoNCE loss; None without a pose branch.
        camera_features: (B, pose_dim) of the camera label; None without a pose branch.
        features: (B V, ...) what small networks judged that learn on fixed features, for a gradient penalty on those.
    """

    logits: Tensor
    pose_features: Tensor | None = None
    camera_features: Tensor | None = None
    features: tuple[Tensor, ...] = ()


class Discriminator(nn.Module, ABC):
    """A discriminator of square images (RGB, or with alpha) with cameras; differentiable twice in the images.

    Args:
        config: ``resolution`` and ``channels_last`` are used here, the rest by the kind.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.resolution, self.views, self.image_channels = config.resolution, config.views, config.image_channels
        self.class_size = config.classes
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format

    if TYPE_CHECKING:

        def __call__(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> DiscriminatorOutput:
            """Typed stand-in for ``nn.Module.__call__``."""
            ...

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> DiscriminatorOutput:
        """Judge ``images`` (B, C, H, W) in [-1, 1] with their EG3D camera ``labels`` (B, 25 V).

        C is 3, or 4 with alpha, times the V views that are judged together; V is 1 unless ``config.views`` says more.
        ``classes`` (B, ``config.classes``) are their class vectors, where it is told them.

        Raises:
            ShapeError: if the shapes are not these.
        """

    def lay_out(self, images: Tensor) -> Tensor:
        """``images`` in the memory layout of the weights."""
        return images.contiguous(memory_format=self.memory_format)

    def check_input(self, images: Tensor, labels: Tensor, classes: Tensor | None = None) -> None:
        """Raise :class:`ShapeError` unless all shapes are those of :meth:`forward`."""
        channels, size, numbers = self.image_channels, self.resolution, LABEL_SIZE * self.views
        if tuple(images.shape) != (len(images), channels, size, size) or tuple(labels.shape) != (len(images), numbers):
            raise ShapeError(
                f"the discriminator got images {tuple(images.shape)} and labels {tuple(labels.shape)}; expected "
                f"(B, {channels}, {size}, {size}) and (B, {numbers})"
            )
        given = None if classes is None else tuple(classes.shape)
        if self.class_size and given != (len(images), self.class_size):
            raise ShapeError(
                f"the discriminator got class vectors {given}; expected ({len(images)}, {self.class_size}), like images"
            )


class ClassProjection(nn.Module):
    """A class's share of the logit: <P f, e(class)> / sqrt(dim), with f the features of the whole image.

    Source: Miyato & Koyama 2018, "cGANs with Projection Discriminator" (arXiv 1802.05637), equation 3.
    """

    def __init__(self, channels: int, classes: int, dim: int) -> None:
        super().__init__()
        self.embed = embedding_of(classes, dim)
        self.project = EqualLinear(channels, dim)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:  # (B, channels), (B, classes) -> (B,)
        """What is to be added to the logits."""
        embedding = unit_rms(self.embed(classes))
        share: Tensor = (self.project(features) * embedding).sum(dim=1) / math.sqrt(embedding.shape[1])
        return share


class EqualConv2d(nn.Module):
    """y = conv(x, W · gain / sqrt(fan-in)) + b · gain: the convolution that belongs to ``EqualLinear``.

    Args:
        in_channels, out_channels: widths.
        kernel: side of the square kernel; odd.
        bias: whether b exists; initially zero.
        stride: of the output.
        padding: zeros on every side; None keeps the size at stride 1.
        gain: factors that follow the layer (a leaky ReLU's sqrt(2), a residual sum's sqrt(1/2)): a leaky ReLU
            commutes with a positive factor, so they cost a pass over the weights in place of one over the activations.

    Source: Karras et al. 2018 (arXiv 1710.10196), section 4.1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *,
        bias: bool = True, stride: int = 1, padding: int | None = None, gain: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride = stride
        self.padding = kernel // 2 if padding is None else padding
        self.weight_gain = gain / math.sqrt(in_channels * kernel**2)
        self.bias_gain = gain

    def forward(self, x: Tensor) -> Tensor:  # (B, C_in, H, W) -> (B, C_out, H', W')
        """Convolve ``x``."""
        bias = None if self.bias is None else self.bias * self.bias_gain
        return functional.conv2d(x, self.weight * self.weight_gain, bias, self.stride, self.padding)


def blur(x: Tensor, *, padding: int, stride: int = 1) -> Tensor:
    """Low-pass filter every channel of ``x`` (B, C, H, W) with outer([1, 3, 3, 1]) / 64, zero-padded."""
    channels = x.shape[1]
    taps = torch.ones(4, dtype=x.dtype, device=x.device)
    taps[1:3].fill_(3.0)  # made on the device: nothing is copied there
    taps = taps / 8
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    return functional.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)


def append_minibatch_std(x: Tensor, group: int) -> Tensor:
    """``x`` (B, C, H, W) with one more channel: the mean standard deviation within groups of samples.

    Sample i belongs to group i mod (B / group). Where ``group`` does not divide B, the largest smaller number that
    does is used. Source: Karras et al. 2018, section 3.
    """
    batch, _, height, width = x.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    grouped = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(
        size, batch // size, *x.shape[1:]
    )  # (G, B/G, C, H, W)
    std = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # (B/G,)
    channel = std.repeat(size)[:, None, None, None].expand(batch, 1, height, width)
    return torch.cat([x, channel.to(x.dtype)], dim=1)
