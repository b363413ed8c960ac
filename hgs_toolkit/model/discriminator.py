"""Building the discriminator that a configuration names."""

from __future__ import annotations

from collections.abc import Callable

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.model.discriminator_base import Discriminator, DiscriminatorOutput
from hgs_toolkit.model.projected_discriminator import FrozenFeatures, ProjectedDiscriminator
from hgs_toolkit.model.residual_discriminator import ResidualDiscriminator
from hgs_toolkit.model.stylegan2_discriminator import StyleGAN2Discriminator

__all__ = ["Discriminator", "DiscriminatorOutput", "make_discriminator"]


def make_discriminator(
    config: DiscriminatorConfig, features: Callable[[], FrozenFeatures] | None = None
) -> Discriminator:
    """A freshly initialised discriminator (torch's global generator) of ``config.kind``.

    Args:
        features: makes the pretrained network of kind "projected"; the others need none.

    Raises:
        ConfigError: if the kind does not know ``config.pose``, or needs features and there are none.
    """
    if config.kind == "projected":
        if features is None:
            raise ConfigError("discriminator.kind is 'projected', which needs the features of a pretrained network")
        return ProjectedDiscriminator(config, features())
    return StyleGAN2Discriminator(config) if config.kind == "stylegan2" else ResidualDiscriminator(config)
