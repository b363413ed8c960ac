"""The distribution of the cameras that a model is trained under. Configurations hold it, so torch is imported late."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgs_toolkit.conventions import DEFAULT_RADIUS
from hgs_toolkit.errors import ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hgs_toolkit.cameras import Cameras


GAP = 0.1
"""Radians by which a measured reach may fall short of half a turn and still go round."""


@dataclass(frozen=True)
class PosePrior:
    """A distribution of camera poses: each angle is normal or uniform, then clipped; radians.

    Attributes:
        yaw_mean, pitch_mean: centres of the two angles.
        yaw_spread, pitch_spread: standard deviation (``normal``) or half width (``uniform``).
        yaw_law, pitch_law: ``normal`` or ``uniform``.
        yaw_limit, pitch_limit: the angles are clipped to the mean +- this.
        radius: distance from the origin, world units.
        focal: normalised focal length, image widths.
        radius_spread, focal_spread: radius and focal length vary evenly by up to this to either side; 0 for one value.
    """

    yaw_mean: float = 0.0
    pitch_mean: float = 0.05
    yaw_spread: float = 0.35
    pitch_spread: float = 0.18
    yaw_law: str = "normal"
    pitch_law: str = "normal"
    yaw_limit: float = 1.0
    pitch_limit: float = 0.5
    radius: float = DEFAULT_RADIUS
    focal: float = 2.0
    radius_spread: float = 0.0
    focal_spread: float = 0.0

    def __post_init__(self) -> None:
        for name in ("yaw_law", "pitch_law"):
            if getattr(self, name) not in ("normal", "uniform"):
                raise ShapeError(f"{name} is '{getattr(self, name)}'; expected 'normal' or 'uniform'")

    @property
    def yaw_reach(self) -> float:
        """How far cameras go to either side of ``yaw_mean``, radians; of a normal law, two standard deviations."""
        return self._reach(self.yaw_law, self.yaw_spread, self.yaw_limit)

    @property
    def pitch_reach(self) -> float:
        """How far cameras go above and below ``pitch_mean``, radians; of a normal law, two standard deviations."""
        return self._reach(self.pitch_law, self.pitch_spread, self.pitch_limit)

    @property
    def goes_round(self) -> bool:
        """Whether cameras are all around the subject."""
        return self.yaw_reach >= math.pi - GAP

    @staticmethod
    def _reach(law: str, spread: float, limit: float) -> float:
        return min(spread if law == "uniform" else 2 * spread, limit)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Cameras:
        """``count`` cameras drawn with ``generator``."""
        from hgs_toolkit.cameras import from_yaw_pitch

        return from_yaw_pitch(*self.draw(count, generator))

    def draw(
        self, count: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, float | Tensor, float | Tensor]:
        """Yaw and pitch (count,) in radians, radius and focal length, which are numbers where they do not vary."""
        yaw = self._angle(self.yaw_law, self.yaw_mean, self.yaw_spread, self.yaw_limit, count, generator)
        pitch = self._angle(self.pitch_law, self.pitch_mean, self.pitch_spread, self.pitch_limit, count, generator)
        radius = self._length(self.radius, self.radius_spread, count, generator)
        focal = self._length(self.focal, self.focal_spread, count, generator)
        return yaw, pitch, radius, focal

    @staticmethod
    def _length(middle: float, spread: float, count: int, generator: torch.Generator | None) -> float | Tensor:
        """Nothing is drawn where there is no spread: the stream of random numbers stays as it was without one."""
        import torch

        return middle + (torch.rand(count, generator=generator) * 2 - 1) * spread if spread else middle

    @staticmethod
    def _angle(
        law: str, mean: float, spread: float, limit: float, count: int, generator: torch.Generator | None
    ) -> Tensor:
        import torch

        if law == "normal":
            offset = torch.randn(count, generator=generator) * spread
        else:
            offset = (torch.rand(count, generator=generator) * 2 - 1) * spread
        return mean + offset.clamp(-limit, limit)


def describe_poses(poses: PosePrior) -> str:
    """One line: ``focal 2, radius 2.7, yaw normal 0° ± 20°, pitch uniform 15° ± 5°``."""

    def angle(mean: float, spread: float, law: str) -> str:
        return f"{law} {math.degrees(mean):.1f}° ± {math.degrees(spread):.1f}°"

    def length(value: float, spread: float) -> str:
        return f"{value:.4g}" + (f" ± {spread:.2g}" if spread else "")

    return (
        f"focal {length(poses.focal, poses.focal_spread)}, radius {length(poses.radius, poses.radius_spread)}, "
        f"yaw {angle(poses.yaw_mean, poses.yaw_spread, poses.yaw_law)}, "
        f"pitch {angle(poses.pitch_mean, poses.pitch_spread, poses.pitch_law)}"
    )
