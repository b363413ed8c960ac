"""The settings that follow from a set and a machine, each with its reason.

Networks and rates are those of the stages of ``critters64`` and ``critters128``, which are measured up to 128 pixels
(docs/results/whole_circle.md). What depends on the set is chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.conventions import LEAST_IMAGES
from hgs_toolkit.errors import ConfigError, DataError
from hgs_toolkit.pose_prior import describe_poses
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, load_preset, merge, with_settings
from hgs_toolkit.training.fitting import describe_classes
from hgs_toolkit.training.planning import SIZES
from hgs_toolkit.training.planning.facts import Machine, SetFacts
from hgs_toolkit.training.stages.plan_file import Choice

LARGEST = {"cpu": 64, "cuda": 256}
"""Resolution of the last stage where none is asked for, pixels: larger ones take a CPU days."""

BASES = {16: "critters64-at16", 32: "critters64-at32", 64: "critters64-at64", 128: "critters128-at128"}
"""Resolution to the preset whose networks and rates a stage has; beyond, levels are added to the last."""

MEASURED_GAMMA = {16: 0.01, 32: 0.1, 64: 0.3, 128: 2.4}
"""Gammas by resolution, for batches of MEASURED_BATCH; from 32 pixels on with heads.

At 128 pixels a run with batches of 32 had 1.2.
"""

GAMMA_WITHOUT_HEADS = {16: 0.01, 32: 0.03, 64: 0.04}
"""Those of discriminators of the pixels alone."""

FROM_64 = {"real_blur": 0.5, "generator_lr": 0.0025, "discriminator_lr": 0.002, "generator_delay_kimg": 0.5}
WITHOUT_HEADS: dict[int, dict[str, float]] = {
    16: {"kimg": 56.0},
    32: {"kimg": 100.0, "real_blur": 0.0},
    64: {"kimg": 220.0, **FROM_64},
    128: {"kimg": 160.0, **FROM_64},
}
"""Resolution to the training settings of a stage of such discriminators, which need several times as many images."""

POLISH_WITHOUT_HEADS = {
    "kimg": 50.0, "generator_lr": 0.0008, "discriminator_lr": 0.0006, "rate_final": 0.3, "ema_kimg": 8.0,
}  # fmt: skip
"""Those of their polish."""

MEASURED_BATCH = 16

MIRRORED_BELOW = 20_000
"""Number of images from which mirroring is not needed."""

ADAPTIVE_BELOW = 5_000
"""Number of images below which a discriminator learns them by heart, so that augmentation is controlled (ADA)."""

CENTERED = 0.1
"""Largest mean yaw of a set that may be mirrored, radians: others would get cameras where none was."""

HEADS_FROM = 32
"""Resolution of the first stage with heads, pixels."""

POLISH_GAMMA = 2.0
"""How many times a stage's gammas those of a polish with heads are up to 64 pixels, at the same batch."""

WHY_HEADS = (
    "with them critters at 32 px were as far after 16 thousand images as without after 45; photographs were not tried"
)

BYTES_PER_IMAGE = 150 << 20
"""Memory that an image of 64 pixels takes in a step, with a margin; it grows with the pixels."""


@dataclass(frozen=True)
class Proposal:
    """Stages of training, first to last, and the reasons for their settings."""

    stages: tuple[Config, ...]
    choices: tuple[Choice, ...]


def possible_sizes(facts: SetFacts, machine: Machine, resolution: int | None = None) -> list[int]:
    """Resolutions of the stages, the last one first to be given up where time is short.

    Args:
        resolution: that of the last stage; None is the set's, but at most LARGEST.

    Raises:
        DataError: if the images cannot be averaged down to 16 pixels.
        ConfigError: if ``resolution`` is not one that the set and the stages have.
    """
    fitting = [size for size in SIZES if facts.resolution % size == 0]
    if not fitting or fitting[0] != SIZES[0]:
        raise DataError(
            f"{facts.name} has images of {facts.resolution} pixels; expected 16 times a whole number, which can be "
            "averaged down to the sizes of the stages: resize them to 64, 128 or 256 pixels"
        )
    fitting = [size for place, size in enumerate(fitting) if size == SIZES[place]]  # no doubling is left out
    if resolution is None:
        return [size for size in fitting if size <= LARGEST[machine.device]]
    if resolution not in fitting:
        raise ConfigError(f"--resolution {resolution}; expected one of {', '.join(map(str, fitting))} for {facts.name}")
    return [size for size in fitting if size <= resolution]


def propose(
    facts: SetFacts, machine: Machine, sizes: Sequence[int], settings: Sequence[str] = (), *, seed: int = 0
) -> Proposal:
    """Stages at ``sizes``, then a polish at the last one; their lengths are those of the presets.

    Args:
        settings: ``key=value`` texts that win over what is chosen, in every stage.
    """
    batch, why_batch = _wished_batch(settings) or _batch(facts, machine, sizes[-1])
    if batch > facts.images:
        raise DataError(f"{facts.name} has {facts.images} images; expected at least {batch}, better thousands")
    shared, choices = _shared(facts)
    heads, why_heads = heads_join(machine, sizes, settings)
    stages = [_stage(size, batch, shared, seed, heads=heads) for size in sizes]
    stages.append(_polish(stages[-1], heads=heads))
    polish = stages[-1].training
    levels = ", ".join(f"{stage.generator.levels} levels at {stage.generator.resolution} px" for stage in stages[:-1])
    gammas = ", ".join(f"{stage.training.r1_gamma:.3g}" for stage in stages[:-1])
    choices = [
        Choice("stages", ", ".join(f"{size}" for size in sizes) + " px, polish",
               "each stage grows from the one before, which is several times faster than starting large"),
        Choice("levels", levels, "a doubling of the pixels adds a level of four times as many Gaussians"),
        Choice("R1 and R2 gamma", gammas, _why_gamma(batch)),
        Choice("gammas over time", "constant in a stage", "what the stages are measured with; gamma_final changes it"),
        Choice("rates over time",
               f"constant, in the polish from {polish.generator_lr:g} to {polish.rate_final:.0%} of that",
               "the last details come with small steps"),
        Choice("heads on pretrained features", "from 32 px on" if heads else "none", why_heads),
        Choice("average", "of three half-lives at the end, the one with the lowest KID",
               "a short average is sharper, a long one is steadier: which is better is measured"),
        Choice("batch", str(batch), why_batch),
        *choices,
    ]  # fmt: skip
    stages = [with_settings(stage, list(settings)) for stage in stages]
    if facts.classes.size:
        choices.append(_classes(facts, learned=stages[0].training.classes))
    return Proposal(tuple(stages), tuple(choices))


def heads_join(machine: Machine, sizes: Sequence[int], settings: Sequence[str]) -> tuple[bool, str]:
    """Whether heads on pretrained features join the discriminator where it grows to 32 pixels, and why."""
    kinds = [setting.partition("=")[2] for setting in settings if setting.startswith("discriminator.kind=")]
    if kinds and kinds[-1] != "projected":
        return False, f"discriminator.kind is {kinds[-1]} by hand"
    if not machine.pretrained:
        return False, "they need pip install 'hgs_toolkit[metrics]'"
    if sizes[-1] < HEADS_FROM:
        return False, f"they join at {HEADS_FROM} px"
    return True, WHY_HEADS


def _polish(stage: Config, *, heads: bool) -> Config:
    """``stage`` once more with smaller rates, which fall, and a longer average.

    The gammas of a polish with heads are those that were measured: up to 64 pixels twice the stage's, beyond the same.
    """
    own, gamma = POLISH_WITHOUT_HEADS, stage.training.r1_gamma
    if heads:
        small = stage.generator.resolution <= 64
        measured = load_preset("critters64-polish" if small else "critters128-polish").training
        own = {name: getattr(measured, name) for name in own}
        if small:
            gamma = float(f"{POLISH_GAMMA * gamma:.3g}")
    return _changed(
        stage, "polish", "Falling learning rates, a longer average",
        {"training": {
            **own, "r1_gamma": gamma, "r2_gamma": gamma, "ema_choices": [1.0, 30.0],
        }},
    )  # fmt: skip


def gamma_of(resolution: int, batch: int, *, heads: bool = True) -> float:
    """R1's weight: measured up to 64 pixels (128 with heads), then in proportion to the pixels; inverse to the batch.

    The heuristic of StyleGAN2-ADA (Karras et al. 2020, its automatic configuration) is 0.0002 * pixels / batch. The
    measured value is 0.8 of that at 64 pixels without heads on pretrained features, twelve times that at 128 with them,
    and it goes on from there.
    """
    measured = MEASURED_GAMMA if heads else GAMMA_WITHOUT_HEADS
    largest = max(measured)
    gamma = measured.get(resolution, measured[largest] * (resolution / largest) ** 2)
    return float(f"{gamma * MEASURED_BATCH / batch:.3g}")


def _why_gamma(batch: int) -> str:
    return f"measured to 64 px, with heads 128; then they grow with the pixels (R1 per pixel); for batches of {batch}"


def _wished_batch(settings: Sequence[str]) -> tuple[int, str] | None:
    """The batch that is set by hand, which the gammas follow; None where it is not."""
    values = [setting.partition("=")[2] for setting in settings if setting.startswith("training.batch=")]
    return (int(values[-1]), "set by hand") if values and values[-1].isdecimal() and int(values[-1]) else None


def _batch(facts: SetFacts, machine: Machine, resolution: int) -> tuple[int, str]:
    """Images in a step, and why."""
    wanted = 32 if machine.device == "cuda" else MEASURED_BATCH
    needed = BYTES_PER_IMAGE * max(resolution / 64, 0.25) ** 2
    batch = wanted
    while batch > LEAST_IMAGES and (batch * needed > machine.memory or batch > facts.images):
        batch //= 2
    if batch < wanted:
        limit = "images" if wanted > facts.images else f"{machine.memory / 2**30:.1f} GiB of free memory"
        return batch, f"{limit} allow no more"
    return batch, "what the rates are measured with" if batch == MEASURED_BATCH else "a card is idle with fewer"


def _stage(size: int, batch: int, shared: dict[str, Any], seed: int, *, heads: bool) -> Config:
    base = BASES.get(size)
    changes: dict[str, Any] = {}
    if base is None:
        base = BASES[max(BASES)]
        config, more = load_preset(base), SIZES.index(size) - SIZES.index(max(BASES))
        widths = (*config.generator.channels, *config.generator.channels[-1:] * more)
        changes = {
            "generator": {
                "resolution": size, "channels": list(widths), "level_blocks": ["adain"] * (len(widths) - 1),
            },
            "discriminator": {
                "resolution": size, "channels": [*config.discriminator.channels[:1] * more,
                                                 *config.discriminator.channels],
            },
        }  # fmt: skip
        if heads:  # they leave the finest detail alone where they see halved images
            changes["discriminator"]["feature_size"] = size
    gamma = gamma_of(size, batch, heads=heads)
    own = {"batch": batch, "seed": seed, "r1_gamma": gamma, "r2_gamma": gamma}
    preset = load_preset(base)
    if not heads:
        own |= WITHOUT_HEADS.get(size, WITHOUT_HEADS[max(WITHOUT_HEADS)])
        preset = replace(preset, discriminator=preset.discriminator.without_heads)
    return _changed(preset, f"at{size}", f"{size} pixels", merge(merge(changes, {"training": own}), shared))


def _changed(config: Config, name: str, description: str, changes: dict[str, Any]) -> Config:
    return config_from_dict(merge(config_to_dict(config), changes) | {"name": name, "description": description})


def _shared(facts: SetFacts) -> tuple[dict[str, Any], list[Choice]]:
    """Settings of all stages that the set decides, and why."""
    augment, choices = _augmentation(facts)
    training: dict[str, Any] = {"augment": augment}
    generator: dict[str, Any] = {"poses": asdict(facts.poses)}
    discriminator, seen = _discriminator(facts)
    choices.append(seen)
    training["views"] = discriminator["views"]
    if facts.has_alpha:
        generator["background"], training["background"] = "none", "random"
        choices.append(
            Choice("background", "a random colour", "the images have alpha: the subject is learned free of any")
        )
    else:
        generator |= {"background": "generator", "background_points": 500, "background_channels": 64}
        training |= {"background": "black", "background_kimg": 0.0}
        choices.append(
            Choice("background", "generated", "the images have no alpha: what is behind the subject is learned, too")
        )
    if facts.assumed:
        discriminator["pose"], training["random_pose"] = "none", 1.0
        why = f"no camera is known, its poses are {facts.assumed}; the discriminator is not told them"
        choices.append(Choice("poses", describe_poses(facts.poses), why))
    else:
        discriminator["pose"] = "projection"
        why = "measured from the labels; the discriminator is told each image's camera, the generator never"
        choices.append(Choice("poses", describe_poses(facts.poses), why))
    return {"generator": generator, "discriminator": discriminator, "training": training}, choices


def _discriminator(facts: SetFacts) -> tuple[dict[str, Any], Choice]:
    """What the discriminator looks at, and why."""
    chosen = {"alpha": facts.has_alpha, "views": 1}
    why = "one image at a time: with pairs of views subjects grew less varied"
    return chosen, Choice("discriminator sees", "pixels" + (", alpha" if facts.has_alpha else ""), why)


def _classes(facts: SetFacts, *, learned: bool) -> Choice:
    """Whether the classes of the set are learned, and which there are."""
    if not learned:
        return Choice("classes", "left out", f"training.classes is off; the set has {describe_classes(facts.classes)}")
    why = "the generator and the discriminator are told them; --set training.classes=false learns without"
    return Choice("classes", describe_classes(facts.classes), why)


def _augmentation(facts: SetFacts) -> tuple[dict[str, Any], list[Choice]]:
    augment: dict[str, Any] = {"mirror": 0.0, "color": 0.0, "cutout": 0.0, "geometry": 0.0, "adaptive_target": None}
    few = f"{facts.images} images are fewer than {MIRRORED_BELOW:,}"
    if facts.rendered:
        mirror = Choice("mirroring", "off", "more of the set can be rendered, and mirrored writing reads backwards")
    elif facts.images >= MIRRORED_BELOW:
        mirror = Choice("mirroring", "off", f"{facts.images} images are enough without")
    elif abs(facts.poses.yaw_mean) > CENTERED:
        mirror = Choice("mirroring", "off", "the cameras stand on one side: mirrored ones would stand where none was")
    else:
        augment["mirror"] = 0.5
        mirror = Choice("mirroring", "half of the images", f"{few}; their cameras are mirrored with them")
    if facts.images >= ADAPTIVE_BELOW or facts.rendered:
        adaptive = Choice("ADA", "off", f"{facts.images} images" + (", rendered ones" if facts.rendered else ""))
    else:
        moved = 0.8 if facts.assumed else 0.0  # nobody is told a camera that would no longer fit
        augment |= {"color": 0.8, "cutout": 0.5, "geometry": moved, "adaptive_target": 0.6, "adaptive_kimg": 100.0}
        kinds = "colour, cutout and geometry" if moved else "colour and cutout"
        adaptive = Choice(
            "ADA", f"{kinds}, target 0.6",
            f"{facts.images} images are fewer than {ADAPTIVE_BELOW:,}: the discriminator may learn them by heart",
        )  # fmt: skip
    return augment, [mirror, adaptive]
