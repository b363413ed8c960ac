"""Networks in whose features an inversion compares images."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.errors import ConfigError, MissingExtraError
from hgs_toolkit.inversion.objective import FeatureMaps, discriminator_features, extractor_features
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.model.discriminator import Discriminator

logger = logging.getLogger(__name__)

CHOICES = ("auto", "none", "discriminator", "squeeze", "lite0")


def feature_networks(
    choice: str, own: Callable[[], Discriminator | None], cameras: Cameras, coverage: Tensor | None = None
) -> dict[str, FeatureMaps]:
    """The networks of one of CHOICES; ``auto`` takes the checkpoint's own discriminator, else what is installed.

    Args:
        own: loads the discriminator that the generator was trained against; None where there is none.
        cameras: (V,) of the images, which a discriminator is told; the networks are put on their device.
        coverage: (V, H, W, 1) of the photographs, see :func:`discriminator_features`.

    Raises:
        ConfigError: if the choice is unknown, or ``discriminator`` where there is none that sees one image at a time.
        MissingExtraError: if a network that was named is not installed.
    """
    if choice not in CHOICES:
        raise ConfigError(f"perceptual '{choice}'; expected one of: {', '.join(CHOICES)}")
    if choice == "none":
        return {}
    device = cameras.cam_to_world.device
    discriminator = own() if choice in ("auto", "discriminator") else None
    if discriminator is not None and discriminator.views == 1:
        return {"discriminator": discriminator_features(discriminator.to(device), cameras.labels, coverage)}
    lack = "has no discriminator beside it" if discriminator is None else "has one that judges several views together"
    if choice == "discriminator":
        raise ConfigError(
            f"the model {lack}; expected the folder of a run whose discriminator sees one image at a time"
        )
    if discriminator is not None:
        logger.info("the run %s: a network of its own kind is not used", lack)
    name = "squeeze" if choice == "auto" else choice
    try:
        return {name: extractor_features(make_extractor(name).to(device))}
    except MissingExtraError as error:
        if choice != "auto":
            raise
        logger.info("%s; colours and edges alone are compared", error)
        return {}
