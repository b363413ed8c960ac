"""Feature extractors: the networks whose features Fréchet and kernel distances between images are measured with.

A distance depends on its extractor as much as on the images, so an extractor knows its name, the hash of its
weights and how it resizes, and every number is stored with them. ``squeeze`` and ``lite0`` are networks trained on
ImageNet that optional packages carry; ``randconv`` needs nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.errors import ConfigError, MissingExtraError, ShapeError

logger = logging.getLogger(__name__)

Features = npt.NDArray[np.float32]
ImageArray = npt.NDArray[Any] | Tensor

CHUNK = 32
"""Number of images that pass through a network at once; it bounds the memory and does not change the result."""

ROUNDING = 1e-4
"""Distance beyond 0..1 from which a float image counts as one of another range."""


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network that turns images into feature vectors.

    Attributes:
        name: what the numbers are called after, as in ``kid_squeeze``.
        dim: length of a feature vector.
        sha256: hexadecimal digest of the weights.
        size: height and width the network sees; images of another size are resized, bilinear.
        network: (B, 3, size, size) float32 in 0..1 to (B, dim).
        antialias: whether images are low-passed when they are made smaller.
        standardise: whether features are brought to the real images' mean and deviation before they are compared.
    """

    name: str
    dim: int
    sha256: str
    size: int
    network: nn.Module
    antialias: bool = True
    standardise: bool = True

    @property
    def resize(self) -> str:
        """How images get their size, for the record."""
        return f"bilinear-{'antialias-' if self.antialias else ''}{self.size}"

    @property
    def device(self) -> torch.device:
        """Where the network computes; images are moved there."""
        tensors = itertools.chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def to(self, device: torch.device) -> Extractor:
        """The same network, moved to another device."""
        return replace(self, network=self.network.to(device))

    def features(self, images: ImageArray) -> Features:
        """Features (N, dim) float32 of ``images`` (N, H, W, 3): uint8, or float in 0..1.

        Raises:
            ShapeError: if the shape, type or range is another.
        """
        tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        if tensor.ndim != 4 or tensor.shape[-1] != 3:
            raise ShapeError(f"images of shape {tuple(tensor.shape)}; expected (N, H, W, 3)")
        parts = [self._chunk(tensor[start : start + CHUNK]) for start in range(0, len(tensor), CHUNK)]
        return np.concatenate([np.zeros((0, self.dim), np.float32), *parts])

    @torch.inference_mode()
    def _chunk(self, pixels: Tensor) -> Features:  # (B, H, W, 3) -> (B, dim)
        images = _unit_range(pixels.to(self.device)).movedim(-1, 1)  # (B, 3, H, W)
        if images.shape[-2:] != (self.size, self.size):
            images = functional.interpolate(
                images, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=self.antialias
            )
        # TensorFloat-32 would give other distances than the CPU.
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            features = self.network(images.contiguous(memory_format=torch.channels_last))
        found: Features = features.cpu().numpy()
        return found


def make_extractor(name: str) -> Extractor:
    """The extractor called ``name``, one of :data:`EXTRACTORS`.

    Raises:
        ConfigError: if there is none of that name.
        MissingExtraError: if its package is not installed.
        FormatError: if its weights file is broken.
    """
    if name not in EXTRACTORS:
        raise ConfigError(f"unknown feature extractor '{name}'; known: {', '.join(EXTRACTORS)}")
    return EXTRACTORS[name]()


def tick_extractor(name: str = "squeeze") -> Extractor:
    """The extractor for measurements during training; ``randconv`` where ``name`` is not installed.

    Args:
        name: the fast ``squeeze``, or ``lite0`` for a run that is trained to match features of the former: its figures
            would only say how well those were learned.
    """
    try:
        return make_extractor(name)
    except MissingExtraError as error:
        logger.info("%s; measuring with random convolutions instead", error)
        return make_extractor("randconv")


def package_folder(package: str, purpose: str) -> Path:
    """Folder of an installed package, which is not imported for it.

    Raises:
        MissingExtraError: if it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, "metrics", purpose)
    return Path(spec.submodule_search_locations[0])


def _unit_range(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ShapeError(f"images of type {images.dtype}; expected uint8, or floats in 0..1")
    low, high = images.min().item(), images.max().item()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # false for NaN, too
        raise ShapeError(f"images with values from {low:.4g} to {high:.4g}; expected floats in 0..1, or uint8")
    return images.float()


def _squeeze() -> Extractor:
    from hgs_toolkit.metrics.squeezenet import make_squeeze

    return make_squeeze()


def _lite0() -> Extractor:
    from hgs_toolkit.metrics.lite0 import make_lite0

    return make_lite0()


def _randconv() -> Extractor:
    from hgs_toolkit.metrics.randconv import make_randconv

    return make_randconv()


EXTRACTORS: dict[str, Callable[[], Extractor]] = {"squeeze": _squeeze, "lite0": _lite0, "randconv": _randconv}
"""Name to maker: ``squeeze`` is fast, ``lite0`` is for final figures, ``randconv`` for tests and bare machines."""
