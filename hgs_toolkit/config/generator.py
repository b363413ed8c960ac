"""Settings of the generator."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hgs_toolkit.config.classes import ClassPrior
from hgs_toolkit.errors import ConfigError, require
from hgs_toolkit.pose_prior import PosePrior

if TYPE_CHECKING:
    from hgs_toolkit.cameras import Cameras

Hierarchy = Literal["full", "position", "scale", "none"]
LevelBlock = Literal["adaptive", "local", "adain"]


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator: mapping, one block per level, heads, background (docs/architecture.md)."""

    resolution: int = 256
    """Image size it is trained for; the finest scale is s_end = ln(1/resolution)."""
    z_dim: int = 512
    """Size of the latent z."""
    w_dim: int = 512
    """Size of a style vector w."""
    mapping_layers: int = 2
    """Number of layers of the mapping network."""
    mapping_lr: float = 0.01
    """Learning-rate multiplier of the mapping layers."""
    pose_conditioned: bool = True
    """Whether the mapping network sees the camera label (the reference does; the r3 recipe does not)."""
    view_dependent_color: bool = True
    """Whether the colour head sees the viewing direction."""
    points: int = 256
    """Gaussians of the coarsest level, N_0."""
    children: int = 4
    """Children per parent, r."""
    channels: tuple[int, ...] = (512, 512, 256, 128, 128)
    """Feature width after each level's block; its length is the number of levels."""
    level_blocks: tuple[LevelBlock, ...] = ("adaptive", "adaptive", "local", "local")
    """Block of each level >= 1: ``adaptive`` (neighbours in feature space, AdaIN), ``local`` (edge block over the
    siblings, no style) or ``adain`` (no edge block, AdaIN MLP only: the lean choice for a CPU)."""
    transformer_blocks: int = 6
    """Number of transformer blocks of the coarsest level."""
    heads: int = 8
    """Number of attention heads of a transformer block."""
    neighbors: int = 16
    """Nearest neighbours of an adaptive edge block, k."""
    hierarchy: Hierarchy = "full"
    """``full``; ``position`` or ``scale`` keep one of the two constraints; ``none`` is the paper's naive baseline."""
    head_init: tuple[float, float, float, float, float] = (1.0, 0.1, 0.1, 1.0, 1.0)
    """Initial factors of the output heads: mean, scale, rotation, colour, opacity."""
    initial_opacity_logit: float = math.log(0.1 / 0.9)
    """Logit of the Gaussians' opacity before training."""
    soft_clamp: float | None = None
    """Raw head outputs x become c*tanh(x/c); None leaves them alone."""
    background: Literal["generator", "none"] = "generator"
    """Whether Gaussians behind the subject are generated."""
    background_points: int = 2000
    """Number of background Gaussians."""
    background_channels: int = 128
    """Feature width of the background generator."""
    background_radius: float = 3.0
    """Distance of the background Gaussians from the origin, world units."""
    render_focal: float | None = None
    """Normalised focal length that replaces the camera's (imported checkpoints: 2.507573); None honours the camera."""
    mirrored_x: bool = False
    """Whether a dataset's cameras get the opposite sign of their translation along their own x axis before a scene is
    drawn, as in the reference's renderer (imported checkpoints); cameras that look at the origin stay the same."""
    bounded_color: bool = False
    """Whether colours are squashed smoothly into 0..1; otherwise (the reference) only the renderer clamps them."""
    max_elongation: float | None = None
    """Bound of a Gaussian's largest standard deviation, in units of its middle one: discs, but no needles. None (the
    reference) leaves them alone."""
    footprint: float = 1.0
    """Share of the training images' filter by which sampled Gaussians are widened, see :mod:`hgs_toolkit.footprint`."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Number type of the features between the mapping network and the heads; ``auto`` as for the discriminator."""
    poses: PosePrior = field(default_factory=PosePrior)
    """Distribution of the cameras it is trained under; previews and drawn training poses follow it."""
    classes: ClassPrior = field(default_factory=ClassPrior)
    """Classes that scenes are made of; the mapping network is told which."""

    def __post_init__(self) -> None:
        if len(self.level_blocks) != self.levels - 1:
            raise ConfigError(
                f"generator.level_blocks has {len(self.level_blocks)} entries for {self.levels} levels "
                f"(generator.channels); expected {self.levels - 1}, one for each level after the first"
            )
        for name in ("heads", "mapping_layers", "neighbors", "background_channels"):
            require(getattr(self, name) >= 1, f"generator.{name}", getattr(self, name), "at least 1")
        require(min(self.channels) >= 1, "generator.channels", self.channels, "widths of at least 1")
        require(self.transformer_blocks >= 0, "generator.transformer_blocks", self.transformer_blocks, "0 or more")
        require(self.mapping_lr > 0, "generator.mapping_lr", self.mapping_lr, "more than 0")
        if self.soft_clamp is not None:
            require(self.soft_clamp > 0, "generator.soft_clamp", self.soft_clamp, "more than 0, or null for none")
        if self.channels[0] % self.heads:
            raise ConfigError(
                f"generator.channels[0] = {self.channels[0]} is not divisible by generator.heads = {self.heads}"
            )
        for name in ("resolution", "z_dim", "w_dim", "points", "children", "background_points"):
            require(getattr(self, name) >= 1, f"generator.{name}", getattr(self, name), "at least 1")
        require(
            self.max_elongation is None or self.max_elongation >= 1,
            "generator.max_elongation", self.max_elongation, "1 or more, or null for no bound",
        )  # fmt: skip
        require(self.footprint >= 0, "generator.footprint", self.footprint, "0 or more")
        require(
            "adaptive" not in self.level_blocks or self.neighbors < self.points,
            "generator.neighbors", self.neighbors, f"fewer than generator.points = {self.points}",
        )  # fmt: skip

    @property
    def focal(self) -> float:
        """Normalised focal length (image widths) of the cameras that scenes of this generator are made for."""
        return self.render_focal or self.poses.focal

    def render_cameras(self, cameras: Cameras) -> Cameras:
        """The cameras that scenes are drawn from, for a dataset's: with ``render_focal``, and mirrored if that is set.

        The networks are told the dataset's labels as they are.
        """
        return (cameras.mirrored_x() if self.mirrored_x else cameras).with_focal(self.render_focal)

    def label_cameras(self, cameras: Cameras) -> Cameras:
        """The cameras as a dataset's labels would say them, for those that scenes are drawn from."""
        focal = None if self.render_focal is None else self.poses.focal
        return (cameras.mirrored_x() if self.mirrored_x else cameras).with_focal(focal)

    @property
    def levels(self) -> int:
        """Number of levels of the tree, L."""
        return len(self.channels)

    @property
    def level_counts(self) -> tuple[int, ...]:
        """Gaussians of each level: N_0 * r^l."""
        return tuple(self.points * self.children**level for level in range(self.levels))
