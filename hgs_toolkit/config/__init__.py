"""Every setting of a run as frozen dataclasses, which check themselves when they are built.

A field's default is the reference model's value (Hyun & Heo 2024) unless its text says otherwise. How settings are
read from and written to YAML is in :mod:`hgs_toolkit.settings_io`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hgs_toolkit.config.classes import ClassPrior
from hgs_toolkit.config.discriminator import DiscriminatorConfig
from hgs_toolkit.config.generator import GeneratorConfig, Hierarchy, LevelBlock
from hgs_toolkit.config.reconstruction import ReconstructionConfig
from hgs_toolkit.config.training import AugmentConfig, TrainingConfig
from hgs_toolkit.errors import ConfigError

__all__ = [
    "AugmentConfig", "ClassPrior", "Config", "DiscriminatorConfig", "GeneratorConfig", "Hierarchy", "LevelBlock",
    "ReconstructionConfig", "TrainingConfig",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """A whole run: what a preset names and a checkpoint carries."""

    name: str = "unnamed"
    """Name of the configuration; a preset's is that of its file."""
    description: str = ""
    """What the configuration is for, one line."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.generator.resolution != self.discriminator.resolution:
            raise ConfigError(
                f"generator.resolution = {self.generator.resolution} but discriminator.resolution = "
                f"{self.discriminator.resolution}; expected the same"
            )
        if self.generator.classes.size != self.discriminator.classes:
            raise ConfigError(
                f"generator.classes.names has {self.generator.classes.size} names but discriminator.classes = "
                f"{self.discriminator.classes}; expected as many"
            )
        if self.training.scenes is None and self.training.batch % self.grouped_views:
            raise ConfigError(
                f"training.views = {self.grouped_views} does not divide training.batch = {self.training.batch}; "
                "expected a divisor"
            )
        if self.training.batch % self.scenes:
            raise ConfigError(
                f"training.scenes = {self.scenes} does not divide training.batch = {self.training.batch}; "
                "expected a divisor"
            )
        if self.discriminator.views > 1 and (
            self.training.views != self.discriminator.views
            or self.scenes * self.discriminator.views != self.training.batch
        ):
            raise ConfigError(
                f"discriminator.views = {self.discriminator.views} with training.views = {self.training.views} and "
                f"{self.scenes} scenes for training.batch = {self.training.batch}; expected as many training.views, "
                "and a batch of whole groups (leave training.scenes alone)"
            )
        if self.training.reconstruction.weight and self.scenes * self.training.views != self.training.batch:
            raise ConfigError(
                f"training.reconstruction.weight with training.views = {self.training.views} and {self.scenes} scenes "
                f"for training.batch = {self.training.batch}; expected a batch of whole groups (leave training.scenes "
                "alone)"
            )
        if self.discriminator.alpha and self.generator.background == "generator":
            raise ConfigError("discriminator.alpha needs generator.background = none: a background leaves no alpha")

        if self.training.augment.geometry > 0 and self.discriminator.pose != "none":
            raise ConfigError(
                f"training.augment.geometry needs discriminator.pose = none, here it is {self.discriminator.pose}: an "
                "image that is turned or moved belongs to another camera than its label says"
            )

    @property
    def scenes(self) -> int:
        """Generated scenes a step."""
        if self.training.scenes is not None:
            return self.training.scenes
        return max(self.training.batch // self.grouped_views, 1)

    @property
    def grouped_views(self) -> int:
        """Consecutive real images of a batch that show the same subject: judged together, or reconstructed."""
        return self.training.views if self.training.reconstruction.weight else self.discriminator.views
