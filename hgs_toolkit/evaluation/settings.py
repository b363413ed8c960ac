"""What is measured, and on how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hgs_toolkit.errors import ConfigError

METRICS = {
    "kid": "kernel distance of features to the real pictures",
    "fid": "Fréchet distance of features to the real pictures",
    "kid_3d": "the same as kid with a model that is not told the camera",
    "fid_3d": "the same as fid with a model that is not told the camera",
    "diversity": "spread of the features, against the real pictures'",
    "pose": "whether pictures show the pose they were drawn with",
    "consistency": "whether the depth and colour of views from the side match the front",
    "geometry": "depth and normals against those that critters of such a picture have",
    "timing": "milliseconds a picture at 256 and 512 pixels",
}
"""What can be measured, by name."""

NEED_DATA = ("kid", "fid", "kid_3d", "fid_3d", "diversity", "pose")

MIN_COUNT = 20
"""Pictures below which no distance means anything."""

CRITTERS = "critters"


@dataclass(frozen=True)
class EvalSettings:
    """What to measure.

    Attributes:
        metrics: names of METRICS; empty for all that the rest allows.
        count: real pictures, and generated ones, for distances, diversity and pose.
        scenes: scenes for consistency, and for geometry.
        seed: of latents, of cameras, and of the choice of real pictures.
        psi: truncation.
        extractors: names of feature extractors.
        inception: file of Inception weights, for the FID of the papers as one more extractor.
        truth: ``critters`` if the model is one of critters, whose shapes are known; None for other models.

    Raises:
        ConfigError: for an unknown metric or truth, or a count too small to mean anything.
    """

    metrics: tuple[str, ...] = ()
    count: int = 1000
    scenes: int = 50
    seed: int = 0
    psi: float = 1.0
    extractors: tuple[str, ...] = ("squeeze",)
    inception: Path | None = None
    truth: str | None = None

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise ConfigError(f"metric '{name}' is unknown; expected some of {', '.join(METRICS)}")
        if self.count < MIN_COUNT or self.scenes < 1:
            raise ConfigError(
                f"{self.count} pictures and {self.scenes} scenes; expected at least {MIN_COUNT} pictures and one scene"
            )
        if self.truth not in (None, CRITTERS):
            raise ConfigError(f"truth '{self.truth}' is unknown; expected {CRITTERS}")
        if self.truth is None and "geometry" in self.metrics:
            raise ConfigError(f"geometry needs shapes that are known; for a model of critters add --truth {CRITTERS}")

    def chosen(self, *, has_data: bool) -> tuple[str, ...]:
        """The metrics to compute, in the table's order.

        Raises:
            ConfigError: if one was asked for that needs a dataset, and there is none.
        """
        missing = [name for name in self.metrics if name in NEED_DATA and not has_data]
        if missing:
            raise ConfigError(f"{', '.join(missing)} compare with real pictures; name them with --data PATH")
        if self.metrics:
            return tuple(name for name in METRICS if name in self.metrics)
        possible = [name for name in METRICS if has_data or name not in NEED_DATA]
        return tuple(name for name in possible if name != "geometry" or self.truth is not None)
