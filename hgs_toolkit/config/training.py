"""Settings of the training: losses, schedules, optimisers, what D sees, and bookkeeping."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from hgs_toolkit.config.reconstruction import ReconstructionConfig
from hgs_toolkit.errors import ConfigError, require

AT_LEAST_ZERO = (
    "seed", "r1_gamma", "r2_gamma", "feature_gamma", "pose_weight", "knn_weight", "knn_neighbors", "center_weight",
    "color_weight", "pose_swap_kimg", "rate_start_kimg", "generator_delay_kimg", "warmup_steps", "blur_sigma",
    "blur_kimg", "alpha_blur", "real_blur", "ema_kimg", "ema_rampup", "background_kimg", "metric_images",
)  # fmt: skip
"""Settings of :class:`TrainingConfig` that are 0 or more, or None where they may be."""


@dataclass(frozen=True)
class AugmentConfig:
    """What D sees of real and generated images alike; a mirrored image gets the mirrored camera."""

    mirror: float = 0.0
    """Probability of mirroring a real image together with its camera (doubles a dataset)."""
    color: float = 0.0
    """Probability of changing brightness, contrast and saturation."""
    cutout: float = 0.0
    """Probability of blanking a square of half the image's size."""
    geometry: float = 0.0
    """Probability of turning, scaling and moving an image; only for a D that is not told the camera."""
    adaptive_target: float | None = None
    """ADA's target for the sign of D(real), of D(real) - D(fake) with the relativistic loss; the probabilities of
    colour, cutout and geometry are then scaled by the controlled p."""
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
    adversarial_weight: float = 1.0
    """Weight of the discriminator's judgement in the generator's loss; 0: reconstruction alone, no discriminator."""
    r1_gamma: float = 1.0
    """Weight of the gradient penalty on real images."""
    r2_gamma: float = 0.0
    """Weight of the gradient penalty on generated images."""
    feature_gamma: float = 0.25
    """Discriminator kind ``projected``: weight of the gradient penalties on its features, where the images have one."""
    gamma_final: float | None = None
    """If given, all gammas move geometrically to this fraction of their value over ``gamma_kimg``."""
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
    classes: bool = True
    """Whether the classes of a set that has some are learned; otherwise it is trained on as if it had none."""
    pose_balance: float = 0.0
    """How strongly rare yaws are repeated: 0 shows every image once an epoch, 1 shows all yaws equally often."""
    yaw_window: float | None = None
    """Largest yaw of images that are shown, to either side of the front, radians; None shows all. The front first."""
    knn_weight: float = 10.0
    """Weight of the nearest-neighbour regulariser."""
    knn_neighbors: int = 64
    """Regulariser on the coarse anchors: mean squared distance to that many nearest neighbours."""
    center_weight: float = 1.0
    """Regulariser on the squared mean position of the coarse anchors."""
    color_weight: float = 0.0
    """Weight of a regulariser on the differences of colour within families of Gaussians: plain surfaces stay plain."""
    generator_lr: float = 0.0025
    """Learning rate of the generator."""
    discriminator_lr: float = 0.002
    """Learning rate of the discriminator."""
    rate_final: float | None = None
    """If given, both learning rates move geometrically to this fraction of their value, from ``rate_start_kimg`` on."""
    rate_start_kimg: float = 0.0
    """Where the learning rates begin to change, kimg."""
    rate_kimg: float | None = None
    """Length of the learning rates' change, kimg; by default it lasts to the end of the run."""
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
    alpha_blur: float = 0.0
    """Gaussian blur of the alpha that D sees, pixels at the training resolution: no crisper than splats draw it."""
    real_blur: float = 0.0
    """Gaussian blur of real images alone, pixels at the training resolution: no sharper than splats can be drawn."""
    ema_kimg: float | None = None
    """Half-life of the weights' moving average; None is batch * 10 / 32 kimg."""
    ema_rampup: float | None = 0.05
    """The half-life is at most this fraction of the images seen so far."""
    ema_choices: tuple[float, ...] = ()
    """Half-lives of further averages, kimg; at the end, the average with the lowest KID becomes the model."""
    background: Literal["black", "random"] = "black"
    """``random``: a random colour under the data's alpha and under the rendering alike."""
    background_kimg: float = 50.0
    """kimg before the background generator is switched on."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
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
        if self.yaw_window is not None:
            require(0 < self.yaw_window <= math.pi, "training.yaw_window", self.yaw_window, "more than 0, at most pi")
            if self.random_pose:
                raise ConfigError(
                    f"training.yaw_window needs training.random_pose = 0, here it is {self.random_pose:g}: cameras of "
                    "the whole circle would be drawn"
                )
        for name in ("batch", "penalty_interval", "views", "grid"):
            require(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "at least 1")
        for name in AT_LEAST_ZERO:
            require((getattr(self, name) or 0) >= 0, f"training.{name}", getattr(self, name), "0 or more")
        for name in ("generator_lr", "discriminator_lr", "generator_clip", "discriminator_clip", "pose_temperature"):
            require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "more than 0")
        for name in ("pose_swap", "random_pose"):
            require(0 <= getattr(self, name) <= 1, f"training.{name}", getattr(self, name), "0 ... 1")
        require(
            all(0 <= beta < 1 for beta in self.betas), "training.betas", self.betas, "two numbers from 0 to below 1"
        )
        require(
            self.gamma_final is None or self.gamma_final > 0, "training.gamma_final", self.gamma_final, "more than 0"
        )
        for name in ("kimg", "tick_kimg", "gamma_kimg"):
            require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "more than 0")
        require(self.rate_kimg is None or self.rate_kimg > 0, "training.rate_kimg", self.rate_kimg, "more than 0")
        require(self.rate_final is None or self.rate_final > 0, "training.rate_final", self.rate_final, "more than 0")
        ada = self.augment
        for name in ("mirror", "color", "cutout", "geometry"):
            require(0 <= getattr(ada, name) <= 1, f"training.augment.{name}", getattr(ada, name), "0 ... 1")
        require(ada.adaptive_kimg > 0, "training.augment.adaptive_kimg", ada.adaptive_kimg, "more than 0")
        choices = all(half_life > 0 for half_life in self.ema_choices)
        require(choices, "training.ema_choices", self.ema_choices, "half-lives of more than 0 kimg")
        require(self.adversarial_weight >= 0, "training.adversarial_weight", self.adversarial_weight, "0 or more")
        if not self.adversarial_weight and not self.reconstruction.weight:
            raise ConfigError(
                "training.adversarial_weight and training.reconstruction.weight are both 0: nothing would be learned; "
                "set one of them"
            )
        if self.reconstruction.weight and self.random_pose:
            raise ConfigError(
                f"training.reconstruction.weight needs training.random_pose = 0, here it is {self.random_pose:g}: "
                "subjects are compared from the cameras of their images"
            )
        if self.loss == "relativistic" and self.r2_gamma == 0:
            raise ConfigError("training.loss = relativistic needs training.r2_gamma > 0 (R1 and R2 belong together)")
