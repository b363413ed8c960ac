"""Settings of the discriminator."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from hgs_toolkit.errors import ConfigError, require

OF_HEADS = ("kind", "features", "feature_size", "feature_channels", "head_channels")
"""Settings of heads on a pretrained network's features; ``kind`` says whether there are any."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator: StyleGAN2 type with a pose branch, a lean residual one with projection, or a projected one."""

    kind: Literal["stylegan2", "residual", "projected"] = "stylegan2"
    """``stylegan2``, the lean ``residual`` one, or ``projected``: heads on a pretrained network's features."""
    resolution: int = 256
    """Image size that it judges, pixels."""
    channel_base: int = 32768
    """``stylegan2``: width at resolution r is min(channel_base / r, channel_max)."""
    channel_max: int = 512
    """``stylegan2``: largest width."""
    channels: tuple[int, ...] = ()
    """``residual``, ``projected``: widths from the image's resolution down to 4x4, one each resolution."""
    features: Literal["squeeze", "lite0"] = "squeeze"
    """``projected``: the pretrained network, SqueezeNet or EfficientNet-Lite0; the other one measures the run."""
    feature_size: int = 64
    """``projected``: size that images are brought to for the pretrained network, pixels."""
    feature_channels: int = 64
    """``projected``: width that every scale of its features is mixed to."""
    head_channels: int = 64
    """``projected``: width of the heads."""
    alpha: bool = False
    """Whether it sees alpha as a fourth channel, so that it judges silhouettes directly (needs data with alpha)."""
    views: int = 1
    """Number of images of one subject that it judges together; needs a set with as many, and ``training.views``."""
    pose: Literal["branch", "projection", "none"] = "branch"
    """How the camera is judged: by a ``branch`` of its own, by ``projection``, or not."""
    pose_dim: int = 64
    """Size of the embeddings of cameras and classes."""
    classes: int = 0
    """Numbers of a class vector, judged by projection; as many as ``generator.classes.names``."""
    mbstd_group: int = 4
    """Minibatch-standard-deviation group size; 0 switches the layer off."""
    downsample: Literal["average", "blur"] = "average"
    """``residual``: average pooling, or a depthwise [1,3,3,1] blur with stride 2 (slow on a CPU)."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """``auto``: bfloat16 where the hardware multiplies it natively (AMX, AVX512-BF16, CUDA), else float32."""
    channels_last: bool = False
    """Whether features are stored channels last, which is faster on some machines."""

    @property
    def image_channels(self) -> int:
        """Channels of what it judges: colours, and alpha where it sees it, of every view."""
        return self.views * (3 + self.alpha)

    @property
    def without_heads(self) -> DiscriminatorConfig:
        """The residual discriminator of the pixels that a projected one has beside its heads."""
        return replace(self.with_heads_of(DiscriminatorConfig()), kind="residual")

    def with_heads_of(self, other: DiscriminatorConfig) -> DiscriminatorConfig:
        """This discriminator of the pixels, with the kind and the heads of another one."""
        return replace(self, **{name: getattr(other, name) for name in OF_HEADS})

    def gains_heads_as(self, later: DiscriminatorConfig) -> bool:
        """Whether heads on pretrained features join this discriminator of the pixels where it goes on as ``later``."""
        return self.kind == "residual" and later.kind == "projected"

    def __post_init__(self) -> None:
        require(self.views >= 1, "discriminator.views", self.views, "at least 1")
        steps = int(math.log2(self.resolution)) if self.resolution >= 4 else 0
        require(
            self.resolution >= 8 and 2**steps == self.resolution,
            "discriminator.resolution", self.resolution, "a power of two, at least 8",
        )  # fmt: skip
        require(
            self.feature_size >= 16 and self.feature_size % 16 == 0,
            "discriminator.feature_size", self.feature_size, "a multiple of 16",
        )  # fmt: skip
        require(self.mbstd_group >= 0, "discriminator.mbstd_group", self.mbstd_group, "0 or more")
        require(min(self.channels, default=1) >= 1, "discriminator.channels", self.channels, "widths of at least 1")
        least = f"at least {self.resolution}"
        require(self.channel_base >= self.resolution, "discriminator.channel_base", self.channel_base, least)
        for name in ("feature_channels", "head_channels", "pose_dim", "channel_max"):
            require(getattr(self, name) >= 1, f"discriminator.{name}", getattr(self, name), "at least 1")
        if self.kind != "stylegan2" and len(self.channels) != steps - 1:
            raise ConfigError(
                f"discriminator.channels has {len(self.channels)} entries; expected {steps - 1}, one for each of the "
                f"resolutions {self.resolution} ... 4"
            )
