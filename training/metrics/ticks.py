"""The measurement during training: KID against the training images with the fastest extractor that is installed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.datasets.eg3d import PosedImages

logger = logging.getLogger(__name__)


@dataclass
class TickMetric:
    """KID of the average model at a tick."""

    config: Config

    @classmethod
    def for_run(cls, config: Config, data: PosedImages) -> TickMetric | None:
        """The metric of a run, with the real features computed once; None where it is switched off."""
        return None

    def measure(self, model: Generator) -> dict[str, float]:
        """{name of the metric: value}."""
        return {}
