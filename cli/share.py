"""``hgs share``: one asset as a page of one file, which any browser opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.sources import (
    AssetArgument,
    Background,
    Levels,
    Psi,
    open_asset,
    parse_background,
    parse_levels,
)


def share(
    asset: AssetArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write.")],
    levels: Levels = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading; default the asset's name.")] = None,
    background: Background = "auto",
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Write a self-contained web page that shows an asset, with controls for levels and sizes."""
    with reporting(json_progress) as report:
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.exporters.table import chosen_levels
        from hgs_toolkit.files import refuse_overwrite
        from hgs_toolkit.imaging.scene_images import natural_background
        from hgs_toolkit.viewer.page import SUFFIX, PageSettings, save_page

        if out.suffix.lower() != SUFFIX:
            raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected {SUFFIX}")
        if background == "transparent":
            raise ConfigError("a page has no transparency; choose a colour for --background")
        refuse_overwrite(out, force=force)
        source = open_asset(asset, psi, device)
        color = parse_background(background, natural_background(source.scene))
        settings = PageSettings.of(source.metadata, title or Path(asset).name, color)
        with report.progress("packing"):
            save_page(out, chosen_levels(source.scene, parse_levels(levels)), settings, force=force)
        report.file(out)
