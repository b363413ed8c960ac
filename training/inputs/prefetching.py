"""Images of the next steps, read by threads while a step is computed, or all kept on the GPU.

A batch is a function of (seed, step), so reading ahead changes nothing: the same bits for any number of threads.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.batches import batch_indices

logger = logging.getLogger(__name__)

AHEAD = 2
"""Number of steps, for each thread, whose images are read ahead."""

MEMORY_SHARE = 0.25
"""Largest share of a GPU's free memory that images may take."""

Loaded = tuple[Tensor, Tensor]
"""Images (b, H, W, 3 | 4) uint8 and labels (b, 25) float32 of this rank's rows of a batch."""


class DeviceImages:
    """The images of ``data`` on ``device``, each moved there when it is first asked for."""

    def __init__(self, data: PosedImages, device: torch.device) -> None:
        self._data = data
        channels = 4 if data.has_alpha else 3
        self._pixels = torch.empty(
            (len(data), data.resolution, data.resolution, channels), dtype=torch.uint8, device=device
        )
        self._is_there = np.zeros(len(data), bool)

    @classmethod
    def if_they_fit(cls, data: PosedImages, device: torch.device) -> DeviceImages | None:
        """The images of ``data``, or None on a CPU and where they would take too much of the device's free memory."""
        if device.type != "cuda":
            return None
        needed = len(data) * data.resolution**2 * (4 if data.has_alpha else 3)
        if needed > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
            logger.info("the images stay in the computer's memory: they are %.1f GB", needed / 1e9)
            return None
        return cls(data, device)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (B, H, W, 3 | 4) uint8 on the device and labels (B, 25) float32 on the CPU, as ``PosedImages.batch``.

        Raises:
            DataError: naming the file that is missing or broken.
        """
        missing = np.unique(indices[~self._is_there[indices]])
        if len(missing):
            pixels, _ = self._data.batch(missing)
            device = self._pixels.device
            self._pixels[torch.from_numpy(missing).to(device)] = pixels.to(device)
            self._is_there[missing] = True
        index = torch.from_numpy(np.asarray(indices)).to(self._pixels.device)
        return self._pixels[index], torch.from_numpy(self._data.labels[indices])


class Prefetcher:
    """The images of successive steps; a context manager that waits for its threads at the end."""

    def __init__(
        self, data: PosedImages, config: Config, step: int, world: World, on_device: DeviceImages | None = None
    ) -> None:
        self._data, self._config, self._world, self._on_device = data, config, world, on_device
        self._steps: Iterator[int] = iter(range(step, step + 2**62))
        self._waiting: deque[tuple[int, Future[Loaded]]] = deque()
        workers = config.training.workers
        self._pool = ThreadPoolExecutor(workers, "reading images") if workers else None

    def take(self, step: int) -> Loaded:
        """The images of ``step``; steps are taken in order.

        Raises:
            DataError: naming the file that is missing or broken.
        """
        if self._on_device is not None:
            return self._on_device.batch(batch_indices(self._config, step, self._data, self._world)[1])
        if self._pool is None:
            return self._load(step)
        while len(self._waiting) < AHEAD * self._config.training.workers:
            ahead = next(self._steps)
            self._waiting.append((ahead, self._pool.submit(self._load, ahead)))
        expected, future = self._waiting.popleft()
        assert expected == step, "steps are taken in order"
        return future.result()

    def _load(self, step: int) -> Loaded:
        return self._data.batch(batch_indices(self._config, step, self._data, self._world)[1])

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
