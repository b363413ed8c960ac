"""Where the ticks of a run go beside log.jsonl: TensorBoard, Weights & Biases, or both; off by default."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hgs_toolkit.config import Config
from hgs_toolkit.errors import MissingExtraError
from hgs_toolkit.settings_io import config_to_dict


@dataclass(frozen=True)
class TickRecord:
    """What a tick brings.

    Attributes:
        step, kimg: of the run.
        scalars: numbers by name, as in the line of log.jsonl.
        samples: (H, W, 3) uint8, the grid of samples.
        histograms: values (n,) by name.
    """

    step: int
    kimg: float
    scalars: Mapping[str, float]
    samples: npt.NDArray[np.uint8]
    histograms: Mapping[str, npt.NDArray[np.float32]]


class TickLogger(Protocol):
    """A place for ticks."""

    def write(self, record: TickRecord) -> None:
        """Add a tick; the horizontal axis is its number of thousand images."""
        ...

    def close(self) -> None:
        """Finish what is still being written."""
        ...


class TensorBoardLogger:
    """Event files in ``tensorboard/`` of the run folder, for ``tensorboard --logdir``."""

    def __init__(self, folder: Path, config: Config) -> None:
        writer = _package("tensorboard").SummaryWriter
        self._writer = writer(str(folder / "tensorboard"))
        self._writer.add_text("configuration", f"{config.name}: {config.description}", 0)

    def write(self, record: TickRecord) -> None:
        """See :meth:`TickLogger.write`; steps are images shown, since TensorBoard counts in whole numbers."""
        images = round(record.kimg * 1000)
        for name, value in record.scalars.items():
            self._writer.add_scalar(name, value, images)
        for name, values in record.histograms.items():
            self._writer.add_histogram(name, values, images)
        self._writer.add_image("samples", record.samples, images, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """See :meth:`TickLogger.close`."""
        self._writer.close()


class WandbLogger:
    """A run of Weights & Biases; its own settings and environment variables decide where it goes."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._wandb = _package("wandb")
        self._run = self._wandb.init(dir=str(folder), name=folder.name, config=config_to_dict(config), resume="allow")

    def write(self, record: TickRecord) -> None:
        """See :meth:`TickLogger.write`."""
        histograms = {name: self._wandb.Histogram(values) for name, values in record.histograms.items()}
        values = {"kimg": record.kimg, **record.scalars, **histograms, "samples": self._wandb.Image(record.samples)}
        self._run.log(values, step=record.step)

    def close(self) -> None:
        """See :meth:`TickLogger.close`."""
        self._run.finish()


PACKAGES = {
    "tensorboard": ("tensorboardX", "logging to TensorBoard"), "wandb": ("wandb", "logging to Weights & Biases")
}  # fmt: skip
"""Logger, which is also the extra that brings it, to its package and its purpose."""

LOGGERS: dict[str, Callable[[Path, Config], TickLogger]] = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger}
"""Name in ``training.loggers`` to class."""


def open_loggers(names: Sequence[str], folder: Path, config: Config) -> list[TickLogger]:
    """The loggers of a run in ``folder``.

    Raises:
        MissingExtraError: if the package of one is not installed.
    """
    return [LOGGERS[name](folder, config) for name in names]


def require_loggers(names: Sequence[str]) -> None:
    """Raise a MissingExtraError if the package of a logger is not installed."""
    for name in names:
        _package(name)


def _package(logger: str) -> Any:
    name, purpose = PACKAGES[logger]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, logger, purpose) from error
