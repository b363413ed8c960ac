"""Where the cameras of a set of critters are, and how many of them see the same critter."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hgs_toolkit.datasets.eg3d import VIEWS
from hgs_toolkit.datasets.scene_prior import even_pitch
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
        DataError: if the lowest pitch is above the highest.
    """
    poses = POSES
    if yaw is not None or yaw_prior is not None:
        limit = poses.yaw_limit if yaw is None else yaw
        kind = yaw_prior or "uniform"
        spread = limit if kind == "uniform" else poses.yaw_spread
        poses = replace(poses, yaw_law=kind, yaw_spread=spread, yaw_limit=limit)
    if pitch_min is not None or pitch_max is not None:
        low = poses.pitch_mean - poses.pitch_limit if pitch_min is None else pitch_min
        high = poses.pitch_mean + poses.pitch_limit if pitch_max is None else pitch_max
        pitch = even_pitch(low, high)
        poses = replace(poses, **pitch)
    return poses
