"""The background: Gaussians on a sphere around the subject, in two levels, styled by weight modulation.

Modulation and demodulation follow Karras et al. 2020 (StyleGAN2, arXiv 1912.04958, equations 1 and 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.model.constants import Constants
from hgs_toolkit.model.densify import Densify, Parameters, ScaleBounds
from hgs_toolkit.model.heads import PARAMETER_SIZES, RAW
from hgs_toolkit.model.layers import ACTIVATION_GAIN, LRELU_SLOPE, EqualLinear

OUTPUT_CLAMP = 256.0
LAYER_SCALE_INIT = 0.01
HEAD_INIT = (1.0, 0.01, 0.01, 1.0, 1.0)
"""Initial factors of the background's heads: mean, scale, rotation, colour, opacity."""

SCALES = ScaleBounds(start=-2.0, step=math.log(2.0) * 2.0 / 3.0, large=math.log(0.05), floor=-10.0)


class ModulatedLinear(nn.Module):
    """Linear layer whose input channels are scaled by a style and whose rows are then normalised; leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, channels_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in))
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B, N, C_in), (B, W) -> (B, N, C_out)."""
        weight = self.weight * self.affine(w).unsqueeze(1)  # (B, C_out, C_in)
        norm = (weight.square().sum(-1, keepdim=True) + 1e-8).rsqrt()
        bias = (self.bias * ACTIVATION_GAIN).expand(len(x), 1, -1)
        y = torch.baddbmm(bias, x, (weight * (norm * ACTIVATION_GAIN)).mT)
        return functional.leaky_relu_(y, LRELU_SLOPE).clamp(-OUTPUT_CLAMP, OUTPUT_CLAMP)


class ModulatedResidual(nn.Module):
    """x + modulated(x, w) · a learned scale per channel."""

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.layer = ModulatedLinear(channels, channels, w_dim)
        self.layer_scale = nn.Parameter(torch.full((channels,), LAYER_SCALE_INIT))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B, N, C), (B, W) -> (B, N, C)."""
        return torch.addcmul(x, self.layer(x, w), self.layer_scale)


class ModulatedHeads(nn.Module):
    """Every raw parameter by one product; each parameter kind has its own style, and rows are not normalised."""

    rows: Tensor

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        kinds = len(PARAMETER_SIZES)
        self.affine = EqualLinear(w_dim, kinds * channels, bias_init=1.0)
        sizes = torch.tensor(PARAMETER_SIZES)
        self.weight = nn.Parameter(
            torch.randn(RAW, channels) * torch.tensor(HEAD_INIT).repeat_interleave(sizes, output_size=RAW)[:, None]
        )
        self.bias = nn.Parameter(torch.zeros(RAW))
        self.register_buffer("rows", torch.arange(kinds).repeat_interleave(sizes, output_size=RAW), persistent=False)
        self.gain = 1.0 / math.sqrt(channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B, N, C), (B, W) -> raw rows (B, N, 14), float32."""
        with torch.autocast(x.device.type, enabled=False):
            styles = self.affine(w.float()).unflatten(-1, (len(PARAMETER_SIZES), -1))  # (B, 5, C)
            weight = self.weight * self.gain * styles[:, self.rows]  # (B, 14, C)
            raw = torch.baddbmm(self.bias.expand(len(x), 1, -1), x.float(), weight.mT)
        return raw.clamp(-OUTPUT_CLAMP, OUTPUT_CLAMP)


class BackgroundGenerator(Constants):
    """Points on the sphere, and their children, which move on it.

    Attributes:
        count: Gaussians it makes, of both levels together.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels, w_dim = config.background_channels, config.w_dim
        self.radius = config.background_radius
        self.branching = config.children
        self.count = config.background_points * (1 + config.children)
        self.points = nn.Parameter(initial_points(config.background_points))
        self.features = nn.Linear(3, channels)
        nn.init.uniform_(self.features.weight, -math.sqrt(3.0), math.sqrt(3.0))
        self.coarse = nn.ModuleList(ModulatedResidual(channels, w_dim) for _ in range(2))
        self.coarse_heads = ModulatedHeads(channels, w_dim)
        self.upsampling = ModulatedLinear(channels, config.children * channels, w_dim)
        self.fine = nn.ModuleList(ModulatedResidual(channels, w_dim) for _ in range(2))
        self.fine_heads = ModulatedHeads(channels, w_dim)
        self.densify = Densify(SCALES, config.initial_opacity_logit)

    def forward(self, w: Tensor) -> list[Parameters]:
        """(B, W) -> coarse (B, N, ·) and fine (B, N·r, ·) Gaussians."""
        batch = len(w)
        features = self.constant("features", lambda: torch.sin(self.features(self.points)))
        x = features.expand(batch, -1, -1)
        for layer in self.coarse:
            x = layer(x, w)
        raw = self.coarse_heads(x, w)
        centers = self.constant("centers", lambda: self._on_sphere(self.points)).expand(batch, -1, -1)
        coarse = Parameters(centers, self.densify.scales.ceiling(raw[..., 3:6]), raw[..., 6:] + self.densify.initial)

        x = self._upsample(x, w)
        for layer in self.fine:
            x = layer(x, w)
        raw = self.fine_heads(x, w).view(len(x), -1, self.branching, 1, RAW)  # (B, N, r, 1, 14)
        fine = self.densify.offspring(raw, coarse).of_set(0).flatten_children()
        return [coarse, Parameters(self._on_sphere(fine.means), fine.log_scales, fine.rest)]

    def _upsample(self, x: Tensor, w: Tensor) -> Tensor:
        children: Tensor = self.upsampling(x, w)
        children = children.view(*x.shape[:2], self.branching, -1)  # (B, N, r, C)
        return ((children + x.unsqueeze(2)) * math.sqrt(0.5)).flatten(1, 2)

    def _on_sphere(self, points: Tensor) -> Tensor:
        return self.radius * functional.normalize(points, dim=-1)


def initial_points(count: int) -> Tensor:
    """Normal vectors of root mean square 1 with negative z: the half of the sphere behind the subject."""
    points = torch.randn(count, 3)
    points[:, 2] = -points[:, 2].abs()
    return points * points.square().mean(1, keepdim=True).rsqrt()
