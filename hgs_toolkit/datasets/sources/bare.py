"""Images without cameras: their poses are assumed, not measured, and the dataset records that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.datasets.images import is_image
from hgs_toolkit.datasets.sources.photographs import ImageFinder, Lens, Matrix, Photograph, Scene, gather
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

POSE_KINDS = ("frontal", "normal", "uniform", "turntable")


@dataclass(frozen=True)
class AssumedPoses:
    """The poses that images without cameras are given; angles in degrees.

    Attributes:
        kind: ``frontal``, every image from the same camera; ``normal`` or ``uniform``, yaw and pitch drawn at random;
            ``turntable``, once around in the order of the names.
        yaw: standard deviation or half width of the yaw.
        pitch: the same of the pitch.
        pitch_mean: middle of the pitch.
        focal: focal length over the side of the square that is cut out.
        radius: distance from the subject.
        seed: of what is drawn.
    """

    kind: str
    yaw: float = 20.0
    pitch: float = 10.0
    pitch_mean: float = 0.0
    focal: float = 4.2647
    radius: float = 2.7
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in POSE_KINDS:
            raise DataError(f"the distribution of poses is '{self.kind}'; expected {', '.join(POSE_KINDS)}")
        finite = all(map(math.isfinite, (self.focal, self.radius, self.yaw, self.pitch)))
        positive = self.focal > 0 and self.radius > 0 and self.yaw >= 0 and self.pitch >= 0
        if not (finite and positive and abs(self.pitch_mean) < 90):
            raise DataError(
                "focal length and radius must be above 0, yaw and pitch not below, the mean within 90 degrees"
            )
        if not 0 <= self.seed < 2**63:
            raise DataError(f"seed {self.seed}; expected 0 ... 2^63 - 1")

    def __str__(self) -> str:
        lens = f"focal length {self.focal:g}, radius {self.radius:g}"
        if self.kind == "frontal":
            return f"the same for every image: yaw 0°, pitch {self.pitch_mean:g}°, {lens}"
        if self.kind == "turntable":
            return f"assigned in the order of the names: once around evenly, pitch {self.pitch_mean:g}°, {lens}"
        sign = "sigma " if self.kind == "normal" else "±"
        return (
            f"drawn at random ({self.kind}, seed {self.seed}): yaw {sign}{self.yaw:g}°, "
            f"pitch {self.pitch_mean:g}° {sign}{self.pitch:g}°, {lens}"
        )

    def cameras(self, count: int) -> Cameras:
        """``count`` cameras with these poses."""
        pitch = torch.full((count,), math.radians(self.pitch_mean))
        if self.kind == "frontal":
            return from_yaw_pitch(torch.zeros(count), pitch, self.radius, self.focal)
        if self.kind == "turntable":
            return from_yaw_pitch(torch.arange(count) / count * (2 * math.pi), pitch, self.radius, self.focal)
        prior = PosePrior(
            0.0, math.radians(self.pitch_mean), math.radians(self.yaw), math.radians(self.pitch), self.kind, self.kind,
            math.pi, math.pi / 2 - abs(math.radians(self.pitch_mean)), self.radius, self.focal,
        )  # fmt: skip
        return prior.sample(count, torch.Generator().manual_seed(self.seed))


def read_bare(store: FileStore, assumed: AssumedPoses, problems: list[str] | None = None) -> Scene:
    """Every image of the store, with cameras of ``assumed``; images that cannot be opened go to ``problems``."""
    finder, names = ImageFinder(store), [name for name in store.names if is_image(name)]
    matrices = assumed.cameras(len(names)).cam_to_world.double().numpy()
    makers = [partial(_photograph, name, matrix, assumed, finder) for name, matrix in zip(names, matrices, strict=True)]
    return Scene(store.path.name, list(gather(makers, problems)), str(assumed))


def _photograph(name: str, matrix: Matrix, assumed: AssumedPoses, finder: ImageFinder) -> Photograph:
    width, height = finder.size(name)
    focal = assumed.focal * min(width, height)
    lens = Lens(focal, focal, width / 2, height / 2, width, height)
    return Photograph(finder.store, name, None, matrix, lens, upright=True)
