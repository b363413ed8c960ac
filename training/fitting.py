"""Fitting a configuration to the dataset it is to be trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from hgs_toolkit.config import ClassPrior, Config, TrainingConfig
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.datasets.measured_poses import large_differences, measure_poses
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.pose_prior import PosePrior, describe_poses
from hgs_toolkit.settings_io import load_config
from hgs_toolkit.training.inputs.balance import in_window
from hgs_toolkit.training.opening import OPENING, after_the_opening
from hgs_toolkit.training.state import RunFolder

logger = logging.getLogger(__name__)

POSES = "generator.poses"

SHOWN_CLASSES = 12
"""Number of class vectors that are listed in one line."""


def check_data(config: Config, data: PosedImages) -> None:
    """Raise a ConfigError if the dataset does not fit the configuration."""
    if data.resolution != config.generator.resolution:
        raise ConfigError(
            f"the images are {data.resolution} pixels wide, the preset '{config.name}' is for "
            f"{config.generator.resolution}; choose another preset or convert the dataset"
        )
    if config.discriminator.alpha and not data.has_alpha:
        raise ConfigError(
            "discriminator.alpha needs images with alpha, these have none; use --set discriminator.alpha=false"
        )
    check_classes(config, data)
    views = config.grouped_views
    if data.views_per_subject % views:
        setting = "discriminator.views" if config.discriminator.views == views else "training.views"
        raise ConfigError(
            f"{setting} = {views}, but the set shows each subject in {data.views_per_subject} consecutive "
            f"images; expected a set made with --views {views} or a multiple of it"
        )
    _check_window(config, data)
    if config.training.background == "random" and not data.has_alpha:
        raise ConfigError(
            "training.background = random needs images with alpha, these have none; add "
            "--set training.background=black --set generator.background=generator "
            f"--set training.background_kimg={config.training.kimg / 20:g}"
        )
    late = config.training.background_kimg > config.training.kimg / 2
    if config.generator.background == "generator" and not data.has_alpha and late:
        logger.warning(
            "the background generator is off for %g of %g kimg; better a small part: --set training.background_kimg=%g",
            min(config.training.background_kimg, config.training.kimg), config.training.kimg, config.training.kimg / 20,
        )  # fmt: skip
    check_batch(config, data)


def check_batch(config: Config, data: PosedImages) -> None:
    """Raise a ConfigError if the dataset has fewer images than a batch."""
    if len(data) < config.training.batch:
        raise ConfigError(
            f"{data.path} has {len(data)} images, '{config.name}' sees {config.training.batch} in a step; expected at "
            "least as many: add images, or set training.batch"
        )


def _check_window(config: Config, data: PosedImages) -> None:
    """Raise a ConfigError if fewer images than a batch are within the yaws that are shown."""
    limit, views = config.training.yaw_window, config.grouped_views
    if limit is None:
        return
    shown = int(in_window(data, views, limit).sum()) * views
    if shown < config.training.batch:
        of = f"{len(data)} images" + ("" if views == 1 else f" in groups of {views}")
        raise ConfigError(
            f"training.yaw_window = {limit:g} ({math.degrees(limit):.0f}° to either side of the front) leaves {shown} "
            f"of {of}; expected at least training.batch = {config.training.batch}: widen it or leave it out"
        )


def check_classes(config: Config, data: PosedImages) -> None:
    """Raise a ConfigError if the configuration is for other classes than the dataset has."""
    names = config.generator.classes.names
    if not names:
        return
    if data.classes is None:
        raise ConfigError(
            f"the run learns the classes {', '.join(names)}, but {data.path.name} has no classes; expected a set with "
            "them, see 'hgs dataset --help'"
        )
    if data.classes.names != names:
        raise ConfigError(
            f"the run learns the classes {', '.join(names)}, but {data.path.name} has {', '.join(data.classes.names)}; "
            "expected the same names in the same order"
        )


def with_measured_classes(config: Config, data: PosedImages) -> Config:
    """``config`` with the classes of the dataset, unless it has some already or ``training.classes`` is off."""
    if data.classes is None or not config.training.classes or config.generator.classes.size:
        return config
    prior = data.classes.prior
    logger.info("classes of %s: %s", data.path.name, describe_classes(prior))
    return replace(
        config, generator=replace(config.generator, classes=prior),
        discriminator=replace(config.discriminator, classes=prior.size),
    )  # fmt: skip


def describe_classes(prior: ClassPrior) -> str:
    """One line: ``chair 60 %, table 40 %``; of many classes the first ones."""
    shown = [f"{text} {share:.0%}" for text, share in zip(prior.texts, prior.probabilities, strict=True)]
    more = [f"and {len(shown) - SHOWN_CLASSES} more"] if len(shown) > SHOWN_CLASSES else []
    return ", ".join(shown[:SHOWN_CLASSES] + more) or "none"


def fitted(
    config: Config, data: PosedImages, explicit: Collection[str] = (), *, classes: bool = True
) -> Config:  # fmt: skip
    """``config`` with the poses and classes of the dataset and, where it has no groups of views, without pairs.

    Args:
        explicit: dotted keys that were set by hand; they keep their value.
        classes: whether those of the dataset are taken; weights to start from have their own.
    """
    config = with_measured_poses(_with_views_of(data, config, explicit), data, explicit)
    if classes:
        return with_measured_classes(config, data)
    if data.classes is not None and config.training.classes and not config.generator.classes.size:
        logger.warning(
            "%s has the classes %s, which the weights to start from do not know: they are left out; "
            "a run without --init or --grow learns them", data.path.name, ", ".join(data.classes.names),
        )  # fmt: skip
    return config


def _with_views_of(data: PosedImages, config: Config, explicit: Collection[str]) -> Config:
    """``config`` with one view of a subject at a time where the set shows each subject only so."""
    views = config.grouped_views
    encoded = config.training.reconstruction.weight > 0
    by_hand = "discriminator.views" in explicit or (encoded and "training.views" in explicit)
    if by_hand or data.views_per_subject % views == 0:
        return config
    logger.log(
        logging.WARNING if encoded else logging.INFO,
        "%s does not show its subjects in groups of %d views; they are seen one by one (training.views = 1)%s",
        data.path.name, views, "; a set made with --views 2 teaches more" if encoded else "",
    )  # fmt: skip
    training = config.training if "training.views" in explicit else replace(config.training, views=1)
    return replace(config, discriminator=replace(config.discriminator, views=1), training=training)


def with_measured_poses(config: Config, data: PosedImages, explicit: Collection[str] = ()) -> Config:
    """``config`` with the poses of the dataset's labels, which everything that shows or measures a model uses.

    What was measured is logged, and a warning where a value of the configuration that stays differs much from it.

    Args:
        explicit: dotted keys that were set by hand, such as ``generator.poses.focal``: they keep their value. The key
            ``generator.poses`` keeps all.
    """
    measured, given = measure_poses(data.labels), config.generator.poses
    poses = replace(measured, **_set_by_hand(given, explicit))
    logger.info("poses measured from %s: %s", data.path.name, describe_poses(measured))
    for difference in large_differences(poses, measured):
        logger.warning("the poses of %s differ from the configuration's: %s", data.path.name, difference)
    return replace(config, generator=replace(config.generator, poses=poses))


def as_begun(
    run: RunFolder, config: Config, explicit: Collection[str] = (), changed: Collection[str] = ()
) -> Config:  # fmt: skip
    """``config`` with the classes, poses and views that a run was begun with, as far as they were not set by hand.

    A run that began with trained weights goes on without its recipe's opening.

    Args:
        explicit: dotted keys that were set by hand.
        changed: those of them that are set in this command, and not in a file that the run may have begun with.
    """
    begun = load_config(run.config_file)
    poses = replace(begun.generator.poses, **_set_by_hand(config.generator.poses, explicit))
    discriminator = replace(config.discriminator, classes=begun.discriminator.classes)
    training = _without_opening_as(begun.training, config.training, changed)
    if "discriminator.views" not in explicit:
        discriminator = replace(discriminator, views=begun.discriminator.views)
    if "training.views" not in explicit:
        training = replace(training, views=begun.training.views)
    generator = replace(config.generator, poses=poses, classes=begun.generator.classes)
    return replace(config, generator=generator, discriminator=discriminator, training=training)


def _without_opening_as(begun: TrainingConfig, training: TrainingConfig, changed: Collection[str]) -> TrainingConfig:
    """``training`` without the opening where ``begun`` has none of it because the run began with trained weights."""
    later = after_the_opening(training)
    openings = [tuple(getattr(one, name) for name in OPENING) for one in (begun, later, training)]
    if openings[0] != openings[1] or openings[1] == openings[2]:
        return training
    names = (field.name for field in fields(TrainingConfig) if f"training.{field.name}" not in changed)
    return replace(training, **{name: getattr(later, name) for name in names})


def _set_by_hand(poses: PosePrior, explicit: Collection[str]) -> dict[str, Any]:
    names = (f.name for f in fields(PosePrior) if POSES in explicit or f"{POSES}.{f.name}" in explicit)
    return {name: getattr(poses, name) for name in names}
