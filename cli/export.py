"""``hgs export``: write an asset in the splat format of the output's suffix."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, format_bytes, parse_bytes, reporting
from hgs_toolkit.cli.field_options import takes_fields_of
from hgs_toolkit.cli.given import is_given, refuse_unused
from hgs_toolkit.cli.sources import AssetArgument, DropInvalid, Levels, Psi, open_asset, parse_levels
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.errors import ConfigError, HgsError
from hgs_toolkit.exporters.options import ExportOptions, Frame

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

VIEWS, SIDE = 4, 256
"""Number of images around a scene, and their size in pixels, by which a smaller file is compared with the whole."""


@takes_fields_of(ExportOptions)
def export(
    context: typer.Context,
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
    to_budget: Annotated[
        str | None,
        typer.Option(
            "--to-budget",
            help="Greatest size of the file, such as 500k: fine levels, then Gaussians that "
            "cover little, are left out; the PSNR of what is left is said.",
        ),
    ] = None,
    source_frame: Annotated[
        Frame | None, typer.Option("--source-frame", help="World frame of ASSET where its format leaves it open.")
    ] = None,
    drop_invalid: DropInvalid = False,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Processes that work when ASSET is a folder of splat files.")
    ] = 1,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
    **options: Any,
) -> None:
    """Write an asset in any splat format; the suffix of OUT chooses it; of a folder, OUT is like out/%s.spz."""
    with reporting(json_progress) as report:
        from hgs_toolkit.exporters.table import check_target
        from hgs_toolkit.files import refuse_overwrite

        refuse_unused(context, asset)
        # What is known to fail is refused before anything is read or sampled.
        check_target(out, ExportOptions(**options))
        budget = None if to_budget is None else parse_bytes(to_budget, "--to-budget")
        if budget is None and Path(asset).exists() and is_given(context, "device"):
            report.note(f"--device {device} is not used: files are converted without a device")
        if Path(asset).is_dir():
            if budget is not None:
                raise ConfigError(f"{asset} is a folder; --to-budget looks at one scene, expected a file")
            _export_folder(report, Path(asset), out, jobs, levels, source_frame, options | {"sh_degree": sh_degree},
                           drop_invalid=drop_invalid, force=force)  # fmt: skip
            return
        refuse_overwrite(out, force=force)
        report.claim(out)
        chosen, settings = parse_levels(levels), options | {"sh_degree": sh_degree}
        if budget is None and Path(asset).exists():
            from hgs_toolkit.exporters.convert import convert

            convert(Path(asset), out, chosen, source_frame, drop_invalid=drop_invalid, overwrite=force, **settings)
        else:
            from hgs_toolkit.exporters.table import chosen_levels
            from hgs_toolkit.exporters.table import export as write

            source = open_asset(asset, psi, device, source_frame, sh_degree, drop_invalid)
            scene = chosen_levels(source.scene, chosen)
            settings |= {"metadata": source.metadata, "latent": source.latent}
            if budget is not None:
                scene = _within(report, scene, out, budget, device, settings)
            write(scene, out, overwrite=force, **settings)
        report.file(out)


def _export_folder(
    report: Reporter, folder: Path, out: Path, jobs: int, levels: str | None, source_frame: str | None,
    options: dict[str, Any], *, drop_invalid: bool, force: bool,
) -> None:  # fmt: skip
    """Export every scene of a folder; what went wrong is said at the end.

    Raises:
        HgsError: if a scene could not be exported; the others are written.
    """
    from hgs_toolkit.exporters.many import Conversions, convert_all, scenes_of
    from hgs_toolkit.files import make_folder

    scenes = scenes_of(folder, out, force=force)
    report.claim(out)
    make_folder(out.parent)
    how = Conversions(parse_levels(levels), source_frame, drop_invalid, force, options)
    failed: list[str] = []
    with report.progress("exporting", total=len(scenes)) as task:
        for outcome in convert_all(scenes, how, jobs):
            if outcome.error is None:
                report.file(outcome.conversion.out)
            else:
                failed.append(outcome.error)
            task.advance()
    if failed:
        raise HgsError(f"{len(failed)} of {len(scenes)} scenes were not exported: {'; '.join(failed)}")


def _within(
    report: Reporter, scene: GaussianHierarchy, out: Path, budget: int, device: str, settings: dict[str, Any]
) -> GaussianHierarchy:
    """The Gaussians that fit the budget; says how many they are and what their images lose."""
    from hgs_toolkit.cameras import orbit
    from hgs_toolkit.cli.kernels import compile_kernels
    from hgs_toolkit.devices import choose_device
    from hgs_toolkit.exporters.budget import scene_within
    from hgs_toolkit.exporters.table import export as write
    from hgs_toolkit.imaging.camera_paths import fit_cameras
    from hgs_toolkit.inversion.quality import psnr
    from hgs_toolkit.rendering import render

    with report.progress(f"fitting {out.name} into {format_bytes(budget)}"), _silent():
        kept = scene_within(scene, out.name, budget, lambda part, path: write(part, path, overwrite=True, **settings))
    target = choose_device(device)
    compile_kernels(report, target)
    cameras = fit_cameras(orbit(VIEWS, settings["metadata"].focal, settings["metadata"].radius), scene).to(target)
    images = [render(part.to(target), cameras, SIDE, SIDE)[0].clamp(0, 1) for part in (scene, kept)]
    quality = psnr(*images)
    count = f"{kept.num_gaussians} of {scene.num_gaussians} Gaussians are kept"
    report.note(f"{count}; PSNR against all of them {quality:.1f} dB ({VIEWS} views of {SIDE} pixels)")
    return kept


@contextmanager
def _silent() -> Iterator[None]:
    """Attempts say nothing: the last file is written again, and says what is to be said."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
