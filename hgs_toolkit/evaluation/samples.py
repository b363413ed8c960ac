"""The sets of pictures that are compared, as features: real ones, and generated ones under the real ones' cameras."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, frontal
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import DataError
from hgs_toolkit.evaluation.settings import EvalSettings
from hgs_toolkit.metrics.extractors import Extractor
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import drawn_chunks, real_chunks
from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator

logger = logging.getLogger(__name__)

Advance = Callable[[int], None]
"""Called with the number of pictures or scenes that are done since the last call."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures as features, each with its camera.

    Attributes:
        features: by extractor, (N, d) float64, not standardised.
        cameras: (N,).
    """

    features: dict[str, Array]
    cameras: Cameras


@dataclass(frozen=True, eq=False)
class Drawer:
    """Makes the sets of one evaluation.

    Attributes:
        data: real pictures at the model's resolution.
        extractors: what all pictures are seen with.
        advance: progress, in pictures.
    """

    model: Generator
    config: Config
    data: PosedImages
    settings: EvalSettings
    extractors: list[Extractor]
    advance: Advance

    def __post_init__(self) -> None:
        if len(self.data) < self.settings.count:
            raise DataError(
                f"{self.data.path} holds {len(self.data)} pictures, fewer than the {self.settings.count} to compare "
                f"with; use --count {len(self.data)} or a larger set"
            )

    @property
    def has_second_set(self) -> bool:
        """Whether there are as many real pictures again, to measure real ones against real ones."""
        return len(self.data) >= 2 * self.settings.count

    def real(self, part: int) -> Sample:
        """The first (0) or second (1) ``count`` real pictures of the dataset's seeded order."""
        s = self.settings
        chunks = real_chunks(self.data, self.config, s.count, seed=s.seed, start=part * s.count)
        return Sample(self._see(chunks), self._cameras(part))

    def generated(self, part: int, *, told: bool) -> Sample:
        """As many generated pictures, seen from the cameras of ``real(part)``.

        Args:
            part: also chooses the latents.
            told: whether a pose-conditioned (or view-dependent) model is told the camera, as in its training, or
                always the frontal one, so that what is seen cannot depend on the camera.
        """
        s, cameras = self.settings, self._cameras(part)
        latents = draw_latents(self.config, s.seed, s.count, part)
        front = self.config.generator.poses
        conditioning = cameras if told else frontal(front.focal, front.radius).expand(s.count)
        chunks = drawn_chunks(self.model, self.config, latents, cameras, conditioning, psi=s.psi)
        return Sample(self._see(chunks), cameras)

    def _cameras(self, part: int) -> Cameras:
        indices = dataset_indices(self.settings.seed, part * self.settings.count, self.settings.count, len(self.data))
        return Cameras.from_labels(torch.from_numpy(self.data.labels[indices]))

    def _see(self, chunks: Iterable[Tensor]) -> dict[str, Array]:
        return see(self.extractors, chunks, self.advance)


def draw_latents(config: Config, seed: int, count: int, part: int = 0) -> Tensor:
    """Latents (count, z_dim) of an evaluation."""
    return torch.randn(count, config.generator.z_dim, generator=keyed_generator(seed, part, Purpose.EVALUATION))


def see(extractors: list[Extractor], chunks: Iterable[Tensor], advance: Advance) -> dict[str, Array]:
    """Features (N, d) by extractor of pictures (n, H, W, 3) in 0..1, rounded to the 8 bits of files."""
    parts: dict[str, list[Array]] = {extractor.name: [] for extractor in extractors}
    for chunk in eight_bits(chunks):
        for extractor in extractors:
            parts[extractor.name].append(extractor.features(chunk).astype(np.float64))
        advance(len(chunk))
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def eight_bits(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Pictures in 0..1 as uint8, as a file would hold them: rounding must not tell real from generated."""
    for chunk in chunks:
        yield (chunk * 255).round().clamp(0, 255).to(torch.uint8)
