"""``hgs dataset``: make, render, convert, merge and check posed image sets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgs_toolkit.cli.console import Force, JsonProgress, Reporter, Seed, reporting
from hgs_toolkit.cli.dataset_convert import convert
from hgs_toolkit.cli.sources import check_data, check_data_out
from hgs_toolkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgs_toolkit.cli.progress import Task
    from hgs_toolkit.datasets.check import DatasetReport
    from hgs_toolkit.datasets.meshes.library import MeshFile

app = typer.Typer(
    help="Make, render, convert, merge and check posed image sets in the EG3D layout.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(convert)

Out = Annotated[Path, typer.Option("--out", help="A .zip archive or a folder to write.", show_default=False)]
Count = Annotated[int, typer.Option("--count", help="Number of images to make.", min=1)]
Resolution = Annotated[int, typer.Option("--resolution", help="Side of the images, pixels.", min=8)]
Workers = Annotated[
    int, typer.Option("--workers", help="Number of processes; the result does not depend on it.", min=1)
]
YawPrior = Literal["uniform", "normal"]
Views = Annotated[
    int, typer.Option("--views", help="Consecutive images that show one subject from different cameras.", min=1)
]


@app.command()
def demo(
    out: Out,
    kind: Annotated[Literal["critters"], typer.Option("--kind", help="What to draw.")] = "critters",  # noqa: ARG001
    count: Count = 10_000,
    resolution: Resolution = 64,
    yaw: Annotated[
        float | None,
        typer.Option(
            "--yaw",
            min=0,
            max=180,
            help="Largest yaw of the cameras, degrees; 180 is all around; by default the usual prior's.",
        ),
    ] = None,
    yaw_prior: Annotated[
        YawPrior | None,
        typer.Option("--yaw-prior", help="Distribution of the yaw; by default uniform with --yaw."),
    ] = None,
    pitch_min: Annotated[
        float | None,
        typer.Option(
            "--pitch-min", help="Pitch of the lowest camera, degrees; by default the usual prior's.", min=-90, max=90
        ),
    ] = None,
    pitch_max: Annotated[
        float | None,
        typer.Option(
            "--pitch-max", help="Pitch of the highest camera, degrees; by default the usual prior's.", min=-90, max=90
        ),
    ] = None,
    views: Views = 1,
    classes: Annotated[
        bool,
        typer.Option("--classes", help="Write each critter's kind of ears and hat as its class.", show_default=False),
    ] = False,
    seed: Seed = 0,
    workers: Workers = 1,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Draw the built-in demo set: procedural animal heads with alpha, in front or from all sides."""
    with reporting(json_progress) as report:
        check_data_out(out, force=force)
        report.claim(out)
        from hgs_toolkit.datasets.critters.drawing import make_critters
        from hgs_toolkit.datasets.critters.prior import CritterPrior, pose_prior

        count = _in_groups(count, views, report)
        prior = CritterPrior(pose_prior(yaw_prior, *map(_radians, (yaw, pitch_min, pitch_max))), views, classes)
        with report.progress("drawing critters", total=count) as task:
            make_critters(
                out, count, resolution, seed=seed, prior=prior, workers=workers, force=force, progress=_follow(task)
            )
        report.file(out, images=count)


@app.command()
def render(
    models: Annotated[
        Path, typer.Option("--models", help="Folder or archive of .obj, .glb, .gltf, .ply, .stl, .off, .dae models.")
    ],
    out: Out,
    match: Annotated[
        str,
        typer.Option("--match", help="Take only models whose path or catalogue entry matches this regular expression."),
    ] = "",
    count: Count = 5000,
    resolution: Resolution = 64,
    yaw: Annotated[float, typer.Option("--yaw", help="Largest yaw of the cameras, degrees.", min=0, max=180)] = 180,
    yaw_prior: Annotated[YawPrior, typer.Option("--yaw-prior", help="Distribution of the yaw.")] = "uniform",
    pitch_min: Annotated[
        float, typer.Option("--pitch-min", help="Pitch of the lowest camera, degrees.", min=-90, max=90)
    ] = 0,
    pitch_max: Annotated[
        float, typer.Option("--pitch-max", help="Pitch of the highest camera, degrees.", min=-90, max=90)
    ] = 40,
    views: Views = 1,
    classes: Annotated[
        bool, typer.Option("--classes", help="Take each model's first folder as its class.", show_default=False)
    ] = False,
    vary_hue: Annotated[
        float, typer.Option("--vary-hue", help="Largest change of hue in each image, degrees.", min=0, max=180)
    ] = 0,
    vary_value: Annotated[
        float, typer.Option("--vary-value", help="Largest change of lightness, as a share.", min=0, max=0.95)
    ] = 0,
    vary_light: Annotated[
        float, typer.Option("--vary-light", help="Largest turn of the sun, degrees.", min=0, max=180)
    ] = 0,
    vary_scale: Annotated[
        float, typer.Option("--vary-scale", help="Largest stretch of each axis, as a share.", min=0, max=0.95)
    ] = 0,
    up: Annotated[Literal["y", "z"], typer.Option("--up", help="Up axis of the files.")] = "y",
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out models that cannot be read.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the chosen models and stop.")] = False,
    seed: Seed = 0,
    workers: Workers = 1,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Render posed images with alpha of a folder of textured models."""
    with reporting(json_progress) as report:
        check_data(models)
        from hgs_toolkit.datasets.eg3d_writer import refuse_within
        from hgs_toolkit.datasets.meshes.library import find_meshes
        from hgs_toolkit.datasets.meshes.rendering import render_meshes
        from hgs_toolkit.datasets.meshes.variation import Variation
        from hgs_toolkit.datasets.scene_prior import camera_prior

        if not list_only:
            check_data_out(out, force=force)
            refuse_within(models, out)
            report.claim(out)
        poses = camera_prior(*map(math.radians, (yaw, pitch_min, pitch_max)), yaw_prior=yaw_prior)
        variation = Variation(math.radians(vary_hue), vary_value, math.radians(vary_light), vary_scale)
        problems: list[str] | None = [] if skip_broken else None
        meshes = find_meshes(models, match, problems)
        for problem in problems or []:
            report.note(f"{problem}; its models are left out", level="warning")
        if list_only:
            report.table(["model"], [[mesh.title] for mesh in meshes])
            return
        count = _in_groups(count, views, report)
        meshes = _readable(meshes, up, resolution, skip_broken, report)
        _tell_licences(meshes, report)
        with report.progress(f"rendering {len(meshes)} models", total=count) as task:
            render_meshes(
                meshes, out, count, resolution, seed=seed, poses=poses, up=up, views=views, variation=variation,
                workers=workers, force=force, progress=_follow(task), classes=classes,
            )  # fmt: skip
        report.file(out, images=count, models=len(meshes))


def _in_groups(count: int, views: int, report: Reporter) -> int:
    """``count``, or what makes whole groups of ``views``: a set with a part of one does not count as grouped."""
    whole = math.ceil(count / views) * views
    if whole != count:
        report.note(f"{count} images are no whole groups of {views} views: {whole} are made")
    return whole


@app.command()
def merge(
    sets: Annotated[
        list[Path], typer.Argument(help="Two or more sets in the EG3D layout, folders or .zip.", show_default=False)
    ],
    out: Out,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Bring the images of several sets together in one, such as all sides and more of the front."""
    with reporting(json_progress) as report:
        for path in sets:
            check_data(path)
        check_data_out(out, force=force)
        report.claim(out)
        from hgs_toolkit.datasets.merging import merge_sets

        with report.progress("merging sets") as task:
            images = merge_sets(sets, out, force=force, progress=_follow(task))
        report.file(out, images=images)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Folder or .zip archive in the EG3D layout.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Folder for pose histograms and a contact sheet.")
    ] = None,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Look at every image and label of a set; exit code 1 when it cannot be trained on."""
    with reporting(json_progress) as report:
        check_data(path)
        if pictures is not None:
            _claim_pictures(report, pictures, force)
        from hgs_toolkit.datasets.check import check_dataset

        with report.progress("checking") as task:
            result = check_dataset(path, progress=_follow(task))
        if as_json or json_progress:
            report.result(json.dumps(result.to_dict(), indent=2), **result.to_dict())
        else:
            _print_report(result, report)
        if result.errors:
            more = f" (and {len(result.errors) - 1} more)" if len(result.errors) > 1 else ""
            raise DataError(f"{path} cannot be trained on: {result.errors[0]}{more}")
        if pictures is not None:
            from hgs_toolkit.datasets.check_images import save_check_pictures
            from hgs_toolkit.datasets.eg3d import open_dataset

            for file in save_check_pictures(open_dataset(path), pictures, force=force):
                report.file(file)


def _claim_pictures(report: Reporter, folder: Path, force: bool) -> None:
    from hgs_toolkit.datasets.check_images import CONTACT, HISTOGRAMS
    from hgs_toolkit.files import make_folder, refuse_overwrite

    report.claim(folder)
    for name in (HISTOGRAMS, CONTACT):
        refuse_overwrite(folder / name, force=force)
    make_folder(folder)


def _radians(degrees: float | None) -> float | None:
    return None if degrees is None else math.radians(degrees)


def _follow(task: Task) -> Callable[[int, int], None]:
    """A library's progress callback that moves ``task``."""
    return lambda done, total: task.update(done, total)


def _readable(meshes: list[MeshFile], up: str, resolution: int, skip_broken: bool, report: Reporter) -> list[MeshFile]:
    """The meshes that can be read; a broken one is an error, or with ``skip_broken`` a warning that names it."""
    from hgs_toolkit.datasets.meshes.rendering import usable_meshes

    with report.progress("reading models", total=len(meshes)) as task:
        usable, problems = usable_meshes(meshes, up=up, resolution=resolution, progress=_follow(task))
    if problems and not (skip_broken and usable):
        hint = "" if skip_broken else "; repair it, or leave such models out with --skip-broken"
        raise DataError(f"{len(problems)} of {len(meshes)} models cannot be rendered: {problems[0]}{hint}")
    for problem in problems:
        report.note(problem, level="warning")
    if problems:
        report.note(f"{len(problems)} of {len(meshes)} models are left out", level="warning")
    return usable


def _tell_licences(meshes: list[MeshFile], report: Reporter) -> None:
    from hgs_toolkit.datasets.attribution import summarise

    report.note(f"licences: {summarise([mesh.credit for mesh in meshes if mesh.credit])}")
    unknown = [mesh for mesh in meshes if mesh.credit is None]
    if unknown:
        report.note(
            f"{len(unknown)} of {len(meshes)} models come without a licence, the first is {unknown[0].label}; "
            "put a LICENSE file beside them, so that what learns from the set can name it",
            level="warning",
        )


def _print_report(result: DatasetReport, report: Reporter) -> None:
    rows: list[tuple[str, object]] = [("images", result.images), ("labels", result.labels)]
    rows += [(kind, f"{count} images") for kind, count in result.kinds.items()]
    if (alpha := result.alpha) is not None:
        rows += [("alpha coverage", f"{alpha.coverage:.1%}"), ("soft pixels", f"{alpha.partial:.1%}")]
        rows += [("touching the border", f"{alpha.touching:.1%}")]
    if result.classes:
        rows += [(f"class {text}", f"{count} images") for text, count in result.classes.items()]
    if (cameras := result.cameras) is not None:
        target = ", ".join(f"{value:.3f}" for value in cameras.target)
        rows += [("camera axes", cameras.axes), ("up in the images", cameras.up), ("looking at", f"({target})")]
        rows += [("different labels", cameras.distinct), ("orthonormal within", f"{cameras.orthonormality:.1e}")]
        rows += [("radius", cameras.radius), ("focal length / image size", cameras.focal)]
        rows += [("yaw, degrees", cameras.yaw), ("pitch, degrees", cameras.pitch)]
    report.table(["what", "value"], rows, title=result.path)
    if cameras is not None:
        report.result("\n".join(["", "yaw", *cameras.yaw_histogram, "", "pitch", *cameras.pitch_histogram, ""]))
    for finding in result.findings:
        report.result(f"{finding.severity}: {finding.text}")
    if not result.findings:
        report.result("nothing to complain about")
