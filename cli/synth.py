"""``hgs synth``: datasets of a model's scenes; ``hgs synth merge`` and ``check`` finish and examine them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, format_bytes, reporting
from hgs_toolkit.cli.given import is_given, refuse_given, refuse_no_names
from hgs_toolkit.cli.sources import ModelArgument, Psi, check_class, parse_names
from hgs_toolkit.conventions import DEFAULT_PSI

if TYPE_CHECKING:
    from hgs_toolkit.cli.progress import Task
    from hgs_toolkit.synthesis import Outcome, Part
    from hgs_toolkit.synthesis.engines.schedule import Event
    from hgs_toolkit.synthesis.timing import Timing

USUAL_ANNOTATIONS = "by default what is usual in the format"

MAKE = "make"
"""The command that ``hgs synth`` without another one means."""


class MakeByDefault(TyperGroup):
    """A group whose first word is a command or else the beginning of ``make``'s arguments.

    ``hgs synth runs/x --count 5`` is ``hgs synth make runs/x --count 5``. A model that is called like a command is
    named by its path: ``./merge``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``make`` in front of arguments that name no command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [MAKE, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command; the help of ``--annotations`` lists the table, which is read only where that command is used."""
        command: Any = super().get_command(ctx, cmd_name)
        for option in command.params if command is not None and cmd_name == MAKE else []:
            if option.name == "annotations":
                option.help = f"Some of {', '.join(annotation_names())}, joined by commas; {USUAL_ANNOTATIONS}."
        return command


def annotation_names() -> tuple[str, ...]:
    """Names of the table of annotations."""
    from hgs_toolkit.synthesis.annotations import ANNOTATIONS

    return tuple(ANNOTATIONS)


app = typer.Typer(
    cls=MakeByDefault,
    help="Turn a model into a labelled dataset. 'hgs synth [MODEL] --count N --out DIR' means 'hgs synth make ...'.",
    no_args_is_help=True,
    add_completion=False,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a dataset.", show_default=False)]


FormatName = Literal["folder", "wds", "eg3d", "transforms", "coco"]
CameraPath = Literal["random", "orbit", "ellipse", "sweep", "frontal"]
AngleDistribution = Literal["normal", "uniform"]
Engine = Literal["local", "ray"]


@app.command(MAKE)
def make(
    context: typer.Context,
    model: ModelArgument = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the dataset.")],
    count: Annotated[int, typer.Option("--count", help="Number of scenes (seeds).")] = 1000,
    views: Annotated[int, typer.Option("--views", help="Number of views of each scene.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first scene.")] = 0,
    psi: Psi = DEFAULT_PSI,
    size: Annotated[
        int | None, typer.Option("--size", help="Height and width, pixels; by default the model's resolution.")
    ] = None,
    format_: Annotated[FormatName, typer.Option("--format", help="Layout of the dataset.")] = "folder",
    annotations: Annotated[
        str | None,
        typer.Option(
            "--annotations",
            help=f"Names of annotations, joined by commas; {USUAL_ANNOTATIONS}.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            help="Classes of the scenes, joined by commas, all equally often; by default those of the model, as often "
            "as in its training set. They are in the annotations.",
            show_default=False,
        ),
    ] = None,
    cameras: Annotated[
        CameraPath, typer.Option("--cameras", help="Random poses, or a fixed path around or in front of each scene.")
    ] = "random",
    yaw: Annotated[
        float | None, typer.Option("--yaw", min=0, help="Spread of the cameras' yaw, degrees; by default the model's.")
    ] = None,
    pitch: Annotated[
        float | None,
        typer.Option("--pitch", min=0, help="Spread of the cameras' pitch, degrees; by default the model's."),
    ] = None,
    law: Annotated[
        AngleDistribution | None,
        typer.Option("--law", help="Distribution of both angles; by default the model's."),
    ] = None,
    radius: Annotated[
        float | None, typer.Option("--radius", help="Distance of the cameras; by default the model's.")
    ] = None,
    focal: Annotated[
        float | None, typer.Option("--focal", help="Focal length over image width; by default the model's.")
    ] = None,
    focal_jitter: Annotated[
        float, typer.Option("--focal-jitter", help="Fraction by which the focal length varies, at most.")
    ] = 0.0,
    background: Annotated[
        str,
        typer.Option(
            "--background", help="auto, transparent, random (a colour for each view), a colour, or a folder of images."
        ),
    ] = "auto",
    exposure: Annotated[
        float, typer.Option("--exposure", help="Number of stops by which the exposure varies, at most.")
    ] = 0.0,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file of settings; options of the command line override it.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting, such as cameras.poses.pitch_mean=0.2."),
    ] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="Local processes, or a Ray cluster.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=0,
            help="Number of processes or actors, by default one for every core; 0 works in this process.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Address of a Ray cluster, or auto; by default one starts on this machine."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Make part I (from 0) of N, or all; by default as Slurm or torchrun say."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Make only what is missing.", show_default=False)] = False,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Make a dataset: images with annotations of a model's scenes; the same settings always give the same bytes."""
    with reporting(json_progress) as report:
        chosen = None if annotations is None else parse_names(annotations, annotation_names(), "--annotations")
        from hgs_toolkit.settings_io import merge, read_yaml, with_overrides

        wanted = None if classes is None else [name.strip() for name in classes.split(",") if name.strip()]
        refuse_no_names(annotations=chosen, classes=wanted)
        if engine != "ray":
            refuse_given(context, ["address"], "only --engine ray has an address")
        for name in [None] if wanted is None else wanted:
            check_class(model, name, "--classes")
        typed = {
            "count": count, "views": views, "seed": seed, "psi": psi, "size": size, "format": format_,
            "background": background, "exposure": exposure, "annotations": chosen,
            "classes": wanted,
        }  # fmt: skip
        lens = _given(context, {"path": cameras, "focal_jitter": focal_jitter}, path="cameras")
        values = with_overrides({} if config is None else read_yaml(config), overrides or [])
        values = merge(values, {"cameras": lens} if lens else {})
        declared = values.get("cameras")  # of a file that may hold anything there; what is no mapping is refused below
        path = declared.get("path", "random") if isinstance(declared, dict) else "random"
        if path != "random" and any(option is not None for option in (yaw, pitch, law)):
            raise typer.BadParameter(
                "a fixed path has its own directions; leave these out, or choose --cameras random",
                param_hint="--yaw, --pitch, --law",
            )
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.errors import HgsError
        from hgs_toolkit.synthesis import Workforce, choose_part, pose_values, synthesize_dataset

        values = merge(values, pose_values(yaw=yaw, pitch=pitch, law=law, radius=radius, focal=focal))
        values = merge(values, _given(context, typed, format="format_"))
        part, target = choose_part(shard, os.environ), choose_device(device)
        report.claim(out, f"{part.index}/{part.count}")
        _announce(report, part)
        compile_kernels(report, target)
        with report.progress("synthesising") as task:
            progress = _Progress(report, task)
            workforce = Workforce(engine, workers, address, part, target.type)
            try:
                outcome = synthesize_dataset(
                    out, model, values, workforce=workforce, resume=resume, force=force,
                    begin=progress.begin, listen=progress.listen,
                )  # fmt: skip
            except KeyboardInterrupt:
                raise HgsError(
                    f"stopped; finished shards stay in {out}, and the same command with --resume goes on with them"
                ) from None
        _conclude(report, out, outcome)


@app.command("merge")
def merge_(folder: Folder, json_progress: JsonProgress = False) -> None:
    """Finish a dataset whose shards were made by several runs."""
    with reporting(json_progress) as report:
        from hgs_toolkit.synthesis import merge

        report.claim(folder)
        with report.progress("merging"):
            dataset = merge(folder)
        report.file(dataset)


@app.command()
def check(
    folder: Folder,
    forget_damaged: Annotated[
        bool,
        typer.Option("--forget", help="Forget damaged shards, so that --resume makes them again.", show_default=False),
    ] = False,
    json_progress: JsonProgress = False,
) -> None:
    """Recount, rehash and open everything of a dataset; exit code 1 when something is wrong."""
    with reporting(json_progress) as report:
        from hgs_toolkit.errors import DataError
        from hgs_toolkit.synthesis import check, forget

        with report.progress("checking") as task:
            result = check(folder, lambda done, total: task.update(done, total))
        for problem in result.problems:
            report.note(problem, level="error")
        if result.problems:
            if forget_damaged:
                forget(folder, result)
            advice = "run the command that began it with --resume" if forget_damaged else "see --forget"
            raise DataError(f"{folder} has {len(result.problems)} problems; to have them made again, {advice}")
        report.result(
            f"{result.images} images, {result.files} files, {format_bytes(result.bytes)}: everything as planned",
            images=result.images, files=result.files, bytes=result.bytes,
        )  # fmt: skip


class _Progress:
    """Moves the progress bar by what workers draw; a shard that is begun anew is not counted twice."""

    def __init__(self, report: Reporter, task: Task) -> None:
        self._report, self._task = report, task
        self._finished = 0
        self._under_way: dict[int, int] = {}

    def begin(self, images: int, found: int) -> None:
        """Say how much there is to do."""
        if found:
            self._report.note(f"{found} images are there already, {images} are to be made")
        self._task.update(0, images)

    def listen(self, event: Event) -> None:
        """Follow the workers."""
        from hgs_toolkit.synthesis.engines.schedule import Done, Drawn

        if isinstance(event, Drawn):
            self._under_way[event.worker] = self._under_way.get(event.worker, 0) + event.views
        else:
            self._under_way.pop(event.worker, None)
            self._finished += event.record.images if isinstance(event, Done) else 0
        self._task.update(self._finished + sum(self._under_way.values()))


def _given(context: typer.Context, values: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Those of ``values`` that the user typed; ``parameters`` are names of the command's own, where they differ."""
    return {name: value for name, value in values.items() if is_given(context, parameters.get(name, name))}


def _announce(report: Reporter, part: Part) -> None:
    if part.count > 1:
        source = f", as {part.source} says (--shard all makes everything)" if part.source else ""
        report.note(f"part {part.index} of {part.count}{source}")


def _conclude(report: Reporter, out: Path, outcome: Outcome) -> None:
    """What was made, how long each stage took, and what to do next."""
    if outcome.made:
        rows = stage_rows(outcome.timing)
        cells = [(name, f"{seconds:.2f}", "" if share is None else f"{share:.0%}") for name, seconds, share in rows]
        columns = ["stage", "seconds", "share"]
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        report.table(columns, cells, f"{outcome.made} images", objects)
    if outcome.dataset is None:
        report.note(f"this part is done; when all parts are, run: hgs synth merge {out}")
    else:
        report.file(outcome.dataset)


def stage_rows(timing: Timing) -> list[tuple[str, float, float | None]]:
    """Where the workers' time went: stages, seconds, and the share of each in their sum, 0..1."""
    stages = {
        "generator": timing.generate, "rasteriser": timing.rasterize, "annotating and encoding": timing.annotate,
        "storing": timing.store, "Python and the rest": timing.other, "waiting for the other thread": timing.wait,
    }  # fmt: skip
    total = sum(stages.values()) or 1.0
    return [*((name, seconds, seconds / total) for name, seconds in stages.items()),
            ("(starting the workers)", timing.start, None)]  # fmt: skip
