"""``hgs export``: write an asset in the splat format of the output's suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.sources import AssetArgument, Levels, Psi, open_asset, parse_levels


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
    extras: Annotated[bool, typer.Option("--extras", help=".ply, .glb: keep level and parent.")] = False,
    nodes: Annotated[bool, typer.Option("--nodes", help=".glb: make each level a node of its own.")] = False,
    lods: Annotated[
        bool, typer.Option("--lods", help="Write levels of detail; .rad and lod-meta.json always have them.")
    ] = False,
    pad_sh: Annotated[
        int, typer.Option("--pad-sh", min=0, max=3, help=".ply: zero harmonics up to this degree (old viewers want 3).")
    ] = 0,
    no_normals: Annotated[bool, typer.Option("--no-normals", help=".ply: leave the zero normals out.")] = False,
    frame: Annotated[
        str | None, typer.Option("--frame", help="World frame of the file: rdf (y down) or y_up; default the format's.")
    ] = None,
    source_frame: Annotated[
        str | None,
        typer.Option("--source-frame", help="World frame of ASSET where its format leaves it open: rdf or y_up."),
    ] = None,
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Write an asset in any splat format; the suffix of OUT chooses it."""
    with reporting(json_progress) as report:
        from hgs_toolkit.exporters.table import export as write
        from hgs_toolkit.exporters.table import format_of
        from hgs_toolkit.files import refuse_overwrite

        # What can be known to fail is refused before anything is read or sampled.
        format_of(out)
        refuse_overwrite(out, force=force)
        source = open_asset(asset, psi, device, source_frame, sh_degree)
        write(
            source.scene, out, levels=parse_levels(levels), sh_degree=sh_degree, extras=extras, pad_sh=pad_sh,
            normals=not no_normals, frame=frame, nodes=nodes, lods=lods, metadata=source.metadata, force=force,
        )  # fmt: skip
        report.file(out)
