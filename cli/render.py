"""``hgs render``: an image, a grid, numbered images or a video of one asset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.image_files import MAX_SIZE, OUT_HELP, Fps, ImageFiles, is_video
from hgs_toolkit.cli.sources import AssetArgument, Background, DropInvalid, Levels, Psi, check_background, open_scene
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.imaging.choices import Mode, SceneAnimation, Trajectory

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

VIDEO_FRAMES = 120
"""Number of frames of a video, unless told otherwise."""


def render(
    asset: AssetArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help=OUT_HELP)],
    trajectory: Annotated[
        Trajectory | None,
        typer.Option("--trajectory", help="Camera path; by default orbit, or frontal for a single image."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option("--frames", min=1, help=f"Number of images; by default 1 for .png, {VIDEO_FRAMES} for videos."),
    ] = None,
    fps: Fps = 30,
    size: Annotated[int, typer.Option("--size", min=8, max=MAX_SIZE, help="Height and width, pixels.")] = 512,
    animate: Annotated[
        SceneAnimation | None,
        typer.Option("--animate", help="Change over the frames: grow out of the parents and back, or shrink."),
    ] = None,
    levels: Levels = None,
    splat_scale: Annotated[
        float, typer.Option("--splat-scale", min=0.01, help="Factor on every Gaussian's size; 0.2 shows structure.")
    ] = 1.0,
    mode: Annotated[Mode, typer.Option("--mode", help="What the image shows.")] = "rgb",
    opaque: Annotated[bool, typer.Option("--opaque", help="Set every opacity to one.")] = False,
    by_level: Annotated[bool, typer.Option("--by-level", help="Colour every Gaussian by its level.")] = False,
    subtree: Annotated[
        int | None, typer.Option("--subtree", help="Show only the Gaussian with this index and those below it.")
    ] = None,
    background: Background = "auto",
    drop_invalid: DropInvalid = False,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Draw an asset: an image, a grid, numbered images or a video."""
    with reporting(json_progress) as report:
        count = frames or (VIDEO_FRAMES if is_video(out) else 1)
        files = ImageFiles.planned(out, count, fps, force)
        check_background(background, opaque="a video" if is_video(out) else "")
        shown = open_scene(asset, psi, device, levels, background, drop_invalid)
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.imaging.animation import animate as draw_images
        from hgs_toolkit.imaging.camera_paths import camera_path, fit_cameras
        from hgs_toolkit.imaging.scene_images import ImageSettings

        target, metadata = choose_device(device), shown.asset.metadata
        path = trajectory or ("orbit" if count > 1 else "frontal")
        cameras = camera_path(path, count, metadata.focal, metadata.radius)
        if not metadata.generator:
            cameras = fit_cameras(cameras, shown.asset.scene)
        scene = _changed(shown.scene, subtree, opaque, by_level).to(target)
        settings = ImageSettings(size, shown.background, splat_scale)
        images = draw_images(scene, cameras.to(target), settings, mode, animate)
        compile_kernels(report, target)
        with report.progress("drawing", total=count) as task:
            files.write(report, task.counted(images))


def _changed(scene: GaussianHierarchy, root: int | None, opaque: bool, by_level: bool) -> GaussianHierarchy:
    """The scene as --subtree, --opaque and --by-level ask for it."""
    from hgs_toolkit.imaging import looks

    if root is not None:
        scene = looks.subtree(scene, root)
    if opaque:
        scene = looks.opaque(scene)
    return looks.painted_by_level(scene) if by_level else scene
