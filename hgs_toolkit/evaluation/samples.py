"""The sets of images that are compared, as features: real ones, and generated ones under the real ones' cameras."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, frontal
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.classes import ClassLabels
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.evaluation.settings import EvalSettings
from hgs_toolkit.metrics.extractors import Extractor
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import drawn_chunks, drawn_rows, real_chunks
from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator

logger = logging.getLogger(__name__)

OnDone = Callable[[int], None]
"""Called with the number of images or scenes that are done since the last call."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images as features, each with its camera.

    Attributes:
        features: by extractor, (N, d) float64, not standardised.
        cameras: (N,).
        kinds: (N,) row of each one's class in the table of the model's classes; None for a model without classes.
    """

    features: dict[str, Array]
    cameras: Cameras
    kinds: npt.NDArray[np.int64] | None = None

    @property
    def count(self) -> int:
        """N."""
        return len(self.cameras)


@dataclass(frozen=True, eq=False)
class ImageSets:
    """Makes the sets of one evaluation.

    Attributes:
        data: real images, at the resolution at which all are compared.
        extractors: what all images are seen with.
        advance: progress, in images.
    """

    model: Generator
    config: Config
    data: PosedImages
    settings: EvalSettings
    extractors: list[Extractor]
    advance: OnDone

    @property
    def count(self) -> int:
        """Number of real images, and of generated ones."""
        assert self.settings.count is not None, "of_dataset decides"
        return self.settings.count

    @property
    def has_second_set(self) -> bool:
        """Whether there are as many real images again, to measure real ones against real ones."""
        return len(self.data) >= 2 * self.count

    def real(self, part: int) -> ImageSet:
        """The first (0) or second (1) ``count`` real images of the dataset's seeded order."""
        s = self.settings
        chunks = real_chunks(self.data, self.config, self.count, seed=s.seed, start=part * self.count)
        return ImageSet(self._see(chunks), self._cameras(part), self._kinds(self._rows(part)))

    def generated(self, part: int, *, told: bool) -> ImageSet:
        """As many generated images, seen from the cameras of ``real(part)``, with the classes of those.

        Args:
            part: also chooses the latents.
            told: whether a pose-conditioned (or view-dependent) model is told the camera, as in its training, or
                always the frontal one, so that what is seen cannot depend on the camera.
        """
        s, cameras = self.settings, self._cameras(part)
        latents = draw_latents(self.config, s.seed, self.count, part)
        front = self.config.generator.poses
        conditioning = cameras if told else frontal(front.focal, front.radius).expand(self.count)
        rows = self._rows(part)
        real = self._real_classes
        classes = (
            draw_classes(self.config, s.seed, self.count) if real is None else torch.from_numpy(real.vectors[rows])
        )
        chunks = drawn_chunks(
            self.model, self.config, latents, cameras, conditioning,
            psi=s.psi, classes=classes, resolution=self.data.resolution,
        )  # fmt: skip
        return ImageSet(self._see(chunks), cameras, self._kinds(rows))

    def _rows(self, part: int) -> npt.NDArray[np.int64]:
        """Indices (count,) of the real images of a part."""
        return dataset_indices(self.settings.seed, part * self.count, self.count, len(self.data))

    def _cameras(self, part: int) -> Cameras:
        return Cameras.from_labels(torch.from_numpy(self.data.labels[self._rows(part)]))

    @property
    def _real_classes(self) -> ClassLabels | None:
        """The classes of the dataset, if they are those of the model."""
        found, names = self.data.classes, self.config.generator.classes.names
        return found if found is not None and names and found.names == names else None

    def _kinds(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        real = self._real_classes
        return None if real is None else self.config.generator.classes.nearest(real.vectors[rows])

    def _see(self, chunks: Iterable[Tensor]) -> dict[str, Array]:
        return see(self.extractors, chunks, self.advance)


def draw_latents(config: Config, seed: int, count: int, part: int = 0) -> Tensor:
    """Latents (count, z_dim) of an evaluation."""
    return torch.randn(count, config.generator.z_dim, generator=keyed_generator(seed, part, Purpose.EVALUATION))


def draw_classes(config: Config, seed: int, count: int) -> Tensor | None:
    """Class vectors (count, C) of an evaluation's scenes, as frequent as in the dataset; None without classes."""
    prior = config.generator.classes
    if not prior.size:
        return None
    generator = keyed_generator(seed, 0, Purpose.CLASSES)
    return torch.from_numpy(prior.table[drawn_rows(prior, count, generator)])


def see(extractors: list[Extractor], chunks: Iterable[Tensor], advance: OnDone) -> dict[str, Array]:
    """Features (N, d) by extractor of images (n, H, W, 3) in 0..1, rounded to the 8 bits of files."""
    parts: dict[str, list[Array]] = {extractor.name: [] for extractor in extractors}
    for chunk in eight_bits(chunks):
        for extractor in extractors:
            parts[extractor.name].append(extractor.features(chunk).astype(np.float64))
        advance(len(chunk))
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def eight_bits(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Images in 0..1 as uint8, as a file would hold them: rounding must not tell real from generated."""
    for chunk in chunks:
        yield (chunk * 255).round().clamp(0, 255).to(torch.uint8)
