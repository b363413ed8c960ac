"""The mapping network: latent z (and, where the model is pose-conditioned, a camera label) to the style vector w."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import LABEL_SIZE, frontal
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.model.layers import EqualLinear

W_AVG_BETA = 0.998
"""Decay of the running mean of w, per training step."""


class MappingNetwork(nn.Module):
    """Normalised z, beside a normalised embedding of the label, through leaky-ReLU layers with a small learning rate.

    Attributes:
        w_avg: (W,) running mean of w, towards which truncation pulls; a buffer that training updates explicitly.
    """

    w_avg: Tensor
    frontal_label: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.embed = EqualLinear(LABEL_SIZE, config.w_dim) if config.pose_conditioned else None
        width = config.z_dim + (config.w_dim if config.pose_conditioned else 0)
        layers = []
        for _ in range(config.mapping_layers):
            layers.append(EqualLinear(width, config.w_dim, activation="lrelu", lr_multiplier=config.mapping_lr))
            width = config.w_dim
        self.layers = nn.Sequential(*layers)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        label = frontal(config.poses.focal, config.poses.radius).labels
        self.register_buffer("frontal_label", label, persistent=False)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, Z) [, (B, 25)] -> (B, W).

        A pose-conditioned network takes the frontal camera where no label is given; other networks ignore labels.

        Raises:
            ShapeError: if z or the label has another size.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ShapeError(f"z of shape {tuple(z.shape)}; expected (B, {self.z_dim})")
        x = _unit_rms(z)
        if self.embed is not None:
            label = self.frontal_label.expand(len(z), -1) if label is None else label
            if label.shape != (len(z), LABEL_SIZE):
                raise ShapeError(f"a label of shape {tuple(label.shape)}; expected ({len(z)}, {LABEL_SIZE}), like z")
            x = torch.cat([x, _unit_rms(self.embed(label))], dim=1)
        w: Tensor = self.layers(x)
        return w

    @torch.no_grad()
    def update_w_avg(self, w: Tensor) -> None:
        """Move ``w_avg`` towards the mean of ``w`` (B, W); called once in a training step."""
        self.w_avg.lerp_(w.mean(0).to(self.w_avg.dtype), 1.0 - W_AVG_BETA)

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """w_avg + ψ (w − w_avg) for w (..., W)."""
        return w if psi == 1.0 else torch.lerp(self.w_avg, w, psi)


def _unit_rms(x: Tensor) -> Tensor:
    """``x`` (B, C) divided by its root mean square over the channels."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
