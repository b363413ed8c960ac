"""What a resumed run may change: other data and other networks are refused, other rates are allowed and logged."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import CheckpointError, ConfigError
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, flatten_keys

logger = logging.getLogger(__name__)

CHANGEABLE = (
    "name", "description", "generator.footprint", "training.kimg", "training.tick_kimg", "training.metric_kimg",
    "training.tick_seconds", "training.metric_seconds",
    "training.metric_images", "training.grid", "training.snapshot_kimg", "training.workers", "training.memory_gib",
    "training.loggers",
)  # fmt: skip
"""Settings that do not touch the trajectory of a run."""

ADJUSTABLE = (
    "generator.poses.", "generator.max_elongation",
    "training.augment.", "training.reconstruction.", "training.adversarial_weight",
    "training.r1_gamma", "training.r2_gamma", "training.feature_gamma", "training.gamma_final", "training.gamma_kimg",
    "training.penalty_interval", "training.generator_lr", "training.discriminator_lr",
    "training.kimg", "training.rate_final", "training.rate_start_kimg", "training.rate_kimg",
    "training.generator_clip", "training.discriminator_clip", "training.knn_weight", "training.knn_neighbors",
    "training.center_weight", "training.color_weight", "training.pose_weight", "training.pose_swap",
    "training.pose_swap_kimg",
    "training.random_pose", "training.blur_sigma", "training.blur_kimg", "training.alpha_blur", "training.real_blur",
    "training.ema_kimg", "training.ema_rampup", "training.generator_delay_kimg", "training.background_kimg",
)  # fmt: skip
"""Settings, and beginnings of settings, that a resumed run may change although they change its trajectory."""

Changes = dict[str, tuple[Any, Any]]
"""Setting to its value before and now."""


@dataclass(frozen=True)
class DatasetIdentity:
    """Which dataset a run is trained on.

    Attributes:
        name: of its folder or archive.
        images: how many it has.
        digest: see :attr:`hgs_toolkit.datasets.eg3d.PosedImages.digest`.
    """

    name: str
    images: int
    digest: str

    @classmethod
    def of(cls, data: PosedImages) -> DatasetIdentity:
        """The identity of ``data``."""
        return cls(data.path.name, len(data), data.digest)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the training state."""
        return asdict(self)


def refuse_other_data(saved: dict[str, Any] | None, now: DatasetIdentity | None, path: Path) -> None:
    """Raise a CheckpointError if a run was saved with another dataset; earlier versions did not say which."""
    if saved is None or now is None or saved.get("digest") == now.digest:
        return
    raise CheckpointError(
        f"{path} was trained on {saved.get('name')} ({saved.get('images')} images); {now.name} ({now.images} images) "
        f"is another dataset: resume it with its own, or start a new run from its weights: --init {path}"
    )


def refuse_other_config(saved: dict[str, Any], config: Config, path: Path) -> Changes:
    """The adjustable settings in which ``config`` differs from a saved run's; see :data:`ADJUSTABLE`.

    A setting that the run was saved without, by an earlier version, has its default.

    Raises:
        CheckpointError: if another setting differs; the message names it.
    """
    try:
        before, now = (flatten_keys(config_to_dict(c)) for c in (config_from_dict(saved), config))
    except ConfigError as error:
        raise CheckpointError(f"{path} is a run of another version of the toolkit: {error}") from error
    different = {
        key: (before.get(key), now.get(key))
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not _is_changeable(key, config)
    }
    had, has = (bool(settings["training.reconstruction.weight"]) for settings in (before, now))
    if had != has:
        raise CheckpointError(
            f"{path} is a run with{'' if had else 'out'} reconstruction, which cannot change on the way; begin another "
            f"one from its weights: --init {path}"
        )
    refused = [f"{key} was {old!r}, now {new!r}" for key, (old, new) in different.items() if not _is_adjustable(key)]
    if refused:
        shown = "; ".join(refused[:4]) + (f"; and {len(refused) - 4} more" if len(refused) > 4 else "")
        raise CheckpointError(f"{path} is a run of another configuration ({shown}); resume it with its own preset")
    if different:
        changed = "; ".join(f"{key} was {old!r}, now {new!r}" for key, (old, new) in different.items())
        logger.warning("from here on it is not the same run any more: %s", changed)
    return different


def _is_changeable(key: str, config: Config) -> bool:
    """Whether the trajectory stays. Where the rates fall until the end of the run, its length moves them."""
    rates_end_with_it = config.training.rate_final is not None and config.training.rate_kimg is None
    return key in CHANGEABLE and not (key == "training.kimg" and rates_end_with_it)


def _is_adjustable(key: str) -> bool:
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in ADJUSTABLE)
