"""``hgs runs``: where training runs differ, and a run packed into one file to be trained on elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Force, JsonProgress, reporting
from hgs_toolkit.errors import HgsError

if TYPE_CHECKING:
    from hgs_toolkit.training.state import RunFolder

app = typer.Typer(help="Compare training runs, or pack one to train on elsewhere.", no_args_is_help=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="An .html page with the curves over each other.")] = None,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """List the settings in which runs differ, and how far each has come."""
    from hgs_toolkit.files import refuse_overwrite
    from hgs_toolkit.training.reports.page import different_settings, write_comparison

    with reporting(json_progress) as report:
        if len(runs) < 2:
            raise typer.BadParameter("one run was given; expected two or more", param_hint="RUNS")
        folders = _folders(runs)
        if out is not None:
            refuse_overwrite(out, force=force)
            report.claim(out)
        rows = different_settings(folders)
        report.table(["setting", *folders], [[key, *values] for key, values in rows] + _progress_rows(folders))
        if out is not None:
            report.file(write_comparison(out, folders))


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Run folder of 'hgs train'.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A .safetensors file for 'hgs train --init'.", show_default=False)],
    average: Annotated[
        bool, typer.Option("--average", help="Leave the generator out: training goes on from its average.")
    ] = False,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads/--no-heads", help="With the discriminator's heads on pretrained features; new ones join without."
        ),
    ] = True,
    generator: Annotated[
        Path | None,
        typer.Option("--generator", help="Model in place of the run's generator, such as a mean of its snapshots."),
    ] = None,
    bits: Annotated[int, typer.Option("--bits", help="Of a weight: 16, or 8 for little more than half of that.")] = 16,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Write a run's networks to one file, in half precision or eight bits, to train on elsewhere."""
    from hgs_toolkit.checkpoint import OF_BITS
    from hgs_toolkit.model_files import count_weights
    from hgs_toolkit.training.stages.packing import pack_run

    with reporting(json_progress) as report:
        if out.suffix != ".safetensors":
            raise typer.BadParameter(f"{out}; expected a name that ends with .safetensors", param_hint="--out")
        if bits not in OF_BITS:
            raise typer.BadParameter(f"{bits}; expected 8 or 16", param_hint="--bits")
        report.claim(out)
        config = pack_run(
            run, out, average_only=average, heads=heads, generator=generator, dtype=OF_BITS[bits], force=force
        ).config
        report.note(f"{config.name}, {count_weights(out):,} weights; go on with 'hgs train --init {out} --data SET'")
        report.file(out)


def _folders(paths: list[Path]) -> dict[str, RunFolder]:
    """The runs, of plans the newest stages, by names that tell them apart: of their folders, or whole paths where those
    are the same."""
    from hgs_toolkit.training.stages.warm_start import newest_run
    from hgs_toolkit.training.state import RunFolder

    for path in paths:
        if not RunFolder(path).config_file.is_file():
            raise HgsError(f"{path} is no run folder: it has no config.yaml; expected what hgs train writes to --out")
    names = [path.resolve().name for path in paths]
    return {
        name if names.count(name) == 1 else str(path): newest_run(path) for name, path in zip(names, paths, strict=True)
    }


def _progress_rows(runs: dict[str, RunFolder]) -> list[list[str]]:
    """The last kimg of each run, and the lowest and last value of each KID."""
    logs = [run.read_log() for run in runs.values()]
    rows = [["kimg shown", *(f"{log[-1]['kimg']:g}" if log else "0" for log in logs)]]
    for name in sorted({key for log in logs for line in log for key in line if key.startswith("kid_")}):
        values = [[line[name] for line in log if name in line] for log in logs]
        rows.append([f"{name}, lowest", *(f"{min(found):.4g}" if found else "" for found in values)])
        rows.append([f"{name}, last", *(f"{found[-1]:.4g}" if found else "" for found in values)])
    return rows
