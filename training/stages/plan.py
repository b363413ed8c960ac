"""A plan: several stages of training, each grown from the one before, run and resumed as one.

The plan's folder holds ``plan.yaml`` with the settings of all stages (:mod:`.plan_file`), a run folder for each in
``stages/``, and the newest model with its settings at the top, so that every command takes it as it takes a run folder.
A stage that is complete is never touched again; one that was interrupted goes on exactly; the next one starts from the
last state of the one before. Nothing else has to be remembered, so a plan may be stopped anywhere.
"""

from __future__ import annotations

import filecmp
import json
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import CheckpointError, ConfigError, HgsError
from hgs_toolkit.files import make_folder, write_bytes
from hgs_toolkit.model_files import STAGES
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_to_dict, flatten_keys, load_config
from hgs_toolkit.training.continuing import DatasetIdentity, refuse_other_data
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fitting import POSES, check_batch, check_data, fitted
from hgs_toolkit.training.loop import RunProgress, train
from hgs_toolkit.training.networks import Networks
from hgs_toolkit.training.reports.loggers import require_loggers
from hgs_toolkit.training.reports.page import REPORT_FILE
from hgs_toolkit.training.stages.cost import image_cost
from hgs_toolkit.training.stages.growing import TASK, grow, grown_config
from hgs_toolkit.training.stages.plan_file import Choice, read_plan, refuse_one_name, write_plan
from hgs_toolkit.training.stages.warm_start import read_networks, starting_config
from hgs_toolkit.training.state import RunFolder, read_state

logger = logging.getLogger(__name__)

PLAN_FILE = "plan.yaml"

OpenImages = Callable[[int], PosedImages]
"""From a resolution to the dataset at that resolution."""

Report = Callable[[RunProgress], None]


class PlanFolder:
    """The files of a plan below ``path``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.plan_file = self.path / PLAN_FILE
        self.newest = RunFolder(self.path)
        """The newest model and its settings; there is no state and no log at the top."""

    @property
    def exists(self) -> bool:
        """Whether there is a plan to resume."""
        return self.plan_file.is_file()

    def start(self, stages: Sequence[Config], choices: Sequence[Choice] = ()) -> None:
        """Write the settings of all stages, and the reasons for them.

        Raises:
            HgsError: as for :meth:`refuse_start`.
        """
        self.refuse_start(stages)
        make_folder(self.path)
        write_bytes(self.plan_file, write_plan(stages, choices).encode())

    def refuse_start(self, stages: Sequence[Config]) -> None:
        """Raise an HgsError if the folder holds a plan or a run already, a ConfigError if two stages have one name."""
        if self.exists or self.newest.state_file.exists():
            raise HgsError(f"{self.path} holds a run already; add --resume to continue it or choose another folder")
        refuse_one_name(stages)

    def read(self) -> list[Config]:
        """The settings of all stages.

        Raises:
            CheckpointError: if the file is missing or no plan.
        """
        try:
            return read_plan(self.plan_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            raise CheckpointError(f"{self.plan_file} is not the plan of a run: {error}") from error

    def stage(self, number: int, config: Config) -> RunFolder:
        """The run folder of stage ``number``, counted from 0."""
        return RunFolder(self.path / STAGES / f"{number + 1}-{config.name}")

    def publish(self, run: RunFolder) -> None:
        """Put the model of a stage, its settings and its report at the top."""
        write_bytes(self.newest.model_file, run.model_file.read_bytes())
        report = run.path / REPORT_FILE
        if report.is_file():
            write_bytes(self.path / REPORT_FILE, report.read_bytes())
        write_bytes(self.newest.config_file, run.config_file.read_bytes())

    def publish_newest(self, runs: Sequence[RunFolder]) -> None:
        """Publish the last of ``runs`` that has a model, where a kill kept its last tick from doing so."""
        trained = [run for run in runs if run.model_file.is_file()]
        top = self.newest.model_file
        if trained and not (top.is_file() and filecmp.cmp(trained[-1].model_file, top, shallow=False)):
            self.publish(trained[-1])


@dataclass
class _Clock:
    """What the stages after a running one will take, by its own pace and by what an image costs there."""

    stages: Sequence[Config]
    costs: Sequence[float]
    seen: Sequence[float]
    """Thousands of images that each stage had seen when the command began."""

    def seconds_left(self, number: int, progress: RunProgress) -> float:
        """Seconds until the plan's end while stage ``number`` is where ``progress`` says."""
        pace = 1 / max(progress.images_per_second, 1e-9)
        images = (progress.total_kimg - progress.kimg) * 1000
        rest = slice(number + 1, None)
        later = [
            max(stage.training.kimg - seen, 0) * 1000 * cost / self.costs[number]
            for stage, cost, seen in zip(self.stages[rest], self.costs[rest], self.seen[rest], strict=True)
        ]
        return max((images + sum(later)) * pace, 0.0)


def train_plan(
    stages: Sequence[Config],
    open_images: OpenImages,
    out: str | Path,
    *,
    resume: bool = False,
    explicit: Collection[str] = (),
    minutes: float | None = None,
    world: World | None = None,
    report: Report | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Train all ``stages``, each starting from the one before, until the last goal, the limit, or a request to stop.

    A stage with more pixels or levels than the one before is grown from it; one with the same goes on with its
    networks and the stage's own training settings. The poses are measured from the dataset once, for all stages.
    Whether the set has the pixels and the images for every stage is seen before the first one.

    Args:
        stages: settings, first to last; for a resumed plan those of its folder (:meth:`PlanFolder.read`).
        open_images: the dataset at a resolution.
        out: the plan's folder.
        resume: go on with the plan in ``out``.
        explicit: dotted keys of settings that were set by hand and win over what is measured or taken over.
        minutes: wall-clock limit of this call.
        report: called after every step on the main process, with the stage and the whole plan's time left.
        should_stop: asked after every step.

    Returns:
        The top of the plan's folder, with the newest model.

    Raises:
        ConfigError, DataError, CheckpointError, HgsError: as for :func:`hgs_toolkit.training.loop.train`.
        MissingExtraError: if any of the stages needs a pretrained network that is not installed; nothing was begun.
    """
    world, folder, started = world or World(), PlanFolder(out), time.monotonic()
    costs = [image_cost(stage) for stage in stages]  # makes all networks, or says what they lack
    runs = [folder.stage(number, stage) for number, stage in enumerate(stages)]
    clock = _Clock(stages, costs, [_kimg_seen(run) for run in runs])
    todo = [number for number, stage in enumerate(stages) if clock.seen[number] < stage.training.kimg]
    if world.is_main and not resume:
        folder.refuse_start(stages)
    opened = open_images(stages[todo[0]].generator.resolution) if todo else None
    if opened is not None:
        _refuse_unfit([stage for stage, seen in zip(stages, clock.seen, strict=True) if not seen], opened)
    if world.is_main and not resume:
        folder.start(stages)
    world.barrier()
    previous, has_run = None, False
    for number, (recipe, run) in enumerate(zip(stages, runs, strict=True)):
        if number in todo:
            left = None if minutes is None else minutes - (time.monotonic() - started) / 60
            if left is not None and left <= 0:
                if has_run:
                    break
                left = minutes  # as for a single run, the limit allows a first step
            if world.any(should_stop()):
                break
            images = open_images(recipe.generator.resolution) if opened is None else opened
            opened = None
            chosen = {*explicit, *_changed_tasks(stages, number)}
            try:
                config, start, goes_on = _beginning(recipe, run, previous, images, chosen)
                check_data(config, images)
            except HgsError:
                if world.is_main and not (resume or has_run):
                    folder.plan_file.unlink(missing_ok=True)  # nothing was trained, and nothing is left
                raise
            if world.is_main and not goes_on:
                logger.info("stage %d of %d: %s", number + 1, len(stages), config.name)
            shown = _reporting(folder, run, number, clock, report) if world.is_main else None
            train(
                config, images, run.path, start=start, resume=goes_on, minutes=left, world=world, report=shown,
                should_stop=should_stop,
            )  # fmt: skip
            has_run = True
            if _kimg_seen(run) < recipe.training.kimg:
                break
        previous = run
    if world.is_main:
        folder.publish_newest(runs)
    return folder.newest


def _refuse_unfit(stages: Sequence[Config], images: PosedImages) -> None:
    """Raise a ConfigError or DataError if a stage could not begin: hours later is too late to say so."""
    for stage in stages:
        images.check_resolution(stage.generator.resolution)
        check_batch(stage, images)
        require_loggers(stage.training.loggers)


def _beginning(
    recipe: Config, run: RunFolder, previous: RunFolder | None, images: PosedImages, explicit: Collection[str]
) -> tuple[Config, Networks | None, bool]:
    """The settings of a stage, what it starts from, and whether it was begun already."""
    if run.state_file.is_file():
        begun = load_config(run.config_file)
        return replace(begun, training=replace(begun.training, kimg=recipe.training.kimg)), None, True
    if previous is None:
        return fitted(recipe, images, {*explicit, *_stated_poses(recipe, explicit)}), None, False
    refuse_other_data(read_state(previous.state_file).get("data"), DatasetIdentity.of(images), previous.path)
    networks = read_networks(previous.path)
    if networks.config.generator.resolution == recipe.generator.resolution:
        return starting_config(networks, recipe), networks, False
    grown = grow(networks, grown_config(networks.config, recipe, explicit))
    return grown.config, grown, False


def _stated_poses(recipe: Config, explicit: Collection[str]) -> set[str]:
    """The key of all poses where a plan states some: they are meant, whether measured for it or edited.

    One that was set by hand beside defaults says nothing of the others.
    """
    poses, default = recipe.generator.poses, PosePrior()
    names = [field.name for field in fields(poses) if getattr(poses, field.name) != getattr(default, field.name)]
    return set() if all(f"{POSES}.{name}" in explicit for name in names) else {POSES}


def _changed_tasks(stages: Sequence[Config], number: int) -> set[str]:
    """Settings of the task in which a stage differs from the one before: they were edited and are not taken over."""
    if number == 0:
        return set()
    before, now = (flatten_keys(config_to_dict(stage)) for stage in stages[number - 1 : number + 1])
    return {key for key in now if now[key] != before.get(key) and key.startswith(TASK)}


def _kimg_seen(run: RunFolder) -> float:
    """Thousands of images that a stage has seen, by the batch that it began with: the plan's may have been edited."""
    if not run.state_file.is_file():
        return 0.0
    state = read_state(run.state_file)
    return int(state["step"]) * int(json.loads(state["config"])["training"]["batch"]) / 1000


def _reporting(folder: PlanFolder, run: RunFolder, number: int, clock: _Clock, report: Report | None) -> Report:
    """Add the plan to what a stage reports, and publish its model at every tick."""
    count = len(clock.stages)

    def shown(progress: RunProgress) -> None:
        if progress.tick is not None:
            folder.publish(run)
        if report is not None:
            stage = f"stage {number + 1} of {count}, {run.path.name.partition('-')[2]}"
            report(replace(progress, stage=stage, plan_seconds_left=clock.seconds_left(number, progress)))

    return shown
