"""Settings of the encoder that teaches the generator whole subjects before, and while, a discriminator judges it."""

from __future__ import annotations

from dataclasses import dataclass

from hgs_toolkit.errors import require


@dataclass(frozen=True)
class ReconstructionConfig:
    """A variational autoencoder around the generator: latents of real subjects, whose images must come out again.

    Not part of the reference model. It needs sets that show each subject from several cameras (``training.views``).
    """

    weight: float = 0.0
    """Weight of the pixels' difference; 0 trains without an encoder."""
    perceptual: float = 0.0
    """Weight of the difference of a pretrained network's features; above 0 it needs the extra ``metrics``."""
    divergence: float = 2e-4
    """Weight, relative to ``weight``, of the divergence of the encoded latents from the normal distribution."""
    share: float = 0.5
    """Share of a step's scenes that are encoded subjects; all of them where ``training.adversarial_weight`` is 0."""
    encoder_lr: float = 0.001
    """Learning rate of the encoder."""

    def __post_init__(self) -> None:
        for name in ("weight", "perceptual", "divergence"):
            require(getattr(self, name) >= 0, f"training.reconstruction.{name}", getattr(self, name), "0 or more")
        require(0 < self.share <= 1, "training.reconstruction.share", self.share, "more than 0, at most 1")
        require(self.encoder_lr > 0, "training.reconstruction.encoder_lr", self.encoder_lr, "more than 0")
