"""``hgs train`` in several stages, of a preset or of a plan: they run one after the other, as one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from hgs_toolkit.cli.console import Reporter
from hgs_toolkit.cli.train_plan import LENGTH, Wishes, make_plan, set_of
from hgs_toolkit.cli.training_display import display, stop_flag
from hgs_toolkit.errors import ConfigError

if TYPE_CHECKING:
    from hgs_toolkit.config import Config
    from hgs_toolkit.datasets.eg3d import PosedImages

Backend = Literal["auto", "torch"]


def choose_stages(
    preset: str | None, config: Path | None, out: Path, resume: bool, settings: list[str]
) -> list[Config]:  # fmt: skip
    """The stages that the flags describe; empty for a run of a single stage, and where a plan is still to be made.

    A resumed plan keeps its own, ``config`` may be the plan.yaml of another run. A length among the settings is that of
    all stages together.
    """
    from hgs_toolkit.training.stages.plan import PlanFolder

    if resume:
        folder = PlanFolder(out)
        if not folder.exists:
            return []
        if settings:
            raise typer.BadParameter(
                f"{out} is a run of several stages, which keeps the settings it began with; leave the others out",
                param_hint="--resume",
            )
        stages = folder.read()
        _refuse_other_plan(out, stages, preset, config)
        return stages
    lengths = [_length(setting) for setting in settings if setting.startswith(LENGTH)]
    others = [setting for setting in settings if not setting.startswith(LENGTH)]
    kimg = lengths[-1] if lengths else None
    return _stages_of(preset, config, others, kimg)


def _stages_of(
    preset: str | None, config: Path | None, settings: list[str] | None = None, kimg: float | None = None
) -> list[Config]:
    """The stages of a preset or of the plan in a file; empty where neither has several."""
    from hgs_toolkit.settings_io import load_stages, stages_of_length
    from hgs_toolkit.training.stages.plan_file import is_plan, read_plan

    if config is not None and is_plan(config):
        return stages_of_length(read_plan(config.read_text(encoding="utf-8")), settings or [], kimg)
    return load_stages(preset, settings, kimg) if preset is not None else []


def _length(setting: str) -> float:
    text = setting.removeprefix(LENGTH)
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{LENGTH}{text}; expected thousands of images, such as {LENGTH}100") from error


def _refuse_other_plan(out: Path, stages: Sequence[Config], preset: str | None, config: Path | None) -> None:
    """Raise a ConfigError if a preset or file beside --resume has other stages than the plan in ``out``."""
    own, asked = ([stage.name for stage in some] for some in (stages, _stages_of(preset, config)))
    if (preset or config) and asked != own:
        raise ConfigError(
            f"{out} is a run of the stages {', '.join(own)}, which {preset or config} does not have; resume it without "
            "--preset and --config"
        )


def run_stages(
    report: Reporter, stages: Sequence[Config], data: Path, out: Path, device: str, backend: Backend, resume: bool,
    wishes: Wishes, by_hand: set[str], plan_only: bool = False,
) -> None:  # fmt: skip
    """Train or resume the plan in ``out``; without ``stages`` it is made first."""
    from hgs_toolkit.cli.kernels import compile_kernels
    from hgs_toolkit.datasets.eg3d import open_dataset
    from hgs_toolkit.devices import choose_device
    from hgs_toolkit.rendering import using_backend
    from hgs_toolkit.training.distributed import world_from_environment
    from hgs_toolkit.training.stages.plan import PlanFolder, train_plan

    with (
        using_backend(backend),
        world_from_environment(choose_device(device)) as world,
        stop_flag(report) as should_stop,
    ):
        compile_kernels(report, world.device)  # the other processes wait for the one that compiles
        world.barrier()
        path = set_of(report, data, out, stages[-1].generator.resolution if stages else wishes.resolution, world)
        if not stages:
            stages, resume = make_plan(report, path, out, wishes, world), True
        if plan_only:
            report.file(PlanFolder(out).plan_file)
            return
        memory = int(stages[-1].training.memory_gib * 2**30)

        def open_images(resolution: int) -> PosedImages:
            return open_dataset(path, resolution, memory, disk_cache=True)

        with display(report, out.name) as show:
            newest = train_plan(
                stages, open_images, out, resume=resume, explicit=by_hand, minutes=wishes.minutes_left, world=world,
                report=show, should_stop=should_stop,
            )  # fmt: skip
        if world.is_main and newest.model_file.is_file():
            report.file(newest.model_file)
