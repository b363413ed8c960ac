"""``hgs blender``: pack the Blender extension, install it, open an asset in Blender, write a library of assets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, reporting
from hgs_toolkit.cli.given import refuse_unused
from hgs_toolkit.cli.sources import AssetArgument, Psi, check_asset
from hgs_toolkit.conventions import DEFAULT_PSI

if TYPE_CHECKING:
    from hgs_toolkit.blender import Blender

app = typer.Typer(
    help="The Blender extension: pack it, install it, open an asset or write an asset library with it.",
    no_args_is_help=True,
    add_completion=False,
)

BlenderOption = Annotated[
    Path | None,
    typer.Option("--blender", help="The Blender program; by default $HGS_BLENDER, or else the newest that is found.",
                 show_default=False),
]  # fmt: skip


@app.command()
def package(
    out: Annotated[Path, typer.Option("--out", help="The .zip to write, or a folder for it.")] = Path("dist"),
    blender: BlenderOption = None,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Build the extension's archive and check it; the same files give the same bytes everywhere."""
    with reporting(json_progress) as report:
        from hgs_toolkit import blender as extension

        checker = extension.find_blender(blender) if blender else None
        _package(report, out, checker, force)


@app.command()
def install(
    blender: BlenderOption = None,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", help="A packed extension; by default it is packed now.", show_default=False),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the Blenders that are found and stop.")] = False,
    json_progress: JsonProgress = False,
) -> None:
    """Install and enable the extension in a Blender on this machine."""
    import tempfile

    with reporting(json_progress) as report:
        from hgs_toolkit import blender as extension

        if list_only:
            rows = [[b.path, b.version_text, "yes" if b.suits else "no"] for b in extension.find_blenders()]
            report.table(["Blender", "version", "new enough"], rows)
            return
        target = extension.find_blender(blender)
        with tempfile.TemporaryDirectory() as folder:
            if archive is None:
                archive = extension.package(Path(folder))
            checked_by = extension.check_archive(archive, target)
            with report.progress(f"installing into {target.path}"):
                extension.install(target, archive)
        report.result(
            f"installed and enabled in Blender {target.version_text} ({target.path})",
            blender=target.path, version=target.version_text, checked_by=checked_by,
        )  # fmt: skip


@app.command()
def launch(
    context: typer.Context,
    asset: AssetArgument,
    blender: BlenderOption = None,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    json_progress: JsonProgress = False,
) -> None:
    """Open an asset in Blender, and wait until Blender is closed; needs the extension installed."""
    import tempfile

    with reporting(json_progress) as report:
        from hgs_toolkit import blender as extension

        refuse_unused(context, asset)
        check_asset(asset)
        target = extension.find_blender(blender)
        identifier = extension.read_manifest(extension.extension_folder())["id"]
        with tempfile.TemporaryDirectory() as folder:
            path = _as_file(asset, Path(folder), psi, device)
            with report.progress(f"{path.name} is open in Blender {target.version_text}"):
                extension.open_in(target, identifier, path)
        report.result("Blender was closed", blender=target.path)


@app.command()
def assets(
    folder: Annotated[Path, typer.Argument(help="Folder of the library; it is made if needed.")],
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of the scenes, such as 0-31 or 1,5,9-12.")] = "0-15",
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Model to sample; by default the one that is shipped.", show_default=False),
    ] = None,
    author: Annotated[
        str, typer.Option("--author", help="The author that stands in every asset.", show_default=False)
    ] = "",
    blender: BlenderOption = None,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Sample seeds and write them as a library for Blender's Asset Browser; needs the extension installed."""
    library = folder / f"{folder.resolve().name}.blend"
    with reporting(json_progress) as report:
        from hgs_toolkit import blender as extension
        from hgs_toolkit.cli.sample import SamplingPlan, StyleOptions, sample_batch
        from hgs_toolkit.files import refuse_overwrite
        from hgs_toolkit.ranges import parse_seeds

        report.claim(library)

        target = extension.find_blender(blender)
        identifier = extension.read_manifest(extension.extension_folder())["id"]
        refuse_overwrite(library, force=force)
        batch = folder / folder.resolve().name  # the catalogue is called as this folder
        plan = SamplingPlan(batch, parse_seeds(seeds), ["hgs", "png"], views=1)
        sample_batch(report, model, plan, StyleOptions(psi), device=device, force=force)
        with report.progress(f"Blender {target.version_text} writes {library}"):
            extension.write_assets(target, identifier, batch, library, author, replace=force)
        report.file(library)


def _package(report: Reporter, out: Path, checker: Blender | None, force: bool) -> None:
    """Pack and check in a folder of its own, so that an archive which is refused never gets the final name."""
    import tempfile

    from hgs_toolkit import blender as extension
    from hgs_toolkit.files import refuse_overwrite, write_bytes

    with tempfile.TemporaryDirectory() as folder:
        packed = extension.package(Path(folder))
        target = out if out.suffix.lower() == ".zip" else out / packed.name
        refuse_overwrite(target, force=force)
        report.claim(target)
        checked_by = extension.check_archive(packed, checker)
        write_bytes(target, packed.read_bytes(), force=force)
    report.file(target, checked_by=checked_by)
    report.note(f"checked by {checked_by}")


def _as_file(asset: str, folder: Path, psi: float, device: str) -> Path:
    """``asset`` as a file that the extension reads: the file itself, or a .hgs made of it in ``folder``."""
    from hgs_toolkit.asset import save_asset
    from hgs_toolkit.cli.sources import open_asset
    from hgs_toolkit.exporters.table import format_of

    if Path(asset).is_file() and format_of(Path(asset)).opens_in_extension:
        return Path(asset)
    source = open_asset(asset, psi, device)
    seed = source.metadata.seed
    path = folder / f"{Path(asset).stem if seed is None else f'seed{seed:04d}'}.hgs"
    save_asset(path, source)
    return path
