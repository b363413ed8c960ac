"""``hgs render``: a picture, a grid, a numbered sequence or a film of one asset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, reporting
from hgs_toolkit.cli.sources import (
    AssetArgument,
    Background,
    Levels,
    Psi,
    open_asset,
    parse_background,
    parse_levels,
)

if TYPE_CHECKING:
    from torch import Tensor

FILM_FRAMES = 120
MAX_SIZE = 8192


def render(
    asset: AssetArgument,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .png (a grid if there are several frames; a name with %d makes a "
                                                 "numbered sequence), .mp4 or .gif.")
    ],
    trajectory: Annotated[
        str | None,
        typer.Option("--trajectory", help="orbit, ellipse, sweep or frontal; default: orbit, frontal for one frame."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", min=1, help=f"Default: 1 for .png, {FILM_FRAMES} for films.")
    ] = None,
    fps: Annotated[float, typer.Option("--fps", min=1, max=120, help="Frames a second of a film.")] = 30,
    size: Annotated[int, typer.Option("--size", min=8, max=MAX_SIZE, help="Height and width, pixels.")] = 512,
    levels: Levels = None,
    splat_scale: Annotated[
        float, typer.Option("--splat-scale", min=0.01, help="Factor on every Gaussian's size; 0.2 shows structure.")
    ] = 1.0,
    mode: Annotated[str, typer.Option("--mode", help="rgb, depth, alpha, normal or level.")] = "rgb",
    background: Background = "auto",
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:  # fmt: skip
    """Draw an asset: one picture, a grid, a sequence of pictures or a film."""
    with reporting(json_progress) as report:
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.exporters import chosen_levels
        from hgs_toolkit.filming import Shot, camera_path, fit_cameras, natural_background, shoot
        from hgs_toolkit.pictures import FILM_SUFFIXES

        film = out.suffix.lower() in FILM_SUFFIXES
        count = frames or (FILM_FRAMES if film else 1)
        targets = _targets(out, count)
        _check_output(targets, force)
        if film and background == "transparent":
            raise ConfigError("films have no transparency; choose a colour for --background or write .png")
        source = open_asset(asset, psi, device)
        target = choose_device(device)
        scene = chosen_levels(source.scene, parse_levels(levels))
        shot = Shot(size, parse_background(background, natural_background(source.scene)), splat_scale)
        path = trajectory or ("orbit" if count > 1 else "frontal")
        cameras = camera_path(path, count, source.metadata.focal, source.metadata.radius)
        if not source.metadata.generator:
            cameras = fit_cameras(cameras, source.scene)
        compile_kernels(report, target)
        with report.progress("drawing", total=count) as task:
            pictures = task.counted(shoot(scene.to(target), cameras.to(target), shot, mode))
            _write(report, pictures, targets, fps, force)


def _targets(out: Path, count: int) -> list[Path]:
    """The files to write: one, or ``count`` numbered ones where the name of a .png is a pattern (frame-%04d.png)."""
    from hgs_toolkit.errors import ConfigError
    from hgs_toolkit.pictures import FILM_SUFFIXES

    if out.suffix.lower() not in (".png", *FILM_SUFFIXES):
        raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .png, {' or '.join(FILM_SUFFIXES)}")
    if "%" not in out.name:
        return [out]
    try:
        return [out.with_name(out.name % index) for index in range(count)]
    except (TypeError, ValueError):
        raise ConfigError(f"'{out.name}' is no pattern of a sequence; expected one %d, as in frame-%04d.png") from None


def _check_output(targets: list[Path], force: bool) -> None:
    from hgs_toolkit.files import refuse_overwrite

    for target in targets:
        refuse_overwrite(target, force=force)


def _write(report: Reporter, pictures: Iterator[Tensor], targets: list[Path], fps: float, force: bool) -> None:
    import torch

    from hgs_toolkit.pictures import FILM_SUFFIXES, grid, save_film, save_png, to_uint8

    if len(targets) > 1:
        for target, picture in zip(targets, pictures, strict=True):
            save_png(target, picture, force=force)
            report.file(target)
        return
    if targets[0].suffix.lower() in FILM_SUFFIXES:
        save_film(targets[0], map(to_uint8, pictures), fps, force=force)
    else:
        save_png(targets[0], grid(torch.stack(list(pictures))), force=force)
    report.file(targets[0])
