"""``hgs mix``: a sheet of scenes that take their styles from two seeds, chosen by level of the tree."""

from __future__ import annotations

from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.footage import Footage
from hgs_toolkit.cli.sources import (
    Background,
    ModelAndOut,
    Psi,
    model_and_out,
    model_background,
    parse_levels,
)

MAX_SEEDS = 64
"""Seeds a side of the sheet."""


def mix(
    paths: ModelAndOut,
    rows: Annotated[str, typer.Option("--rows", help="Seeds whose styles the other levels keep.")] = "0-3",
    cols: Annotated[str, typer.Option("--cols", help="Seeds whose styles the levels of --levels take.")] = "4-7",
    levels: Annotated[
        str | None,
        typer.Option("--levels", help="Levels that follow the columns, e.g. 1-3; default all but the coarsest."),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=8, max=1024, help="Height and width of a picture, pixels.")] = 128,
    background: Background = "auto",
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Mix styles by level of the tree: a labelled sheet, rows times columns, in one .png."""
    model_path, out = model_and_out(paths)
    with reporting(json_progress) as report:
        from hgs_toolkit.checkpoint import load_model
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.imaging.images import save_png
        from hgs_toolkit.imaging.mixing_sheet import mixing_sheet
        from hgs_toolkit.imaging.scene_images import ImageSettings
        from hgs_toolkit.sampling import parse_seeds

        footage = Footage.planned(out, 1, 1, force)
        if out.suffix.lower() != ".png":
            raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .png")
        row_seeds, column_seeds, chosen = parse_seeds(rows), parse_seeds(cols), parse_levels(levels)
        if max(len(row_seeds), len(column_seeds)) > MAX_SEEDS:
            raise ConfigError(f"{len(row_seeds)} rows and {len(column_seeds)} columns; expected at most {MAX_SEEDS}")
        if background == "transparent":
            raise ConfigError("a sheet has no transparency; choose a colour for --background")
        target = choose_device(device)
        model = load_model(model_path, target)
        shot = ImageSettings(size, model_background(background, model))
        compile_kernels(report, target)
        total = (len(row_seeds) + 1) * (len(column_seeds) + 1) - 1
        with report.progress("mixing", total=total) as task:
            page = mixing_sheet(model, row_seeds, column_seeds, chosen, psi, shot, task.advance)
        save_png(footage.targets[0], page, force=force)
        report.file(footage.targets[0])
