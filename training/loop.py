"""The training loop: steps, and at every tick a log line, a sample grid, the state, and now and then a measurement."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import credits_in
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.devices import same_shapes
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.images import save_png, to_uint8
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.pose_prior import describe_poses
from hgs_toolkit.training.continuing import Changes, DatasetIdentity
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fitting import check_data, describe_classes
from hgs_toolkit.training.grids import real_grid, sample_grid, turntable
from hgs_toolkit.training.inputs.prefetching import DeviceImages, Prefetcher
from hgs_toolkit.training.networks import Networks
from hgs_toolkit.training.reports.loggers import TickLogger, TickRecord, open_loggers, require_loggers
from hgs_toolkit.training.reports.page import write_report
from hgs_toolkit.training.state import RunFolder
from hgs_toolkit.training.stopping import StopRule
from hgs_toolkit.training.ticks import TickMetric
from hgs_toolkit.training.trainer import Trainer

logger = logging.getLogger(__name__)

GPU_SECONDS = {"tick": 30.0, "metric": 120.0}
"""Shortest seconds between two ticks and two measurements on a GPU, which makes many kimg in a minute."""


@dataclass(frozen=True)
class RunProgress:
    """The state of a run after a step, for the display.

    Attributes:
        step, kimg: done so far; ``total_kimg`` is the goal.
        images_per_second: over the last steps, of all processes.
        seconds_left: until the goal or the time limit, whichever comes first.
        stats: the step's losses, gradient norms and logits.
        tick: the log line, when the step ended a tick.
        stage: which stage of a plan this is; empty for a run of its own.
        plan_seconds_left: until the end of the plan's last stage, estimated; None for a run of its own.
    """

    step: int
    kimg: float
    total_kimg: float
    images_per_second: float
    seconds_left: float
    stats: dict[str, float]
    tick: dict[str, Any] | None = None
    stage: str = ""
    plan_seconds_left: float | None = None


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
    state.pt; the last two are written at every tick and at the end, whatever ends the run. ``best.safetensors`` is the
    average with the lowest KID so far, ``snapshots/`` holds averages at ``training.snapshot_kimg``.

    Args:
        start: weights that a new run begins with, in place of random ones.
        resume: continue the run in ``out`` (``start`` then plays no part any more).
        minutes: wall-clock limit of this call, measurements and saving included, but for its first step; None for none.
        report: called after every step on the main process.
        should_stop: asked after every step; a true answer ends the run with its state saved.

    Raises:
        ConfigError: if data and configuration do not fit, or the time limit is not above 0.
        DataError: naming the image that is missing or broken, when a step needs it; the state is saved before.
        CheckpointError: if a resumed run's state is broken or of another configuration or dataset, or if ``start`` does
            not fit.
        HgsError: if the folder holds a run already or cannot be written.
    """
    world = world or World()
    stop = StopRule(should_stop, minutes)
    check_data(config, data)
    require_loggers(config.training.loggers)
    run, trainer, identity = RunFolder(out), Trainer(config, world), DatasetIdentity.of(data)
    learned_before = run.credits if resume else start.credits if start is not None else ()
    run.works = (*credits_in(data.facts), *learned_before)
    changes: Changes = {}
    if start is not None and not resume:
        trainer.load_networks(start)
    if world.is_main:
        if resume:
            changes = run.restore(trainer, identity)
        run.start(config, resume=resume)
        if trainer.step == 0:
            save_png(run.samples / "real.png", real_grid(data, config))
    world.barrier()
    if resume and not world.is_main:
        run.restore(trainer, identity)
    with same_shapes(world.device):
        _Loop(trainer, data, identity, run, stop, report).run_to_the_end(changes)
    return run


class _Loop:
    """The steps of one call of :func:`train`, and what happens at its ticks."""

    def __init__(
        self, trainer: Trainer, data: PosedImages, identity: DatasetIdentity, run: RunFolder, stop: StopRule,
        report: Callable[[RunProgress], None] | None,
    ) -> None:  # fmt: skip
        self.trainer, self.data, self.identity, self.run, self.stop, self.report = (
            trainer, data, identity, run, stop, report,
        )  # fmt: skip
        self.config, self.world = trainer.config, trainer.world
        self.metric = TickMetric.for_run(self.config, data, self.world.device) if self.world.is_main else None
        self.loggers: list[TickLogger] = []
        if self.world.is_main:
            self.loggers = open_loggers(self.config.training.loggers, run.path, self.config)
        self.pace = _Pace()
        self.reserve = 0.0
        """Seconds that the last tick of a run with a time limit is expected to take."""
        self.last = dict.fromkeys(("tick", "metric"), time.monotonic())
        """When the last tick and the last measurement were made."""
        self.metric_is_due = False
        """Whether the next tick measures."""

    def run_to_the_end(self, changes: Changes) -> None:
        """Step until the goal, the limit or a request; the tick that ends it is written in any case."""
        try:
            self._run(changes)
        finally:
            for logger_of_ticks in self.loggers:
                logger_of_ticks.close()

    def _run(self, changes: Changes) -> None:
        total, seconds = self.config.training.kimg, 0.0
        images_on_device = DeviceImages.if_they_fit(self.data, self.world.device)
        with Prefetcher(self.data, self.config, self.trainer.step, self.world, images_on_device) as prefetcher:
            while self.trainer.kimg < total:
                started = time.monotonic()
                try:
                    images = prefetcher.take(self.trainer.step)
                except DataError:
                    self._end_after_a_broken_image()
                    raise
                stats = self.trainer.train_step(self.data, images)
                seconds = time.monotonic() - started
                self.pace.add(stats, self.config.training.batch, seconds)
                if self.metric is not None and self.stop.minutes is not None and not self.reserve:
                    self.reserve = _with_margin(self.metric.estimate(self.trainer.ema, self.stop), seconds)
                self.metric_is_due |= self._is_due("metric", self.config.training.metric_kimg)
                ends = self.world.any(self.stop.is_due(self.reserve + seconds)) or self.trainer.kimg >= total
                tick = None
                if ends or self._is_due("tick", self.config.training.tick_kimg):
                    tick = self._tick(changes, final=ends) if self.world.is_main else None
                    changes, self.pace, self.last["tick"] = {}, _Pace(self.pace.started), time.monotonic()
                    self.world.barrier()
                if self.world.is_main and self.report is not None:
                    self.report(_progress(self.trainer, stats, self.pace, self.stop, tick))
                if ends:
                    break

    def _is_due(self, event: str, interval: float | None) -> bool:
        """Whether the last step passed a multiple of ``interval`` kimg, long enough after the last such event."""
        if not _crosses(self.trainer, interval):
            return False
        shortest = getattr(self.config.training, f"{event}_seconds")
        if shortest is None:
            shortest = GPU_SECONDS[event] if self.world.device.type == "cuda" else 0.0
        return self.world.any(self.world.is_main and time.monotonic() - self.last[event] >= shortest)

    def _end_after_a_broken_image(self) -> None:
        """Save the state, so that the steps since the last tick are not lost."""
        if self.world.is_main and self.trainer.step and self.world.size == 1:
            self.run.save(self.trainer, self.identity)

    def _tick(self, changes: Changes, *, final: bool) -> dict[str, Any]:
        """Write log line, grid, state, and now and then a measurement and a snapshot; return the line."""
        trainer, training, started = self.trainer, self.config.training, time.monotonic()
        line: dict[str, Any] = {
            "step": trainer.step,
            "kimg": round(trainer.kimg, 4),
            "seconds": round(time.monotonic() - self.pace.started, 2),
            "images_per_second": round(self.pace.images_per_second, 3),
            "blur_sigma": round(trainer.blur_sigma, 4),
            "augment": round(trainer.augmentation.strength, 4),
            "rate": round(trainer.rate_factor, 4),
            **{name: round(value, 6) for name, value in self.pace.means().items()},
        }
        if changes:
            line["changed"] = {key: list(values) for key, values in changes.items()}
        samples = sample_grid(trainer.ema, trainer.config)
        save_png(self.run.samples / f"kimg-{trainer.kimg:09.3f}.png", samples)
        writing = time.monotonic() - started
        model = trainer.ema
        if final or self.metric_is_due:
            line |= self._measure(final=final)
            if final and trainer.averages and trainer.kimg >= training.kimg:
                model = self._best_average(line)
            self.metric_is_due, self.last["metric"] = False, time.monotonic()
        started = time.monotonic()
        self.run.append_log(line)
        self.run.save(trainer, self.identity, model)
        self._show(line, samples)
        if training.snapshot_kimg and (final or _crosses(trainer, training.snapshot_kimg)):
            self.run.save_snapshot(trainer)
        measuring = self.metric.estimate(trainer.ema, self.stop) if self.metric and self.reserve else 0.0
        self.reserve = _with_margin(measuring, writing + time.monotonic() - started)
        return line

    def _best_average(self, line: dict[str, Any]) -> Generator:
        """The average with the lowest KID of the run's end, which the line gets; the usual one if none is measured."""
        best = self.trainer.ema
        name = next((measured["name"] for measured in line.get("measurements", ())), None)
        if self.metric is None or name is None:
            return best
        lowest, found = line[name], dict[str, float]()
        for half_life, average in zip(self.config.training.ema_choices, self.trainer.averages, strict=True):
            value = self.metric.measure(average, self.stop).get(name)
            if value is None:  # no time is left
                break
            found[f"{half_life:g}"] = value
            if value < lowest:
                best, lowest = average, value
                self.run.keep_if_best(self.trainer, name, value, average)
        line["averages"] = found
        logger.info("%s of the averages of other half-lives (kimg): %s; the usual one has %s", name, found, line[name])
        return best

    def _show(self, line: dict[str, Any], samples: Tensor) -> None:
        """Refresh report.html and tell the loggers."""
        write_report(self.run, self._facts, to_uint8(turntable(self.trainer.ema, self.config)))
        if self.loggers:
            scalars = {name: float(value) for name, value in line.items() if isinstance(value, int | float)}
            weights = {
                f"weights/{name}": parameter.detach().float().flatten().cpu().numpy()
                for name, parameter in self.trainer.ema.named_parameters()
                if parameter.ndim > 1
            }
            record = TickRecord(self.trainer.step, self.trainer.kimg, scalars, to_uint8(samples), weights)
            for logger_of_ticks in self.loggers:
                logger_of_ticks.write(record)

    @property
    def _facts(self) -> dict[str, object]:
        """What the report says of the dataset."""
        return {
            "set": self.identity.name, "images": self.identity.images, "digest": self.identity.digest[:16],
            "pixels": f"{self.data.stored_resolution} (trained at {self.data.resolution})",
            "alpha": "yes" if self.data.has_alpha else "no",
            "poses": describe_poses(self.config.generator.poses),
            "classes": describe_classes(self.config.generator.classes),
        }  # fmt: skip

    def _measure(self, *, final: bool) -> dict[str, Any]:
        """Entries of the log line; the model is kept if none was better. Nothing where no time is left for it."""
        if self.metric is None or self.stop.asked():
            return {}
        needed = self.metric.seconds
        if self.stop.minutes is not None and (needed > self.stop.seconds_left or (final and not self.reserve)):
            logger.info("no time is left for a measurement of about %.0f s", needed)
            return {}
        found = self.metric.measure(self.trainer.ema, self.stop)
        for measured in found.get("measurements", ()):
            self.run.keep_if_best(self.trainer, measured["name"], measured["value"])
        return found


def _with_margin(measuring: float, writing: float) -> float:
    """Seconds to keep for the last tick, given what measuring and writing took before: other programs may run, too."""
    return 1.25 * measuring + 2 * writing if measuring else writing


def _crosses(trainer: Trainer, interval: float | None) -> bool:
    """Whether the last step passed a multiple of ``interval`` kimg."""
    if not interval:
        return False
    before = trainer.kimg - trainer.config.training.batch / 1000
    return int(trainer.kimg / interval + 1e-9) > int(before / interval + 1e-9)


def _progress(
    trainer: Trainer, stats: dict[str, float], pace: _Pace, stop: StopRule, tick: dict[str, Any] | None
) -> RunProgress:
    total = trainer.config.training.kimg
    rate = tick["images_per_second"] if tick else pace.images_per_second
    by_images = (total - trainer.kimg) * 1000 / max(rate, 1e-9)
    left = max(0.0, min(by_images, stop.seconds_left))
    return RunProgress(trainer.step, trainer.kimg, total, rate, left, stats, tick)
