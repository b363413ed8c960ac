"""Distances by the side that a subject is seen from: eight sectors of yaw, so that a bad back is not averaged away."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.evaluation.figures import Figure
from hgs_toolkit.evaluation.samples import ImageSet
from hgs_toolkit.evaluation.settings import MIN_COUNT

logger = logging.getLogger(__name__)

SECTORS = 8
"""Number of sectors; the first is centred on the front, the others follow by growing yaw."""

WIDTH = 360 // SECTORS
"""Width of a sector, degrees."""


def sector_of(cameras: Cameras) -> npt.NDArray[np.int64]:
    """The sector (N,) of each camera (N,): 0 is the front, SECTORS / 2 the back."""
    yaw, _, _ = yaw_pitch_radius(cameras.cam_to_world)
    sectors: npt.NDArray[np.int64] = np.round(np.degrees(yaw.double().numpy()) / WIDTH).astype(np.int64) % SECTORS
    return sectors


def is_behind(cameras: Cameras) -> npt.NDArray[np.bool_]:
    """Whether each camera (N,) sees the subject from behind."""
    yaw, _, _ = yaw_pitch_radius(cameras.cam_to_world)
    return (yaw.abs() > math.pi / 2).numpy()


def compare_sectors(
    space: FeatureSpace, real: ImageSet, generated: ImageSet, seed: int, conditions: dict[str, Any]
) -> Iterator[Figure]:
    """KID of each sector's generated images to the sector's real ones, named by its middle in degrees."""
    name, sectors, own = space.extractor.name, sector_of(real.cameras), sector_of(generated.cameras)
    for sector in range(SECTORS):
        there, drawn = sectors == sector, own == sector
        middle = (sector * WIDTH + 180) % 360 - 180
        if min(there.sum(), drawn.sum()) < MIN_COUNT:
            if there.any():
                logger.info("yaw %d°: %d images are too few for a distance", middle, there.sum())
            continue
        found = dataclasses.replace(space, real=space.real[there]).kid(generated.features[name][drawn], seed)
        counts = {"yaw": f"{middle} ± {WIDTH / 2:g} degrees", "real_count": int(there.sum()), "count": int(drawn.sum())}
        yield Figure(f"kid_{name}[{middle}°]", found.value, "x 1000", found.std, None, conditions | counts)
