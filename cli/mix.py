"""``hgs mix``: a sheet of scenes that take their styles from two seeds, chosen by level of the tree."""

from __future__ import annotations

from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.image_files import ImageFiles
from hgs_toolkit.cli.sources import (
    Background,
    ModelAndOut,
    Psi,
    check_background,
    check_class,
    model_and_out,
    open_model,
    parse_levels,
)
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.errors import ConfigError

MAX_SEEDS = 64
"""Number of seeds on a side of the sheet."""


def mix(
    paths: ModelAndOut,
    rows: Annotated[str, typer.Option("--rows", help="Seeds of the rows, whose styles the other levels keep.")] = "0-3",
    cols: Annotated[
        str, typer.Option("--cols", help="Seeds of the columns, whose styles the levels of --levels take.")
    ] = "4-7",
    levels: Annotated[
        str | None,
        typer.Option(
            "--levels",
            help="Levels that follow the columns, such as 1-3; by default all but the coarsest.",
            show_default=False,
        ),
    ] = None,
    row_class: Annotated[
        str | None,
        typer.Option(
            "--row-class",
            metavar="NAME",
            help="Class of the rows' scenes; by default each seed draws its own.",
            show_default=False,
        ),
    ] = None,
    col_class: Annotated[
        str | None,
        typer.Option("--col-class", metavar="NAME", help="The same for the columns.", show_default=False),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=8, max=1024, help="Height and width of an image, pixels.")] = 128,
    background: Background = "auto",
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Mix styles by level of the tree: a labelled sheet, rows times columns, in one .png."""
    model_path, out = model_and_out(paths)
    with reporting(json_progress) as report:
        from hgs_toolkit.ranges import parse_seeds

        files = ImageFiles.planned(report, out, 1, 1, force)
        if out.suffix.lower() != ".png":
            raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .png")
        row_seeds, column_seeds, chosen = parse_seeds(rows), parse_seeds(cols), parse_levels(levels)
        if max(len(row_seeds), len(column_seeds)) > MAX_SEEDS:
            raise ConfigError(f"{len(row_seeds)} rows and {len(column_seeds)} columns; expected at most {MAX_SEEDS}")
        check_background(background, opaque="a sheet")
        check_class(model_path, row_class, "--row-class")
        check_class(model_path, col_class, "--col-class")
        drawable = open_model(report, model_path, device, background)
        from hgs_toolkit.imaging.images import save_png
        from hgs_toolkit.imaging.mixing_sheet import mixing_sheet
        from hgs_toolkit.imaging.scene_images import ImageSettings

        settings = ImageSettings(size, drawable.background)
        total = (len(row_seeds) + 1) * (len(column_seeds) + 1) - 1
        with report.progress("mixing", total=total) as task:
            page = mixing_sheet(
                drawable.model, row_seeds, column_seeds, chosen, psi, settings, task.advance, row_class=row_class,
                column_class=col_class,
            )  # fmt: skip
        save_png(files.targets[0], page, force=force)
        report.file(files.targets[0])
