"""The mapping network: latent z, with a camera label and a class where a model is told them, to the style vector w."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import LABEL_SIZE, frontal
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.model.layers import EqualLinear, embedding_of, unit_rms

W_AVG_BETA = 0.998
"""Decay of the running mean of w, per training step."""

CENTER_LATENTS = 1024
"""Number of latents whose mean w is the centre of a class."""


class MappingNetwork(nn.Module):
    """Normalised z, beside normalised embeddings of label and class, through leaky-ReLU layers with a small rate.

    Attributes:
        w_avg: (W,) running mean of w, towards which truncation pulls; a buffer that training updates explicitly. A
            model with classes is truncated towards the mean of the class instead, which would fade otherwise.
    """

    w_avg: Tensor
    frontal_label: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.class_size = config.classes.size
        self.embed = EqualLinear(LABEL_SIZE, config.w_dim) if config.pose_conditioned else None
        self.embed_class = embedding_of(self.class_size, config.w_dim) if self.class_size else None
        width = config.z_dim + config.w_dim * (config.pose_conditioned + bool(self.class_size))
        layers = []
        for _ in range(config.mapping_layers):
            layers.append(EqualLinear(width, config.w_dim, activation="lrelu", lr_multiplier=config.mapping_lr))
            width = config.w_dim
        self.layers = nn.Sequential(*layers)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        label = frontal(config.poses.focal, config.poses.radius).labels
        self.register_buffer("frontal_label", label, persistent=False)

    def forward(self, z: Tensor, label: Tensor | None = None, classes: Tensor | None = None) -> Tensor:
        """(B, Z) [, (B, 25)] [, (B, C)] -> (B, W).

        A pose-conditioned network takes the frontal camera where no label is given; other networks ignore labels.

        Raises:
            ShapeError: if z, the label or the class vectors have another size, or those are missing.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ShapeError(f"z of shape {tuple(z.shape)}; expected (B, {self.z_dim})")
        x = unit_rms(z)
        if self.embed is not None:
            label = self.frontal_label.expand(len(z), -1) if label is None else label
            if label.shape != (len(z), LABEL_SIZE):
                raise ShapeError(f"a label of shape {tuple(label.shape)}; expected ({len(z)}, {LABEL_SIZE}), like z")
            x = torch.cat([x, unit_rms(self.embed(label))], dim=1)
        if self.embed_class is not None:
            x = torch.cat([x, unit_rms(self.embed_class(self._checked(classes, len(z))))], dim=1)
        w: Tensor = self.layers(x)
        return w

    @torch.no_grad()
    def update_w_avg(self, w: Tensor) -> None:
        """Move ``w_avg`` towards the mean of ``w`` (B, W); called once in a training step."""
        self.w_avg.lerp_(w.mean(0).to(self.w_avg.dtype), 1.0 - W_AVG_BETA)

    def truncate(self, w: Tensor, psi: float, classes: Tensor | None = None) -> Tensor:
        """w_avg + ψ (w − w_avg) for w (B, ..., W), or with ``classes`` (B, C) the same about their centres."""
        if psi == 1.0:
            return w
        if self.embed_class is None:
            return torch.lerp(self.w_avg, w, psi)
        center = self.centers(self._checked(classes, len(w)))  # (B, W)
        return torch.lerp(center.view(len(w), *[1] * (w.ndim - 2), -1), w, psi)

    @torch.no_grad()
    def centers(self, classes: Tensor) -> Tensor:
        """Mean w (B, W) of each of ``classes`` (B, C), the same whatever is asked for with it."""
        z = torch.randn(CENTER_LATENTS, self.z_dim, generator=torch.Generator().manual_seed(0)).to(classes.device)
        distinct, rows = classes.unique(dim=0, return_inverse=True)
        means = [self(z, None, vector.expand(len(z), -1)).mean(0) for vector in distinct]
        return torch.stack(means)[rows]

    def _checked(self, classes: Tensor | None, batch: int) -> Tensor:
        if classes is None:
            raise ShapeError(f"no class was given; expected class vectors ({batch}, {self.class_size}) for this model")
        if classes.shape != (batch, self.class_size):
            raise ShapeError(
                f"class vectors of shape {tuple(classes.shape)}; expected ({batch}, {self.class_size}), like z"
            )
        return classes
