"""``hgs export``: write an asset in the splat format of the output's suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.field_options import takes_fields_of
from hgs_toolkit.cli.sources import AssetArgument, DropInvalid, Levels, Psi, open_asset, parse_levels
from hgs_toolkit.exporters.options import ExportOptions, Frame


@takes_fields_of(ExportOptions)
def export(
    asset: AssetArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; its suffix chooses the format.")],
    levels: Levels = None,
    sh_degree: Annotated[
        int | None,
        typer.Option(
            "--sh-degree",
            min=0,
            max=3,
            help="Highest degree of colour harmonics to keep; fitted to models whose colour sees the view.",
        ),
    ] = None,
    source_frame: Annotated[
        Frame | None, typer.Option("--source-frame", help="World frame of ASSET where its format leaves it open.")
    ] = None,
    drop_invalid: DropInvalid = False,
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
    **options: Any,
) -> None:
    """Write an asset in any splat format; the suffix of OUT chooses it."""
    with reporting(json_progress) as report:
        from hgs_toolkit.exporters.table import export as write
        from hgs_toolkit.exporters.table import format_of
        from hgs_toolkit.files import refuse_overwrite

        # What is known to fail is refused before anything is read or sampled.
        format_of(out).check_options(ExportOptions(**options))
        refuse_overwrite(out, force=force)
        source = open_asset(asset, psi, device, source_frame, sh_degree, drop_invalid)
        write(
            source.scene, out, levels=parse_levels(levels), sh_degree=sh_degree, metadata=source.metadata, force=force,
            **options,
        )  # fmt: skip
        report.file(out)
