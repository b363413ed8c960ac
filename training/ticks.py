"""The measurement during training: KID against the training images with the fastest extractor that is installed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.metrics.extractors import tick_extractor
from hgs_toolkit.metrics.measurement import Reference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import real_chunks, sample_chunks
from hgs_toolkit.training.randomness import Purpose

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TickMetric:
    """KID of the average model at a tick, against a fixed choice of real images under the same background."""

    config: Config
    reference: Reference

    @classmethod
    def for_run(cls, config: Config, data: PosedImages) -> TickMetric | None:
        """The metric of a run, with the real features computed once.

        None where it is switched off (``training.metric_kimg``), or where there are fewer than two images.
        """
        count = min(config.training.metric_images, len(data))
        if config.training.metric_kimg is None or count < 2:
            return None
        extractor = tick_extractor()
        logger.info("measuring KID with the extractor %s (%s) on %d images", extractor.name, extractor.sha256, count)
        return cls(config, Reference.of(extractor, real_chunks(data, config, count)))

    def measure(self, model: Generator) -> dict[str, Any]:
        """What a log line gets: {name: value}, and under ``measurements`` the same with all their conditions."""
        count = max(self.config.training.metric_images, 2)
        found = self.reference.measure(sample_chunks(model, self.config, count, Purpose.METRIC))
        return {m.name: round(m.value, 4) for m in found} | {"measurements": [asdict(m) for m in found]}
