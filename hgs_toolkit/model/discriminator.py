"""Building the discriminator that a configuration names."""

from __future__ import annotations

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model.discriminator_base import Discriminator, DiscriminatorOutput
from hgs_toolkit.model.residual_discriminator import ResidualDiscriminator
from hgs_toolkit.model.stylegan2_discriminator import StyleGAN2Discriminator

__all__ = ["Discriminator", "DiscriminatorOutput", "make_discriminator"]


def make_discriminator(config: DiscriminatorConfig) -> Discriminator:
    """A freshly initialised discriminator (torch's global generator) of ``config.kind``.

    Raises:
        ConfigError: if the kind does not know ``config.pose``.
    """
    return StyleGAN2Discriminator(config) if config.kind == "stylegan2" else ResidualDiscriminator(config)
