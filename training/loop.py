"""The training loop: steps, and at every tick a log line, a sample grid, the state, and now and then a measurement."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.imaging.images import save_png
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.grids import real_grid, sample_grid
from hgs_toolkit.training.networks import Networks
from hgs_toolkit.training.state import RunFolder
from hgs_toolkit.training.ticks import TickMetric
from hgs_toolkit.training.trainer import Trainer, check_data

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunProgress:
    """The state of a run after a step, for the display.

    Attributes:
        step, kimg: done so far; ``total_kimg`` is the goal.
        images_per_second: over the last steps, of all processes.
        seconds_left: until the goal or the time limit, whichever comes first.
        stats: the step's losses, gradient norms and logits.
        tick: the log line, when the step ended a tick.
    """

    step: int
    kimg: float
    total_kimg: float
    images_per_second: float
    seconds_left: float
    stats: dict[str, float]
    tick: dict[str, Any] | None = None


@dataclass
class _Pace:
    """Images a second over the last steps, and the means of what they reported."""

    started: float = field(default_factory=time.monotonic)
    images: int = 0
    seconds: float = 0.0
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, stats: dict[str, float], images: int, seconds: float) -> None:
        self.images, self.seconds = self.images + images, self.seconds + seconds
        for name, value in stats.items():
            self.values[name].append(value)

    @property
    def images_per_second(self) -> float:
        return self.images / max(self.seconds, 1e-9)

    def means(self) -> dict[str, float]:
        return {name: sum(values) / len(values) for name, values in self.values.items()}


def train(
    config: Config,
    data: PosedImages,
    out: str | Path,
    *,
    start: Networks | None = None,
    resume: bool = False,
    minutes: float | None = None,
    world: World | None = None,
    report: Callable[[RunProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Train ``config`` on ``data`` until ``config.training.kimg``, the time limit, or until asked to stop.

    The run folder ``out`` gets config.yaml, log.jsonl, samples/, model.safetensors (the average, for inference) and
    state.pt; the last two are written at every tick and at the end, whatever ends the run.

    Args:
        start: weights that a new run begins with, in place of random ones.
        resume: continue the run in ``out`` (``start`` then plays no part any more).
        minutes: wall-clock limit of this call; None for none.
        report: called after every step on the main process.
        should_stop: asked after every step; a true answer ends the run with its state saved.

    Raises:
        ConfigError: if data and configuration do not fit.
        CheckpointError: if a resumed run's state is broken or of another configuration, or ``start`` does not fit.
        HgsError: if the folder holds a run already or cannot be written.
    """
    world = world or World()
    check_data(config, data)
    run, trainer = RunFolder(out), Trainer(config, world)
    if start is not None and not resume:
        trainer.load_networks(start)
    if world.is_main:
        if resume:
            run.restore(trainer)
        run.start(config, resume=resume)
        if trainer.step == 0:
            save_png(run.samples / "real.png", real_grid(data, config))
    world.barrier()
    if resume and not world.is_main:
        run.restore(trainer)
    _run(trainer, data, run, minutes, report, should_stop)
    return run


def _run(
    trainer: Trainer,
    data: PosedImages,
    run: RunFolder,
    minutes: float | None,
    report: Callable[[RunProgress], None] | None,
    should_stop: Callable[[], bool],
) -> None:
    config, world = trainer.config, trainer.world
    metric = TickMetric.for_run(config, data) if world.is_main else None
    deadline = time.monotonic() + minutes * 60 if minutes else float("inf")
    pace = _Pace()
    while trainer.kimg < config.training.kimg:
        started = time.monotonic()
        stats = trainer.train_step(data)
        pace.add(stats, config.training.batch, time.monotonic() - started)
        ends = world.any(should_stop() or time.monotonic() >= deadline) or trainer.kimg >= config.training.kimg
        tick = None
        if ends or _crosses(trainer, config.training.tick_kimg):
            tick = _tick(trainer, run, metric, pace, final=ends) if world.is_main else None
            pace = _Pace(pace.started)
            world.barrier()
        if world.is_main and report is not None:
            report(_progress(trainer, stats, pace, deadline, tick))
        if ends:
            break


def _tick(trainer: Trainer, run: RunFolder, metric: TickMetric | None, pace: _Pace, *, final: bool) -> dict[str, Any]:
    """Write log line, grid and state; return the line."""
    line: dict[str, Any] = {
        "step": trainer.step,
        "kimg": round(trainer.kimg, 4),
        "seconds": round(time.monotonic() - pace.started, 2),
        "images_per_second": round(pace.images_per_second, 3),
        "blur_sigma": round(trainer.blur_sigma, 4),
        "augment": round(trainer.augmentation.strength, 4),
        **{name: round(value, 6) for name, value in pace.means().items()},
    }
    if metric is not None and (final or _crosses(trainer, trainer.config.training.metric_kimg)):
        line |= metric.measure(trainer.ema)
    save_png(run.samples / f"kimg-{trainer.kimg:09.3f}.png", sample_grid(trainer.ema, trainer.config))
    run.append_log(line)
    run.save(trainer)
    return line


def _crosses(trainer: Trainer, interval: float | None) -> bool:
    """Whether the last step passed a multiple of ``interval`` kimg."""
    if interval is None:
        return False
    before = trainer.kimg - trainer.config.training.batch / 1000
    return int(trainer.kimg / interval + 1e-9) > int(before / interval + 1e-9)


def _progress(
    trainer: Trainer, stats: dict[str, float], pace: _Pace, deadline: float, tick: dict[str, Any] | None
) -> RunProgress:
    total = trainer.config.training.kimg
    rate = tick["images_per_second"] if tick else pace.images_per_second
    by_images = (total - trainer.kimg) * 1000 / max(rate, 1e-9)
    left = max(0.0, min(by_images, deadline - time.monotonic()))
    return RunProgress(trainer.step, trainer.kimg, total, rate, left, stats, tick)
