"""The measurement during training: KID against the training images with the fastest extractor that is installed."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import HgsError
from hgs_toolkit.files import atomic_path, cache_folder
from hgs_toolkit.metrics.extractors import Extractor, tick_extractor
from hgs_toolkit.metrics.measurement import Reference, extract_features
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.randomness import Purpose
from hgs_toolkit.training.stopping import StoppedError, StopRule

logger = logging.getLogger(__name__)

PROBED = 4
"""Number of real and of generated images from which the seconds of a measurement are estimated."""


@dataclass(eq=False)
class TickMetric:
    """KID of the average model at a tick, against a fixed choice of real images under the same background.

    The features of the real images are computed at the first measurement and kept in the user's cache folder under the
    digest of everything they depend on: a resumed run, and the next run on the same set, need not wait for them.

    Attributes:
        config, data, extractor: of the run.
        real_count: number of real images.
        seconds: what the last measurement took, or the estimate before the first; 0 while unknown.
    """

    config: Config
    data: PosedImages
    extractor: Extractor
    real_count: int
    seconds: float = 0.0
    _reference: Reference | None = field(default=None, repr=False)

    @classmethod
    def for_run(cls, config: Config, data: PosedImages, device: torch.device | None = None) -> TickMetric | None:
        """The metric of a run, whose extractor computes on ``device`` (None: the CPU).

        None where it is switched off (``training.metric_kimg``), or where there are fewer than two images.
        """
        count = min(config.training.metric_images, len(data))
        if not config.training.metric_kimg or count < 2:
            return None
        judged = config.discriminator.kind == "projected" and config.discriminator.features == "squeeze"
        learned = judged or config.training.reconstruction.perceptual > 0
        extractor = tick_extractor("lite0") if learned else tick_extractor()
        logger.info("measuring KID with the extractor %s (%s) on %d images", extractor.name, extractor.sha256, count)
        return cls(config, data, extractor if device is None else extractor.to(device), count)

    @property
    def fake_count(self) -> int:
        """Number of generated images."""
        return max(self.config.training.metric_images, 2)

    def estimate(self, model: Generator, stop: StopRule) -> float:
        """Seconds that a measurement takes; before the first one, an estimate from a few images.

        0 where a measurement would not fit into half of the run's time: it is then left out.
        """
        if self.seconds == 0.0:
            started = time.monotonic()
            extract_features(self.extractor, sample_chunks(model, self.config, PROBED, Purpose.METRIC))
            middle = time.monotonic()
            self.seconds = (middle - started) / PROBED * self.fake_count
            if self._kept() is None:
                extract_features(self.extractor, real_chunks(self.data, self.config, min(PROBED, self.real_count)))
                self.seconds += (time.monotonic() - middle) / min(PROBED, self.real_count) * self.real_count
        return self.seconds if self.seconds < stop.seconds_left / 2 else 0.0

    def measure(self, model: Generator, stop: StopRule | None = None) -> dict[str, Any]:
        """The entries of a log line: {name: value}, and under ``measurements`` the same with all their conditions.

        Nothing, and a log message, where the run is to end before the measurement does.
        """
        stop, started = stop or StopRule(), time.monotonic()
        try:
            reference = self._reference or self._reference_of_run(stop)
            found = reference.measure(stop.guard(sample_chunks(model, self.config, self.fake_count, Purpose.METRIC)))
        except StoppedError:
            logger.info("the measurement was left out: the run ends")
            return {}
        self.seconds = time.monotonic() - started
        return {m.name: round(m.value, 4) for m in found} | {"measurements": [asdict(m) for m in found]}

    def _reference_of_run(self, stop: StopRule) -> Reference:
        features = self._kept()
        if features is None:
            chunks = real_chunks(self.data, self.config, self.real_count)
            features = extract_features(self.extractor, stop.guard(chunks))
            self._keep(features)
        self._reference = Reference.of_features(self.extractor, features)
        return self._reference

    def _file(self) -> Path:
        """Where the features of the real images are kept."""
        training, extractor = self.config.training, self.extractor
        key = [
            self.data.digest, self.data.resolution, self.real_count, training.seed, training.background,
            extractor.name, extractor.sha256, extractor.resize,
        ]  # fmt: skip
        return cache_folder() / f"kid-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.safetensors"

    def _kept(self) -> np.ndarray[Any, np.dtype[np.float32]] | None:
        """The features of an earlier run; None if there are none that fit."""
        try:
            features = load_file(self._file())["features"]
        except (OSError, KeyError, SafetensorError):
            return None
        return features if features.shape == (self.real_count, self.extractor.dim) else None

    def _keep(self, features: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        try:
            with atomic_path(self._file()) as temporary:
                save_file({"features": features}, temporary)
        except (HgsError, SafetensorError) as error:
            logger.info("the features of the real images are not kept: %s", error)
