"""``hgs eval``: how good a model is, every number with what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, Seed, reporting
from hgs_toolkit.cli.given import is_given, refuse_given, refuse_no_names
from hgs_toolkit.cli.sources import ModelArgument, Psi, check_data, parse_names

if TYPE_CHECKING:
    from hgs_toolkit.evaluation import Figure


ALONE = ("consistency", "geometry", "timing")
"""Those that need no real images."""

METRICS = ("kid", "fid", "kid_3d", "fid_3d", "diversity", "classes", "sectors", "pose", *ALONE)
"""Names of :data:`hgs_toolkit.evaluation.settings.METRICS`, which is not imported for a help text."""

EXTRACTORS = ("squeeze", "lite0", "randconv")
"""Names of :data:`hgs_toolkit.metrics.extractors.EXTRACTORS`."""


OF_REAL_IMAGES = ["data", "count", "extractor", "resolution", "inception"]
"""Options that say with which real images scenes are compared, and how."""


def evaluate(
    context: typer.Context,
    model: ModelArgument = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Real images, an EG3D folder or zip; best ones that training has not seen."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="JSON file to write the figures and their conditions to.")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            help=f"Some of {', '.join(METRICS)}, joined by commas; by default all that can be measured.",
            show_default=False,
        ),
    ] = "",
    count: Annotated[
        int | None,
        typer.Option(
            "--count", min=2, help="Number of real and of generated images; by default all of --data, up to 1000."
        ),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Number of scenes for consistency and geometry.")] = 50,
    extractor: Annotated[
        str, typer.Option("--extractor", help=f"Some of {', '.join(EXTRACTORS)}, joined by commas; squeeze is fast.")
    ] = "squeeze",
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            min=16,
            help="Pixels of the images that are compared, real and generated; by default the model's.",
        ),
    ] = None,
    inception: Annotated[
        Path | None,
        typer.Option("--inception", help="pt_inception-2015-12-05-6726825d.pth, for the FID of the papers as well."),
    ] = None,
    truth: Annotated[
        Literal["critters"] | None,
        typer.Option("--truth", help="What the model was trained on, if its shapes are known: the demo set."),
    ] = None,
    psi: Psi = 1.0,  # distances are measured at full variety
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Measure a model: distances to real images, diversity, pose, consistency of views, geometry, speed."""
    with reporting(json_progress) as report:
        from hgs_toolkit.errors import HgsError
        from hgs_toolkit.files import refuse_overwrite
        from hgs_toolkit.model_files import model_config

        chosen = tuple(parse_names(metrics, METRICS, "--metrics"))
        extractors = tuple(parse_names(extractor, EXTRACTORS, "--extractor"))
        refuse_no_names(metrics=chosen if is_given(context, "metrics") else None)
        refuse_no_names(extractor=extractors if inception is None else None)
        if set(chosen) <= set(ALONE) and (chosen or data is None):
            what = "without --data nothing" if data is None else f"none of {', '.join(chosen)}"
            refuse_given(context, OF_REAL_IMAGES, f"{what} is compared with real images")
        if out is not None:
            if out.is_dir():
                raise HgsError(f"{out} is a folder; expected the name of a JSON file")
            refuse_overwrite(out, force=force)
            report.claim(out)
        if data is not None:
            check_data(data)
        model_config(model)
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.evaluation import EvalSettings
        from hgs_toolkit.evaluation import evaluate as measure

        settings = EvalSettings(chosen, count, scenes, seed, psi, extractors, inception, truth, resolution)
        if data is None and not settings.metrics:
            report.note("no --data was given, so only what needs no real images is measured")
        compile_kernels(report, choose_device(device))
        with report.progress("measuring") as task:

            def watch(text: str, steps: int):  # type: ignore[no-untyped-def]
                task.update(0, total=steps, text=text)
                return task.advance

            result = measure(model, data, settings, device=device, watch=watch)
        title = f"{result.model['name']} ({result.model['sha256'][:12]})"
        _tabulate(report, result.figures, title)
        if out is not None:
            result.write(out, force=force)
            report.file(out)


def _tabulate(report: Reporter, figures: list[Figure], title: str) -> None:
    """One table of the figures, and the times in the form papers give them; in JSON mode numbers are numbers."""
    times = {figure.name: figure.value for figure in figures if figure.name.startswith("ms_")}
    shown = [figure for figure in figures if figure.name not in times]
    rows = [
        (f.name, f"{f.value:.4g}", "" if f.std is None else f"{f.std:.2g}", "" if f.floor is None else f"{f.floor:.4g}",
         f.unit, _measured_on(f) or "")
        for f in shown
    ]  # fmt: skip
    if rows:
        objects = [
            {"measure": f.name, "value": f.value, "std": f.std, "real_or_true": f.floor, "unit": f.unit,
             "count": _measured_on(f)}
            for f in shown
        ]  # fmt: skip
        report.table(["measure", "value", "+-", "real or true", "unit", "on"], rows, title, objects)
    sizes = sorted({int(name.rsplit("_", 1)[1]) for name in times})
    if sizes:
        columns = ["pixels", "full pipeline, ms", "rasteriser only, ms"]
        kinds = ("pipeline", "raster")
        cells = [[f"{size} x {size}", *(f"{times[f'ms_{kind}_{size}']:.1f}" for kind in kinds)] for size in sizes]
        objects = [{"pixels": size} | {f"{kind}_ms": times[f"ms_{kind}_{size}"] for kind in kinds} for size in sizes]
        report.table(columns, cells, f"{title}, one scene, one camera", objects)


def _measured_on(figure: Figure) -> int | None:
    """Number of images or scenes behind a figure."""
    count: int | None = figure.conditions.get("count", figure.conditions.get("scenes"))
    return count
