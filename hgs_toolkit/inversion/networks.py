"""Which networks an inversion compares pictures in."""

from __future__ import annotations

import logging
from pathlib import Path

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.errors import ConfigError, MissingExtraError
from hgs_toolkit.inversion.objective import FeatureMaps, discriminator_features, extractor_features
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.model.discriminator import Discriminator, make_discriminator
from hgs_toolkit.training.networks import load_into
from hgs_toolkit.training.stages.warm_start import read_networks

logger = logging.getLogger(__name__)

CHOICES = ("auto", "none", "discriminator", "squeeze", "lite0")


def feature_networks(choice: str, model: Path | None, cameras: Cameras) -> dict[str, FeatureMaps]:
    """The networks of one of CHOICES; ``auto`` takes the checkpoint's own discriminator, else what is installed.

    Args:
        model: file or run folder of the generator; None for the one that ships, which has no discriminator.
        cameras: (V,) of the pictures, which a discriminator is told; the networks are put on their device.

    Raises:
        ConfigError: if the choice is unknown, or ``discriminator`` where there is none.
        MissingExtraError: if a network that was named is not installed.
    """
    if choice not in CHOICES:
        raise ConfigError(f"perceptual '{choice}'; expected one of: {', '.join(CHOICES)}")
    if choice == "none":
        return {}
    device = cameras.cam_to_world.device
    own = own_discriminator(model) if choice in ("auto", "discriminator") else None
    if own is not None:
        return {"discriminator": discriminator_features(own.to(device), cameras.labels)}
    if choice == "discriminator":
        raise ConfigError(f"{model or 'the shipped model'} has no discriminator; expected the folder of a run")
    name = "squeeze" if choice == "auto" else choice
    try:
        return {name: extractor_features(make_extractor(name).to(device))}
    except MissingExtraError as error:
        if choice != "auto":
            raise
        logger.info("%s; colours and edges alone are compared", error)
        return {}


def own_discriminator(model: Path | None) -> Discriminator | None:
    """The discriminator of a run folder or an import; None where there is none."""
    if model is None:
        return None
    networks = read_networks(model)
    if networks.discriminator is None:
        return None
    discriminator = make_discriminator(networks.config.discriminator)
    load_into(discriminator, networks.discriminator, "discriminator")
    return discriminator.eval().requires_grad_(False)
