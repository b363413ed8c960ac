"""Where the cameras of a set of critters are, and how many of them see the same critter."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hgs_toolkit.datasets.eg3d import VIEWS
from hgs_toolkit.datasets.scene_prior import even_pitch, yaw_spread
from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

POSES = PosePrior()
"""The pose prior of the set's cameras, unless another is asked for."""


@dataclass(frozen=True)
class CritterPrior:
    """How the images of a set are drawn.

    Attributes:
        poses: where the cameras are.
        views: consecutive images that show the same critter, each from a camera of its own.
        classes: whether the kinds of ears and hats are written as classes.
    """

    poses: PosePrior = POSES
    views: int = 1
    classes: bool = False

    @property
    def has_back(self) -> bool:
        """Whether some camera sees a critter from behind, so that it needs a back."""
        return abs(self.poses.yaw_mean) + self.poses.yaw_limit > math.pi / 2

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of dataset.json; none for the demo set as it always was."""
        if replace(self, classes=False) == DEMO:
            return {}
        return {VIEWS: self.views, "pose_prior": asdict(self.poses)}


DEMO = CritterPrior()
"""The demo set as it always was: one image a critter, from the front."""


def pose_prior(
    yaw_prior: Literal["uniform", "normal"] | None = None, yaw: float | None = None,
    pitch_min: float | None = None, pitch_max: float | None = None,
) -> PosePrior:  # fmt: skip
    """The prior with the wished angles, radians, in place of those of POSES.

    Args:
        yaw_prior: ``uniform`` spreads yaws evenly, ``normal`` gathers them around the front; None is uniform where
            ``yaw`` is given.
        yaw: largest yaw to either side.
        pitch_min, pitch_max: with one of them, pitches are spread evenly between the two.

    Raises:
        DataError: if the lowest pitch is above the highest, which may be the usual one.
    """
    poses = POSES
    if yaw is not None or yaw_prior is not None:
        limit = poses.yaw_limit if yaw is None else yaw
        kind = yaw_prior or "uniform"
        poses = replace(poses, yaw_law=kind, yaw_spread=yaw_spread(kind, limit), yaw_limit=limit)
    if pitch_min is not None or pitch_max is not None:
        poses = replace(poses, **_pitches(pitch_min, pitch_max))
    return poses


def _pitches(lowest: float | None, highest: float | None) -> dict[str, Any]:
    """The pitch settings between two angles, radians, the usual one where only the other is given."""
    usual_low, usual_high = POSES.pitch_mean - POSES.pitch_limit, POSES.pitch_mean + POSES.pitch_limit
    if highest is None and lowest is not None and lowest > usual_high:
        low, high = math.degrees(lowest), math.degrees(usual_high)
        raise DataError(f"--pitch-min {low:g} is above the usual highest pitch, {high:.1f}; give --pitch-max, too")
    if lowest is None and highest is not None and highest < usual_low:
        low, high = math.degrees(usual_low), math.degrees(highest)
        raise DataError(f"--pitch-max {high:g} is below the usual lowest pitch, {low:.1f}; give --pitch-min, too")
    return even_pitch(usual_low if lowest is None else lowest, usual_high if highest is None else highest)
