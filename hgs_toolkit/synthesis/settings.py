"""Settings of a dataset to be synthesised: scenes, views, files. YAML and the command line fill them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from hgs_toolkit.config import Config
from hgs_toolkit.conventions import DEFAULT_PSI, MAX_SEED
from hgs_toolkit.errors import ConfigError, require
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import build, config_to_dict, merge

FormatName = Literal["folder", "wds", "eg3d", "transforms", "coco"]
CameraPath = Literal["random", "orbit", "ellipse", "sweep", "frontal"]
AngleDistribution = Literal["normal", "uniform"]

MAX_SIZE = 4096
MAX_VIEWS = 65536
MAX_EXPOSURE = 8.0

AUTO, TRANSPARENT, RANDOM = "auto", "transparent", "random"
"""Backgrounds with a meaning of their own; any other text is a colour or a folder of images."""

OF_EVERY_PATH = ("radius", "focal")
"""Entries of ``cameras.poses`` that fixed paths follow, too."""


@dataclass(frozen=True)
class CameraSettings:
    """Where the views are taken from and with which lens."""

    path: CameraPath = "random"
    """``random`` draws every view from ``poses``; the others are a fixed path around or in front of each scene."""
    poses: PosePrior = field(default_factory=PosePrior)
    """Prior of poses, radius and focal length; by default the one that the model was trained with."""
    center: tuple[float, float] = (0.5, 0.5)
    """Principal point, in image widths and heights."""
    focal_jitter: float = 0.0
    """Focal lengths vary by up to this fraction."""

    def __post_init__(self) -> None:
        # Not asked of a PosePrior itself: models stay readable, whatever they were trained with.
        poses = self.poses
        for name in ("yaw_spread", "yaw_limit", "pitch_spread", "pitch_limit"):
            require(getattr(poses, name) >= 0, f"cameras.poses.{name}", getattr(poses, name), "0 or more")
        for name in OF_EVERY_PATH:
            value, spread = getattr(poses, name), getattr(poses, f"{name}_spread")
            require(value > 0, f"cameras.poses.{name}", value, "more than 0")
            less = f"0 to less than cameras.poses.{name}, which is {value:g}"
            require(0 <= spread < value, f"cameras.poses.{name}_spread", spread, less)
        require(all(0 <= at <= 1 for at in self.center), "cameras.center", self.center, "two numbers from 0 to 1")
        require(0 <= self.focal_jitter < 1, "cameras.focal_jitter", self.focal_jitter, "0 to less than 1")


@dataclass(frozen=True)
class SynthSettings:
    """Everything that decides the bytes of a dataset, apart from the model."""

    count: int = 1000
    """Scenes; scene number s is the model's seed ``seed + s``."""
    views: int = 1
    """Views of each scene."""
    seed: int = 0
    """The first scene's seed; cameras, backgrounds and exposures of a scene depend on its seed alone."""
    psi: float = DEFAULT_PSI
    size: int = 64
    """Height and width, pixels."""
    format: FormatName = "folder"
    annotations: tuple[str, ...] = ()
    """Names of what is stored of each view; if empty, what is usual in the format."""
    cameras: CameraSettings = field(default_factory=CameraSettings)
    background: str = AUTO
    """``auto`` (the model's own; else none or white, as is usual in the format), ``transparent``, ``random`` (a colour
    for each view), a colour, or a folder of images."""
    exposure: float = 0.0
    """Exposures vary by up to this many stops, up and down."""
    classes: tuple[str, ...] = ()
    """Classes that scenes are made of, all equally often; if empty, those of the model as often as in its dataset. A
    scene's seed draws which."""
    category: str = ""
    """COCO's category; empty is the model's name."""
    shard_images: int = 0
    """Images in a shard; 0 makes about 64 shards of 16 to 1000 images."""

    def __post_init__(self) -> None:
        last = self.seed + self.count - 1
        require(self.count >= 1, "count", self.count, "at least 1")
        require(self.seed >= 0 and last <= MAX_SEED, "seed", self.seed, f"seeds from 0 to {MAX_SEED} for every scene")
        require(1 <= self.views <= MAX_VIEWS, "views", self.views, f"1 to {MAX_VIEWS}")
        require(8 <= self.size <= MAX_SIZE, "size", self.size, f"8 to {MAX_SIZE} pixels")
        require(0 <= self.exposure <= MAX_EXPOSURE, "exposure", self.exposure, f"0 to {MAX_EXPOSURE:g} stops")
        require(self.shard_images >= 0, "shard_images", self.shard_images, "0 (automatic) or more")


def settings_for(model: Config, values: dict[str, Any]) -> SynthSettings:
    """The settings of nested plain ``values``; what they leave open follows from the ``model``'s configuration.

    An angle whose law alone is given keeps the model's standard deviation.

    Raises:
        ConfigError: for an unknown key, a value that cannot be used, or poses that a fixed path does not follow.
    """
    generator = model.generator
    poses = config_to_dict(generator.poses) | {"focal": generator.focal}
    cameras = _mapping(values.get("cameras"))
    asked = _mapping(cameras.get("poses"))
    ignored = [f"cameras.poses.{name}" for name in poses.keys() & asked.keys() - {*OF_EVERY_PATH}]
    if ignored and cameras.get("path", RANDOM) != RANDOM:
        raise ConfigError(
            f"the path '{cameras['path']}' has its own directions, so that {', '.join(sorted(ignored))} would change "
            f"nothing; leave that out, or set cameras.path to '{RANDOM}'"
        )
    usual = {
        "size": generator.resolution, "category": model.name, "cameras": {"poses": poses | _of_laws(poses, asked)},
    }  # fmt: skip
    return build(SynthSettings, merge(usual, values), "")


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping as it is, and an empty one in place of anything else, which is refused where settings are built."""
    return value if isinstance(value, dict) else {}


def _of_laws(poses: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Spreads and limits of those angles of a model's ``poses`` of which ``asked`` changes the law alone."""
    changed: dict[str, float] = {}
    for name in ("yaw", "pitch"):
        law, spread, limit = (poses[f"{name}_{part}"] for part in ("law", "spread", "limit"))
        wanted = asked.get(f"{name}_law", law)
        if wanted != law and f"{name}_spread" not in asked:
            # A range has the deviation of its half width over sqrt(3); the model has seen nothing beyond its limit.
            as_wide = min(spread * math.sqrt(3), limit) if wanted == "uniform" else min(spread, limit) / math.sqrt(3)
            changed |= _angle(name, as_wide, wanted)
    return changed


def _angle(name: str, spread: float, law: str | None) -> dict[str, float]:
    """Entries of poses for an angle: uniform ones are clipped nowhere, normal ones at three standard deviations."""
    return {f"{name}_spread": spread, f"{name}_limit": spread if law == "uniform" else 3 * spread}


def pose_values(
    *, yaw: float | None, pitch: float | None, law: str | None, radius: float | None, focal: float | None
) -> dict[str, Any]:
    """Nested values for :func:`settings_for` from the command line's options about poses; None leaves one open.

    Args:
        yaw, pitch: degrees; standard deviation of a normal distribution, half the width of a uniform one. Normal angles
            are clipped at three standard deviations.
        law: distribution of both angles.
        radius: distance of the cameras, world units.
        focal: focal length over image width.

    Raises:
        ConfigError: if ``law`` is unknown.
    """
    if law is not None and law not in get_args(AngleDistribution):
        raise ConfigError(f"law '{law}' is unknown; expected one of: {', '.join(get_args(AngleDistribution))}")
    poses: dict[str, Any] = {}
    for name, degrees in (("yaw", yaw), ("pitch", pitch)):
        if degrees is not None:
            poses |= _angle(name, math.radians(degrees), law)
        if law is not None:
            poses[f"{name}_law"] = law
    poses |= {name: value for name, value in (("radius", radius), ("focal", focal)) if value is not None}
    return {"cameras": {"poses": poses}} if poses else {}
