"""``hgs train``: train on a set by a plan, a preset or a file, with live figures and exact resuming."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from hgs_toolkit.cli.console import Device, JsonProgress, Reporter, reporting
from hgs_toolkit.cli.presets import print_presets, print_settings
from hgs_toolkit.cli.processes import as_one_of_several, is_launched, run_processes, words_of
from hgs_toolkit.cli.sources import check_data
from hgs_toolkit.cli.train_plan import Wishes
from hgs_toolkit.cli.train_stages import choose_stages, run_stages
from hgs_toolkit.cli.training_display import display, stop_flag
from hgs_toolkit.cli.usage import torchrun_rank
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.training.planning import SIZES

if TYPE_CHECKING:
    from hgs_toolkit.config import Config
    from hgs_toolkit.training.networks import Networks


def train(
    context: typer.Context,
    data: Annotated[
        Path, typer.Option("--data", help="A set in the EG3D layout, or a folder or archive of meshes or photographs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder for the model, the state, the log and samples.")],
    preset: Annotated[
        str | None, typer.Option("--preset", help="Name of a preset, see --list; without one, a plan is made.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file of the configuration, in place of a preset.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting, such as training.batch=8; see --settings.")
    ] = None,
    kimg: Annotated[
        float | None, typer.Option("--kimg", help="Length of the run, thousands of real images shown.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Time limit in minutes; measurements and saving fit in it.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Pixels of a plan's last stage; by default the plan chooses.")
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Write OUT/plan.yaml, to be edited, and stop; --resume starts it.")
    ] = False,
    snapshot: Annotated[
        float | None,
        typer.Option("--snap", help="Interval in kimg at which the model is kept in OUT/snapshots.", min=0),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
    init: Annotated[
        Path | None,
        typer.Option("--init", help="Weights to start from: a file of 'hgs runs pack', a run folder or a model."),
    ] = None,
    grow: Annotated[
        Path | None,
        typer.Option(
            "--grow",
            help="Start from fewer levels or pixels, or narrower levels: a run folder or a file of 'hgs runs pack'.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of everything that is random; by default the preset's.")
    ] = None,
    list_settings: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--settings",
            is_eager=True,
            callback=print_settings,
            help="List every setting of --set and stop.",
            show_default=False,
        ),
    ] = False,
    list_presets: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--list", is_eager=True, callback=print_presets, help="List the presets and stop.", show_default=False
        ),
    ] = False,
    device: Device = "auto",
    backend: Annotated[
        Literal["auto", "torch"],
        typer.Option("--backend", help="Rasteriser: auto, or torch, the slow reference for a GPU where gsplat fails."),
    ] = "auto",
    processes: Annotated[
        int, typer.Option("--processes", help="Processes on this machine that train together: one for each GPU.", min=1)
    ] = 1,
    json_progress: JsonProgress = False,
) -> None:
    """Train a hierarchical Gaussian GAN on posed images; Ctrl-C stops it with its state saved."""
    started = time.monotonic()
    with reporting(json_progress, quiet=torchrun_rank() > 0 and not is_launched()) as report, as_one_of_several():
        _refuse_contradictions(preset, config, resume, init, grow)
        makes_plan = not (preset or config or init or grow) and not (resume and _has_run(out))
        if (resolution or plan_only) and not makes_plan:
            raise typer.BadParameter("a plan is made without a preset", param_hint="--resolution / --plan-only")
        _refuse_numbers(resolution, minutes)
        _check_input(data, preset, out, resume)
        if processes > 1:
            raise typer.Exit(_train_together(context, processes))
        if torchrun_rank() == 0:
            report.claim(out)
        wishes = {"kimg": kimg, "seed": seed, "snapshot_kimg": snapshot}
        given = [f"training.{key}={value}" for key, value in wishes.items() if value is not None]
        by_hand = _set_by_hand(settings or [], config)
        if not (init or grow):
            stages = choose_stages(preset, config, out, resume, (settings or []) + given)
            if stages or makes_plan:
                kept = [] if snapshot is None else [f"training.snapshot_kimg={snapshot}"]
                asked = Wishes((*(settings or []), *kept), resolution, kimg, minutes, seed or 0, started)
                run_stages(report, stages, data, out, device, backend, resume, asked, by_hand, plan_only)
                return
        start = _read_start(init, report)
        chosen = _configuration(preset, config, out, resume, start, (settings or []) + given)
        if grow is not None:
            start = _grown(grow, chosen, by_hand)
            chosen = start.config
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.datasets.eg3d import open_dataset
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.rendering import using_backend
        from hgs_toolkit.training.distributed import world_from_environment
        from hgs_toolkit.training.fitting import POSES, as_begun, fitted
        from hgs_toolkit.training.loop import train as run_training
        from hgs_toolkit.training.state import RunFolder

        with (
            using_backend(backend),
            world_from_environment(choose_device(device)) as world,
            stop_flag(report) as should_stop,
        ):
            compile_kernels(report, world.device)  # the other processes wait for the one that compiles
            world.barrier()
            memory = int(chosen.training.memory_gib * 2**30)
            images = open_dataset(data, chosen.generator.resolution, memory, disk_cache=True)
            if not resume:
                by_hand = {*by_hand, POSES} if grow else by_hand
                chosen = fitted(chosen, images, by_hand, classes=start is None)
            elif preset or config:
                chosen = as_begun(RunFolder(out), chosen, by_hand, changed=_set_by_hand(settings or [], None))
            with display(report, chosen.name) as show:
                run = run_training(
                    chosen, images, out, start=start, resume=resume, minutes=minutes, world=world, report=show,
                    should_stop=should_stop,
                )  # fmt: skip
            if world.is_main:
                report.file(run.model_file)


def _train_together(context: typer.Context, processes: int) -> int:
    """Run this command in several processes; returns its exit code."""
    if "WORLD_SIZE" in os.environ:
        raise typer.BadParameter("torchrun has started the processes already", param_hint="--processes")
    return run_processes(["train", *words_of(context, "processes")], processes)


def _check_input(data: Path, preset: str | None, out: Path, resume: bool) -> None:
    """Refuse what is known to fail before torch is imported."""
    from hgs_toolkit.settings_io import load_preset

    if preset:
        load_preset(preset)
    if not resume and _has_run(out):
        raise ConfigError(f"{out} holds a run already; add --resume to continue it or choose another folder")
    if resume and not (_has_run(out) or (out / "data.json").is_file()):
        raise ConfigError(f"{out} holds no run to resume; expected the folder of an earlier 'hgs train'")
    check_data(data)
    if data.is_dir() and data.resolve() in (out.resolve(), *out.resolve().parents):
        raise ConfigError(
            f"--out {out} lies in {data}, which is trained on: the run's pictures would become part of it; choose "
            "another folder"
        )


def _has_run(out: Path) -> bool:
    """Whether ``out`` holds a run, or a plan of which nothing was trained yet.

    A run that ended before its first tick has left settings and no weights; it may begin again.
    """
    return any((out / name).is_file() for name in ("plan.yaml", "state.pt", "model.safetensors"))


def _refuse_contradictions(
    preset: str | None, config: Path | None, resume: bool, init: Path | None, grow: Path | None
) -> None:
    if preset and config:
        raise typer.BadParameter("both were given; choose one", param_hint="--preset / --config")
    if resume and init:
        raise typer.BadParameter("a resumed run has its weights; choose one", param_hint="--resume / --init")
    if grow and (resume or init):
        raise typer.BadParameter("a run grows from one beginning; choose one", param_hint="--grow / --resume / --init")
    if grow and not (preset or config):
        raise typer.BadParameter("one of the two is needed to grow", param_hint="--preset / --config")


def _refuse_numbers(resolution: int | None, minutes: float | None) -> None:
    if resolution is not None and resolution not in SIZES:
        sizes = ", ".join(map(str, SIZES))
        raise typer.BadParameter(f"{resolution}; expected one of {sizes}", param_hint="--resolution")
    if minutes is not None and not minutes > 0:
        raise typer.BadParameter(f"{minutes:g}; expected more than 0", param_hint="--minutes")


def _read_start(init: Path | None, report: Reporter) -> Networks | None:
    if init is None:
        return None
    from hgs_toolkit.training.stages.warm_start import read_networks

    networks = read_networks(init)
    if networks.discriminator is None:
        report.note(f"{init} has no discriminator; a new one starts beside the trained generator", "warning")
    return networks


def _grown(run: Path, config: Config, by_hand: set[str]) -> Networks:
    """The networks of a grown run, with the configuration that it has."""
    from hgs_toolkit.training.stages.growing import grow, grown_config
    from hgs_toolkit.training.stages.warm_start import read_networks

    smaller = read_networks(run)
    return grow(smaller, grown_config(smaller.config, config, by_hand))


def _set_by_hand(settings: list[str], config: Path | None) -> set[str]:
    """Dotted keys that --set or the file itself gives, whatever preset they stand upon."""
    from hgs_toolkit.settings_io import flatten_keys, read_yaml

    keys = {setting.partition("=")[0] for setting in settings}
    return keys | (flatten_keys(read_yaml(config)).keys() if config is not None else set())


def _configuration(
    preset: str | None, config: Path | None, out: Path, resume: bool, start: Networks | None, settings: list[str]
) -> Config:
    """The configuration the flags describe; a resumed run without preset or file uses its own.

    With weights to start from, the networks' settings are theirs, and a preset or file gives the training alone.
    """
    from hgs_toolkit.settings_io import load_config, load_preset, with_settings
    from hgs_toolkit.training.stages.warm_start import starting_config
    from hgs_toolkit.training.state import RunFolder

    if resume and not (preset or config):
        config = RunFolder(out).config_file
    if start is None:
        return load_preset(preset, settings) if preset else load_config(cast(Path, config), settings)
    recipe = load_preset(preset) if preset else load_config(config) if config else None
    return with_settings(starting_config(start, recipe), settings)
