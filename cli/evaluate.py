"""``hgs eval``: how good a model is, every number with what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, Seed, reporting
from hgs_toolkit.cli.sources import ModelArgument

if TYPE_CHECKING:
    from hgs_toolkit.evaluation import Figure


def evaluate(
    model: ModelArgument = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Real pictures, an EG3D folder or zip; best ones that training has not seen."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the numbers and their conditions.")] = None,
    metrics: Annotated[
        str,
        typer.Option("--metrics", help="Some of kid, fid, kid_3d, fid_3d, diversity, pose, consistency, geometry, "
                                       "timing, joined by commas; default: all that can be measured."),
    ] = "",
    count: Annotated[int, typer.Option("--count", help="Real and generated pictures to compare.")] = 1000,
    scenes: Annotated[int, typer.Option("--scenes", help="Scenes for consistency and geometry.")] = 50,
    extractor: Annotated[
        str, typer.Option("--extractor", help="squeeze (fast), lite0 or randconv; several joined by commas.")
    ] = "squeeze",
    inception: Annotated[
        Path | None,
        typer.Option("--inception", help="pt_inception-2015-12-05-6726825d.pth, for the FID of the papers as well."),
    ] = None,
    truth: Annotated[
        str | None, typer.Option("--truth", help="critters, if it is a model of the demo set, whose shapes are known.")
    ] = None,
    psi: Annotated[float, typer.Option("--psi", help="Truncation; distances are customarily measured at 1.")] = 1.0,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:  # fmt: skip
    """Measure a model: distances to real pictures, diversity, pose, consistency of views, geometry, speed."""
    from hgs_toolkit.evaluation import EvalSettings
    from hgs_toolkit.evaluation import evaluate as measure
    from hgs_toolkit.files import refuse_overwrite

    with reporting(json_progress) as report:
        if out is not None:
            refuse_overwrite(out, force=force)
        settings = EvalSettings(_names(metrics), count, scenes, seed, psi, _names(extractor), inception, truth)
        if data is None and not settings.metrics:
            report.note("no --data: only what needs no real pictures is measured")
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


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _tabulate(report: Reporter, figures: list[Figure], title: str) -> None:
    """One table of the figures, and the times in the form papers give them."""
    times = {figure.name: figure.value for figure in figures if figure.name.startswith("ms_")}
    rows = [
        (f.name, f"{f.value:.4g}", "" if f.std is None else f"{f.std:.2g}", "" if f.floor is None else f"{f.floor:.4g}",
         f.unit, f.conditions.get("count", f.conditions.get("scenes", "")))
        for f in figures if f.name not in times
    ]  # fmt: skip
    if rows:
        report.table(["measure", "value", "+-", "real or true", "unit", "on"], rows, title=title)
    sizes = sorted({int(name.rsplit("_", 1)[1]) for name in times})
    if sizes:
        columns = ["pixels", "full pipeline, ms", "rasteriser only, ms"]
        cells = [[f"{size} x {size}", *(f"{times[f'ms_{kind}_{size}']:.1f}" for kind in ("pipeline", "raster"))]
                 for size in sizes]  # fmt: skip
        report.table(columns, cells, title=f"{title}, one scene, one camera")
