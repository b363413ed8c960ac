"""``hgs train`` with a preset of several stages: the stages run one after the other, as one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hgs_toolkit.cli.console import Reporter
from hgs_toolkit.cli.training_display import display, stop_flag

if TYPE_CHECKING:
    from hgs_toolkit.config import Config
    from hgs_toolkit.datasets.eg3d import PosedImages

LENGTH = "training.kimg="


def choose_stages(preset: str | None, out: Path, resume: bool, settings: list[str]) -> list[Config]:
    """The stages that the flags describe; empty for a run of a single stage.

    A resumed plan keeps its own. A length among the settings is that of all stages together.
    """
    from hgs_toolkit.settings_io import load_stages
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
        return folder.read()
    if preset is None:
        return []
    lengths = [float(setting.removeprefix(LENGTH)) for setting in settings if setting.startswith(LENGTH)]
    others = [setting for setting in settings if not setting.startswith(LENGTH)]
    return load_stages(preset, others, lengths[-1] if lengths else None)


def run_stages(
    report: Reporter, stages: Sequence[Config], data: Path, out: Path, device: str, backend: str, resume: bool,
    minutes: float | None, by_hand: set[str],
) -> None:  # fmt: skip
    """Train or resume the plan in ``out``, drawing with the rasteriser ``backend``."""
    from hgs_toolkit.cli.kernels import compile_kernels
    from hgs_toolkit.datasets.eg3d import open_dataset
    from hgs_toolkit.devices import choose_device
    from hgs_toolkit.rendering import using_backend
    from hgs_toolkit.training.distributed import world_from_environment
    from hgs_toolkit.training.stages.plan import train_plan

    memory = int(stages[-1].training.memory_gib * 2**30)

    def open_images(resolution: int) -> PosedImages:
        return open_dataset(data, resolution, memory, disk_cache=True)

    with (
        using_backend(backend),
        world_from_environment(choose_device(device)) as world,
        stop_flag(report) as should_stop,
    ):
        compile_kernels(report, world.device)  # the other processes wait for the one that compiles
        world.barrier()
        with display(report, out.name) as show:
            newest = train_plan(
                stages, open_images, out, resume=resume, explicit=by_hand, minutes=minutes, world=world, report=show,
                should_stop=should_stop,
            )  # fmt: skip
        if world.is_main and newest.model_file.is_file():
            report.file(newest.model_file)
