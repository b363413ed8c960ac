"""``hgs share``: one asset as a page of one file, which any browser opens without a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.given import refuse_unused
from hgs_toolkit.cli.sources import AssetArgument, Background, Levels, Psi, Zoom, check_background, open_scene
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.errors import ConfigError

SUFFIX = ".html"


def share(
    context: typer.Context,
    asset: AssetArgument,
    out: Annotated[Path, typer.Argument(metavar=f"OUT{SUFFIX}", help="The page to write.")],
    levels: Levels = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Heading; by default the asset's name.", show_default=False)
    ] = None,
    yaw: Annotated[
        float, typer.Option("--yaw", min=-360, max=360, help="Direction of the first camera, degrees; 0 is the front.")
    ] = 0.0,
    pitch: Annotated[
        float, typer.Option("--pitch", min=-88, max=88, help="Height of the first camera, degrees.")
    ] = 0.0,
    zoom: Zoom = 1.0,
    background: Background = "auto",
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Write a self-contained web page that shows an asset, with controls for levels and sizes."""
    with reporting(json_progress) as report:
        from hgs_toolkit.files import refuse_overwrite

        refuse_unused(context, asset)
        if out.suffix.lower() != SUFFIX:
            raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected {SUFFIX}")
        check_background(background, opaque="a page")
        refuse_overwrite(out, force=force)
        report.claim(out)
        shown = open_scene(asset, psi, device, levels, background)
        from hgs_toolkit.viewer.page import PageSettings, save_page

        settings = PageSettings.of(shown.asset.metadata, title or Path(asset).name, shown.background)
        settings = replace(settings, yaw=yaw, pitch=pitch, zoom=zoom)
        with report.progress("packing"):
            save_page(out, shown.scene, settings, force=force)
        report.file(out)
