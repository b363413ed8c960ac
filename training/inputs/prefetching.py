"""Reading the images of the next steps in threads while a step is computed.

A batch is a function of (seed, step), so that reading ahead changes nothing: the same bits for any number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from torch import Tensor

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.batches import batch_indices

AHEAD = 2
"""Number of steps, for each thread, whose images are read ahead."""

Loaded = tuple[Tensor, Tensor]
"""Images (b, H, W, 3 | 4) uint8 and labels (b, 25) float32 of this rank's rows of a batch."""


class Prefetcher:
    """Images of one step after the other; a context manager, whose end waits for the threads."""

    def __init__(self, data: PosedImages, config: Config, step: int, world: World) -> None:
        self._data, self._config, self._world = data, config, world
        self._steps: Iterator[int] = iter(range(step, step + 2**62))
        self._waiting: deque[tuple[int, Future[Loaded]]] = deque()
        workers = config.training.workers
        self._pool = ThreadPoolExecutor(workers, "reading images") if workers else None

    def take(self, step: int) -> Loaded:
        """The images of ``step``; steps are taken in order.

        Raises:
            DataError: naming the file that is missing or broken.
        """
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
