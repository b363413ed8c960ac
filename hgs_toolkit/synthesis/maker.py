"""Making one shard: a thread draws scenes while another encodes and stores the views drawn before.

The two meet in a short queue, so that memory stays flat however long the shard is.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.errors import CheckpointError, ShapeError
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.memory import keep_freed_blocks
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.precision import autocast_dtype
from hgs_toolkit.sampling import sample_w, scenes_at_once
from hgs_toolkit.synthesis.annotations import DrawnView, annotate, rows
from hgs_toolkit.synthesis.background_images import BackgroundImages
from hgs_toolkit.synthesis.containers import create, measure
from hgs_toolkit.synthesis.drawing import Layer, Layers, draw_layers, views_within
from hgs_toolkit.synthesis.formats.base import ShardWriter
from hgs_toolkit.synthesis.layout import Layout, Record
from hgs_toolkit.synthesis.plan import SynthPlan
from hgs_toolkit.synthesis.timing import Timing
from hgs_toolkit.synthesis.views import PlannedView

QUEUE = 16
"""Number of views that may be drawn but not stored yet."""

QUEUE_BYTES = 1 << 26
"""Bytes of those views, at most, unless one view alone has more."""

OnDrawn = Callable[[int], None]
"""Called with the number of views drawn since the last call."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to know, wherever it runs; small, and pickles.

    Attributes:
        folder: of the dataset.
        plan: of the dataset.
        model: file of the model.
        background_images: folder of the background ``pictures``.
        device: ``cpu`` or ``cuda``.
    """

    folder: Path
    plan: SynthPlan
    model: Path
    background_images: Path | None
    device: str


class ShardMaker:
    """Makes shards of one dataset, one after the other.

    Raises:
        HgsError: if the model cannot be loaded, or is another than the plan's.
    """

    def __init__(self, job: Job) -> None:
        self.layout = Layout(job.folder, job.plan)
        self._plan, self._device = job.plan, torch.device(job.device)
        self._backgrounds = BackgroundImages(job.background_images) if job.background_images is not None else None
        keep_freed_blocks()
        self._model = for_inference(load_model(job.model, self._device))
        if self._model.fingerprint != job.plan.model_sha256:
            raise CheckpointError(
                f"{job.model} is not the model this dataset was begun with: its SHA-256 is "
                f"{self._model.fingerprint[:12]}..., the plan's {job.plan.model_sha256[:12]}...; bring that model back"
            )
        self._wanted = _wanted_layers(job.plan)

    def make(self, shard: int, on_drawn: OnDrawn | None = None) -> tuple[Record, Timing]:
        """Write shard number ``shard`` and its record.

        Raises:
            HgsError: if a file cannot be written or a background image is broken; no part of the shard remains.
        """
        began, timing = time.monotonic(), Timing()
        path, images = self.layout.shard(shard), 0
        with create(path) as put, timing.measure("other"):
            writer = self.layout.format.writer(self._plan, put)
            with _Finisher(self._plan, writer, self._backgrounds) as finisher:
                for scenes in self._groups(shard):
                    timing.wait += self._draw_scenes(scenes, finisher, timing)
                    count = sum(len(views) for views in scenes)
                    images += count
                    if on_drawn is not None:
                        on_drawn(count)
            closing = time.thread_time()
        size, digest = measure(path)
        record = Record(shard, self._plan.digest, images, size, digest, self._precision())
        self.layout.write_record(record)
        timing.other -= timing.generate + timing.rasterize
        timing = timing + finisher.timing
        timing.store += time.thread_time() - closing
        timing.wall = time.monotonic() - began
        return record, timing

    def _precision(self) -> str:
        """The type in which this machine multiplies features, which decides a scene's last bits."""
        dtype = autocast_dtype(self._model.config.precision, self._device)
        return str(dtype or torch.float32).removeprefix("torch.")

    def _groups(self, shard: int) -> Iterator[list[list[PlannedView]]]:
        """A shard's views by scene, as many scenes together as are made in a pass."""
        scenes = self._plan.views(shard)
        while group := list(islice(scenes, scenes_at_once(self._model.config))):
            yield group

    def _draw_scenes(self, scenes: list[list[PlannedView]], finisher: _Finisher, timing: Timing) -> float:
        """Hand over every view of some scenes; returns the seconds it had to wait."""
        with timing.measure("generate"), torch.no_grad():
            psi, seeds = self._plan.settings.psi, [views[0].seed for views in scenes]
            classes = [self._plan.class_of(seed) for seed in seeds]
            ws = sample_w(self._model, seeds, psi, classes=classes if all(classes) else None)
        latents: list[Layer] = list(ws.cpu().numpy())
        rows = [row for row, views in enumerate(scenes) for _ in views]
        drawings = self._draw(scenes, ws, timing)
        waited = 0.0
        for row, view, layers in zip(rows, chain.from_iterable(scenes), drawings, strict=True):
            waited += finisher.hand_over(view, layers, latents[row])
        return waited

    def _draw(self, scenes: list[list[PlannedView]], ws: Tensor, timing: Timing) -> Iterator[Layers]:
        """The layers of every view; a model with view-dependent colour paints the scene anew for each."""
        if self._model.config.view_dependent_color:
            ws = ws.repeat_interleave(torch.tensor([len(views) for views in scenes], device=ws.device), dim=0)
            scenes = [[view] for views in scenes for view in views]
        count = scenes_at_once(self._model.config)
        for start in range(0, len(scenes), count):
            part = scenes[start : start + count]
            cameras = Cameras.from_labels(torch.from_numpy(np.stack([view.label for views in part for view in views])))
            with timing.measure("generate"):
                made = self._generate(part, ws[start : start + count], cameras)
            drawings = draw_layers(made, cameras, self._plan.settings.size, self._wanted)
            for _ in range(len(cameras)):
                with timing.measure("rasterize"), torch.no_grad():
                    layers = next(drawings)
                yield layers

    @torch.no_grad()
    def _generate(self, scenes: list[list[PlannedView]], ws: Tensor, cameras: Cameras) -> GaussianHierarchy:
        """Scenes as painted for the first of the ``cameras`` of each (which only some models tell from others)."""
        background = self._plan.background == "model"
        directions = cameras.forward[:: len(scenes[0])].to(self._device)
        try:
            made = self._model.synthesize(ws, directions, background)
        except ShapeError as error:
            if len(scenes) > 1:  # the one that cannot be drawn is named
                for row, views in enumerate(scenes):
                    self._generate([views], ws[row : row + 1], cameras[row * len(views) :])
            raise ShapeError(f"the scene of seed {scenes[0][0].seed} cannot be drawn: {error}") from error
        return widen(made, footprint(self._model.config, self._plan.settings.size))


def _wanted_layers(plan: SynthPlan) -> set[str]:
    """Layers beyond colour and alpha that the annotations need."""
    wanted = {layer for row in rows(plan.settings.annotations) for layer in row.layers}
    if plan.background == "model":  # only the levels' shares tell the subject from what is behind it
        wanted.add("level")
    return wanted


class _Finisher:
    """The second thread: turns layers into files and stores them, in the order of their drawing."""

    def __init__(self, plan: SynthPlan, writer: ShardWriter, backgrounds: BackgroundImages | None) -> None:
        self.timing = Timing()
        self._plan, self._writer, self._backgrounds = plan, writer, backgrounds
        room = min(QUEUE, views_within(QUEUE_BYTES, plan.settings.size))
        self._queue: queue.Queue[tuple[PlannedView, Layers, Layer] | None] = queue.Queue(room)
        self._error: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="hgs-finisher", daemon=True)

    def hand_over(self, view: PlannedView, layers: Layers, latent: Layer) -> float:
        """Queue a view; returns the seconds it had to wait for room. Raises what went wrong in the thread."""
        began = time.monotonic()
        self._queue.put((view, layers, latent))
        if self._error is not None:
            raise self._error
        return time.monotonic() - began

    def __enter__(self) -> _Finisher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        began = time.thread_time()
        try:
            while (item := self._next()) is not None:
                with self.timing.measure("annotate"):
                    view = annotate(DrawnView(self._plan, *item, self._backgrounds))
                with self.timing.measure("store"):
                    self._writer.add(view)
            with self.timing.measure("store"):
                self._writer.finish()
        except BaseException as error:
            self._error = error
            while not self._ended:  # let the first thread go on until it notices
                self._next()
        self.timing.other = time.thread_time() - began - self.timing.annotate - self.timing.store

    def _next(self) -> tuple[PlannedView, Layers, Layer] | None:
        item = self._queue.get()
        self._ended = item is None
        return item


def make_ready(job: Job) -> ShardMaker:
    """A maker in a process of its own, with one thread, since the processes fill the cores."""
    torch.set_num_threads(1)
    return ShardMaker(job)
