"""Every setting of a run as frozen dataclasses, which check themselves when they are built.

A field's default is the reference model's value (Hyun & Heo 2024) unless its text says otherwise. How settings are
read from and written to YAML is in :mod:`hgs_toolkit.settings_io`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

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
    footprint: float = 1.0
    """Share of the training images' filter by which sampled Gaussians are widened, see :mod:`hgs_toolkit.footprint`."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Number type of the features between the mapping network and the heads; ``auto`` as for the discriminator."""
    poses: PosePrior = field(default_factory=PosePrior)
    """Distribution of the cameras it is trained under; previews and drawn training poses follow it."""

    def __post_init__(self) -> None:
        if len(self.level_blocks) != self.levels - 1:
            raise ConfigError(
                f"generator.level_blocks has {len(self.level_blocks)} entries for {self.levels} levels "
                f"(generator.channels); expected {self.levels - 1}, one for each level after the first"
            )
        if self.channels[0] % self.heads:
            raise ConfigError(
                f"generator.channels[0] = {self.channels[0]} is not divisible by generator.heads = {self.heads}"
            )
        for name in ("resolution", "z_dim", "w_dim", "points", "children", "background_points"):
            require(getattr(self, name) >= 1, f"generator.{name}", getattr(self, name), "at least 1")
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


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator: StyleGAN2 type with a pose branch, or the lean residual one with camera projection."""

    kind: Literal["stylegan2", "residual"] = "stylegan2"
    """``stylegan2``, or the lean ``residual`` one."""
    resolution: int = 256
    """Image size that it judges, pixels."""
    channel_base: int = 32768
    """``stylegan2``: width at resolution r is min(channel_base / r, channel_max)."""
    channel_max: int = 512
    """``stylegan2``: largest width."""
    channels: tuple[int, ...] = ()
    """``residual``: widths from the image's resolution down to 4x4, one each resolution."""
    alpha: bool = False
    """Whether it sees alpha as a fourth channel, so that it judges silhouettes directly (needs data with alpha)."""
    views: int = 1
    """Number of images of one subject that it judges together; needs a set with as many, and ``training.views``."""
    pose: Literal["branch", "projection", "none"] = "branch"
    """How the camera is judged: by a ``branch`` of its own, by ``projection``, or not."""
    pose_dim: int = 64
    """Size of the pose branch's embedding."""
    mbstd_group: int = 4
    """Minibatch-standard-deviation group size; 0 switches the layer off."""
    downsample: Literal["average", "blur"] = "average"
    """``residual``: average pooling, or a depthwise [1,3,3,1] blur with stride 2 (slow on a CPU)."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """``auto``: bfloat16 where the hardware multiplies it natively (AMX, AVX512-BF16, CUDA), else float32."""
    channels_last: bool = False
    """Whether features are stored channels last, which is faster on some machines."""

    @property
    def image_channels(self) -> int:
        """Channels of what it judges: colours, and alpha where it sees it, of every view."""
        return self.views * (3 + self.alpha)

    def __post_init__(self) -> None:
        require(self.views >= 1, "discriminator.views", self.views, "at least 1")
        steps = int(math.log2(self.resolution)) if self.resolution >= 4 else 0
        require(
            self.resolution >= 8 and 2**steps == self.resolution,
            "discriminator.resolution", self.resolution, "a power of two, at least 8",
        )  # fmt: skip
        if self.kind == "residual" and len(self.channels) != steps - 1:
            raise ConfigError(
                f"discriminator.channels has {len(self.channels)} entries; expected {steps - 1}, one for each of the "
                f"resolutions {self.resolution} ... 4"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """What D sees of real and generated images alike; a mirrored image gets the mirrored camera."""

    mirror: float = 0.0
    """Probability of mirroring a real image together with its camera (doubles a dataset)."""
    color: float = 0.0
    """Probability of changing brightness, contrast and saturation."""
    cutout: float = 0.0
    """Probability of blanking a square of half the image's size."""
    adaptive_target: float | None = None
    """ADA's target for the sign of D(real); then colour and cutout probabilities are scaled by the controlled p."""
    adaptive_kimg: float = 500.0
    """kimg it takes the controlled p to move from 0 to 1."""


@dataclass(frozen=True)
class TrainingConfig:
    """Losses, schedules, optimisers and bookkeeping of a run."""

    batch: int = 32
    """Number of real images in a step."""
    kimg: float = 15000.0
    """Length of the run in thousands of real images shown."""
    seed: int = 0
    """Seed of everything that is random."""
    loss: Literal["logistic", "relativistic"] = "logistic"
    """``logistic`` (non-saturating), or ``relativistic`` pairing of real and generated images."""
    r1_gamma: float = 1.0
    """Weight of the gradient penalty on real images."""
    r2_gamma: float = 0.0
    """Weight of the gradient penalty on generated images."""
    gamma_final: float | None = None
    """If given, both gammas move geometrically to this fraction of their value over ``gamma_kimg``."""
    gamma_kimg: float = 1000.0
    """Length of the gammas' change, kimg."""
    penalty_interval: int = 16
    """Gradient penalties are computed every so many steps and weighted by as much."""
    penalty_step: Literal["separate", "merged"] = "separate"
    """``separate``: a step of its own (StyleGAN2's lazy regularisation); ``merged``: added to the step's main loss."""
    share_fakes: bool = False
    """Whether D and G look at the same generated images within a step, which saves generating a second batch."""
    pose_weight: float = 1.0
    """Weight of the pose InfoNCE loss (branch discriminator only)."""
    pose_temperature: float = 0.1
    """Temperature of the pose InfoNCE loss."""
    pose_swap: float = 0.5
    """Final probability that G's pose label is another sample's; falls from 1 over ``pose_swap_kimg``."""
    pose_swap_kimg: float = 1000.0
    """Length of the fall of ``pose_swap``, kimg."""
    random_pose: float = 0.0
    """Probability that a generated image's camera is drawn from ``generator.poses`` in place of the dataset's."""
    views: int = 1
    """Cameras per generated scene, each with a background of its own."""
    scenes: int | None = None
    """Generated scenes in a step; None: ``batch``, or ``batch / views`` if the discriminator judges views together."""
    pose_balance: float = 0.0
    """How strongly rare yaws are repeated: 0 shows every image once an epoch, 1 shows all yaws equally often."""
    knn_weight: float = 10.0
    """Weight of the nearest-neighbour regulariser."""
    knn_neighbors: int = 64
    """Regulariser on the coarse anchors: mean squared distance to that many nearest neighbours."""
    center_weight: float = 1.0
    """Regulariser on the squared mean position of the coarse anchors."""
    generator_lr: float = 0.0025
    """Learning rate of the generator."""
    discriminator_lr: float = 0.002
    """Learning rate of the discriminator."""
    generator_delay_kimg: float = 0.0
    """kimg at the start in which D learns alone: after growing, its new block must first learn to see."""
    warmup_steps: int = 0
    """Steps over which both learning rates rise from zero."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's decay rates of both networks."""
    generator_clip: float = 20.0
    """Largest norm of the generator's gradient."""
    discriminator_clip: float = 5.0
    """Largest norm of the discriminator's gradient."""
    blur_sigma: float = 10.0
    """Initial Gaussian blur of what D sees, pixels at the training resolution."""
    blur_kimg: float = 200.0
    """Length of the blur's fall to zero, kimg."""
    ema_kimg: float | None = None
    """Half-life of the weights' moving average; None is batch * 10 / 32 kimg."""
    ema_rampup: float | None = 0.05
    """The half-life is at most this fraction of the images seen so far."""
    background: Literal["black", "random"] = "black"
    """``random``: a random colour under the data's alpha and under the rendering alike."""
    background_kimg: float = 50.0
    """kimg before the background generator is switched on."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    tick_kimg: float = 4.0
    """Interval of log lines, the sample grid and the state file."""
    tick_seconds: float | None = None
    """Shortest time between two of them, in seconds; None is 30 on a GPU, which would stop all the time, and else 0."""
    snapshot_kimg: float | None = None
    """Interval at which the average is kept in ``snapshots/``; None and 0 keep none."""
    metric_kimg: float | None = None
    """Interval of KID measurements where an extractor is installed; None and 0 switch them off."""
    metric_seconds: float | None = None
    """Shortest time between two measurements, in seconds; None is 120 on a GPU and else 0."""
    metric_images: int = 2000
    """Number of generated images of a KID measurement."""
    grid: int = 6
    """Rows and columns of the sample grid."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where ticks go beside log.jsonl and report.html; each needs the extra of its name."""
    workers: int = 2
    """Threads that read the images of the next steps; the result does not depend on them."""
    memory_gib: float = 2.0
    """GiB of decoded images that are kept in memory; those of a larger set are kept in a file beside it."""

    def __post_init__(self) -> None:
        for name in ("snapshot_kimg", "metric_kimg", "tick_seconds", "metric_seconds"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"training.{name}", value, "0 or more")
        require(0 <= self.workers <= 64, "training.workers", self.workers, "0 ... 64")
        require(self.memory_gib >= 0, "training.memory_gib", self.memory_gib, "0 or more")
        require(self.scenes is None or self.scenes >= 1, "training.scenes", self.scenes, "at least 1")
        require(0 <= self.pose_balance <= 1, "training.pose_balance", self.pose_balance, "0 ... 1")
        for name in ("batch", "penalty_interval", "views", "grid"):
            require(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "at least 1")
        for name in ("kimg", "tick_kimg"):
            require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "more than 0")
        if self.loss == "relativistic" and self.r2_gamma == 0:
            raise ConfigError("training.loss = relativistic needs training.r2_gamma > 0 (R1 and R2 belong together)")


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
        if self.discriminator.alpha and self.generator.background == "generator":
            raise ConfigError("discriminator.alpha needs generator.background = none: a background leaves no alpha")

    @property
    def scenes(self) -> int:
        """Generated scenes a step."""
        if self.training.scenes is not None:
            return self.training.scenes
        return max(self.training.batch // self.discriminator.views, 1)
