"""``hgs render``: a picture, a grid, a numbered sequence or a film of one asset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.footage import MAX_SIZE, OUT_HELP, Footage, Fps, is_film
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
    from hgs_toolkit.gaussians import GaussianHierarchy

FILM_FRAMES = 120


def render(
    asset: AssetArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help=OUT_HELP)],
    trajectory: Annotated[
        str | None,
        typer.Option("--trajectory", help="orbit, ellipse, sweep or frontal; default: orbit, frontal for one frame."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", min=1, help=f"Default: 1 for .png, {FILM_FRAMES} for films.")
    ] = None,
    fps: Fps = 30,
    size: Annotated[int, typer.Option("--size", min=8, max=MAX_SIZE, help="Height and width, pixels.")] = 512,
    animate: Annotated[
        str | None, typer.Option("--animate", help="Over the frames: grow (out of the parents and back) or shrink.")
    ] = None,
    levels: Levels = None,
    splat_scale: Annotated[
        float, typer.Option("--splat-scale", min=0.01, help="Factor on every Gaussian's size; 0.2 shows structure.")
    ] = 1.0,
    mode: Annotated[
        str, typer.Option("--mode", help="rgb, depth, alpha, normal, level, ellipsoid (hard, shaded) or anchors.")
    ] = "rgb",
    opaque: Annotated[bool, typer.Option("--opaque", help="Opacity one for every Gaussian.")] = False,
    by_level: Annotated[bool, typer.Option("--by-level", help="Every Gaussian in the colour of its level.")] = False,
    subtree: Annotated[
        int | None, typer.Option("--subtree", help="Only the Gaussian with this index and what is below it.")
    ] = None,
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
        from hgs_toolkit.exporters.table import chosen_levels
        from hgs_toolkit.imaging.animation import animate as filmed
        from hgs_toolkit.imaging.camera_paths import camera_path, fit_cameras
        from hgs_toolkit.imaging.scene_images import ImageSettings, natural_background

        count = frames or (FILM_FRAMES if is_film(out) else 1)
        footage = Footage.planned(out, count, fps, force)
        if is_film(out) and background == "transparent":
            raise ConfigError("films have no transparency; choose a colour for --background or write .png")
        source = open_asset(asset, psi, device)
        target = choose_device(device)
        shot = ImageSettings(size, parse_background(background, natural_background(source.scene)), splat_scale)
        path = trajectory or ("orbit" if count > 1 else "frontal")
        cameras = camera_path(path, count, source.metadata.focal, source.metadata.radius)
        if not source.metadata.generator:
            cameras = fit_cameras(cameras, source.scene)
        scene = _dressed(source.scene, subtree, opaque, by_level)
        scene = chosen_levels(scene, parse_levels(levels))
        pictures = filmed(scene.to(target), cameras.to(target), shot, mode, animate)
        compile_kernels(report, target)
        with report.progress("drawing", total=count) as task:
            footage.write(report, task.counted(pictures))


def _dressed(scene: GaussianHierarchy, root: int | None, opaque: bool, by_level: bool) -> GaussianHierarchy:
    """The scene as the options that change it ask for."""
    from hgs_toolkit.imaging import looks

    if root is not None:
        scene = looks.subtree(scene, root)
    if opaque:
        scene = looks.opaque(scene)
    return looks.painted_by_level(scene) if by_level else scene
