"""Where the time of a run goes, by stage."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Timing:
    """Seconds by stage, summed over workers; CPU time of the thread at work, except where it says otherwise.

    Attributes:
        generate: latents to Gaussians.
        rasterize: Gaussians to layers.
        annotate: layers to encoded files, in the second thread.
        store: files into the container, in the second thread, and closing it.
        other: the rest of both threads: choosing cameras, the queue, Python.
        wait: wall time in which the first thread waited for the second one.
        wall: from a shard's first view to its record.
        start: CPU time of Python, imports and loading the model, once a worker.
    """

    generate: float = 0.0
    rasterize: float = 0.0
    annotate: float = 0.0
    store: float = 0.0
    other: float = 0.0
    wait: float = 0.0
    wall: float = 0.0
    start: float = 0.0

    def __add__(self, more: Timing) -> Timing:
        names = [f.name for f in dataclasses.fields(self)]
        return Timing(**{name: getattr(self, name) + getattr(more, name) for name in names})

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the CPU time that this thread takes within the block to ``stage``."""
        began = time.thread_time()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.thread_time() - began)

    @property
    def work(self) -> float:
        """CPU time of all stages, without the start."""
        return self.generate + self.rasterize + self.annotate + self.store + self.other

    @property
    def drawing_share(self) -> float:
        """Share of generator and rasteriser in all that a worker does or waits for after its start."""
        spent = self.work + self.wait
        return (self.generate + self.rasterize) / spent if spent else 0.0
