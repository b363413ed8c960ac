"""What is measured, and on how much."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hgs_toolkit.errors import ConfigError, DataError

METRICS = {
    "kid": "kernel distance of features to the real images",
    "fid": "Fréchet distance of features to the real images",
    "kid_3d": "the same as kid with a model that is not told the camera",
    "fid_3d": "the same as fid with a model that is not told the camera",
    "diversity": "spread of the features, against that of the real images",
    "classes": "kernel distance of each class to real images of its own, beside that of the others",
    "sectors": "kernel distance by the side that is seen, 45 degrees each; by default where real images show backs",
    "pose": "whether images show the pose they were drawn with",
    "consistency": "whether the depth and colour of views from the side match the front",
    "geometry": "depth and normals against those that critters of such an image have",
    "timing": "milliseconds an image at 256 and 512 pixels",
}
"""What can be measured, by name."""

NEED_DATA = ("kid", "fid", "kid_3d", "fid_3d", "diversity", "classes", "sectors", "pose")

MIN_COUNT, MAX_COUNT = 20, 1000
"""Fewest images of which a distance means anything, and the most that are compared unless more are asked for."""

MIN_RESOLUTION = 16
"""Smallest images that are compared, pixels."""

CRITTERS = "critters"


@dataclass(frozen=True)
class EvalSettings:
    """What to measure.

    Attributes:
        metrics: names of METRICS; empty for all that the rest allows.
        count: number of real images, and of generated ones, for distances, diversity and pose; None takes all that the
            dataset has, up to MAX_COUNT.
        scenes: scenes for consistency, and for geometry.
        seed: of latents, of cameras, and of the choice of real images.
        psi: truncation.
        extractors: names of feature extractors.
        inception: file of Inception weights, for the FID of the papers as one more extractor.
        truth: ``critters`` if the model is one of critters, whose shapes are known; None for other models.
        resolution: pixels of the images that are compared; None is the model's. A dataset must store a multiple of it.

    Raises:
        ConfigError: for an unknown metric or truth, a count too small to mean anything, or a resolution below 16.
    """

    metrics: tuple[str, ...] = ()
    count: int | None = None
    scenes: int = 50
    seed: int = 0
    psi: float = 1.0
    extractors: tuple[str, ...] = ("squeeze",)
    inception: Path | None = None
    truth: str | None = None
    resolution: int | None = None

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise ConfigError(f"metric '{name}' is unknown; expected some of {', '.join(METRICS)}")
        if (self.count is not None and self.count < MIN_COUNT) or self.scenes < 1:
            raise ConfigError(
                f"{self.count} images and {self.scenes} scenes; expected at least {MIN_COUNT} images and one scene"
            )
        if self.resolution is not None and self.resolution < MIN_RESOLUTION:
            raise ConfigError(f"images of {self.resolution} pixels; expected {MIN_RESOLUTION} at least")
        if self.truth not in (None, CRITTERS):
            raise ConfigError(f"truth '{self.truth}' is unknown; expected {CRITTERS}")
        if self.truth is None and "geometry" in self.metrics:
            raise ConfigError(f"geometry needs shapes that are known; for a model of critters add --truth {CRITTERS}")

    def of_dataset(self, name: str, images: int) -> EvalSettings:
        """The same settings with a count that the dataset ``name`` of so many images has.

        Raises:
            DataError: if the dataset has fewer than are asked for, or too few for a distance to mean anything.
        """
        if images < MIN_COUNT:
            raise DataError(
                f"{name} holds {images} images; expected at least {MIN_COUNT}, of which a distance means anything"
            )
        if self.count is not None and images < self.count:
            raise DataError(
                f"{name} holds {images} images, fewer than the {self.count} to compare with; use --count {images}, "
                "leave --count out, or name a larger set"
            )
        return dataclasses.replace(self, count=min(images, MAX_COUNT) if self.count is None else self.count)

    def chosen(self, *, has_data: bool) -> tuple[str, ...]:
        """The metrics to compute, in the table's order.

        Raises:
            ConfigError: if one was asked for that needs a dataset, and there is none.
        """
        missing = [name for name in self.metrics if name in NEED_DATA and not has_data]
        if missing:
            raise ConfigError(f"real images are needed for {', '.join(missing)}; name them with --data PATH")
        if self.metrics:
            return tuple(name for name in METRICS if name in self.metrics)
        possible = [name for name in METRICS if has_data or name not in NEED_DATA]
        return tuple(name for name in possible if name != "geometry" or self.truth is not None)
