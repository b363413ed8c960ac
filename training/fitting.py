"""Fitting a configuration to the dataset it is to be trained on."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.datasets.measured_poses import describe_poses, large_differences, measure_poses
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import load_config
from hgs_toolkit.training.state import RunFolder

logger = logging.getLogger(__name__)

POSES = "generator.poses"


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
    views = config.discriminator.views
    if data.views_per_subject % views:
        raise ConfigError(
            f"discriminator.views = {views}, but the set shows each subject in {data.views_per_subject} consecutive "
            f"images; expected a set made with --views {views} or a multiple of it"
        )
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
    if len(data) < config.training.batch:
        raise ConfigError(f"{len(data)} images for training.batch = {config.training.batch}; expected at least as many")


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


def with_poses_of(run: RunFolder, config: Config, explicit: Collection[str] = ()) -> Config:
    """``config`` with the poses that a run was begun with, as far as they were not set by hand."""
    given, begun = config.generator.poses, load_config(run.config_file).generator.poses
    poses = replace(begun, **_set_by_hand(given, explicit))
    return replace(config, generator=replace(config.generator, poses=poses))


def _set_by_hand(poses: PosePrior, explicit: Collection[str]) -> dict[str, Any]:
    names = (f.name for f in fields(PosePrior) if POSES in explicit or f"{POSES}.{f.name}" in explicit)
    return {name: getattr(poses, name) for name in names}
