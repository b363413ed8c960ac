"""Pictures to measure and a quiet machine to measure on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch

PictureFactory = Callable[[int, int], npt.NDArray[np.uint8]]


def make_pictures(count: int, seed: int, size: int = 64) -> npt.NDArray[np.uint8]:
    """Sharp coloured discs on coloured grounds, (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    pictures = np.empty((count, size, size, 3), np.uint8)
    for picture in pictures:
        picture[:] = rng.integers(0, 256, 3)
        for _ in range(4):
            center, radius = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.3)
            picture[np.hypot(x - center[0], y - center[1]) < radius] = rng.integers(0, 256, 3)
    return pictures


@pytest.fixture
def pictures() -> PictureFactory:
    """Maker of (count, seed) -> pictures of one law."""
    return make_pictures


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small spend their time on waking threads, ten times over on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
