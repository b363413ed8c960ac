"""``hgs render``: an image, a grid, numbered images or a video of one asset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.given import refuse_unused
from hgs_toolkit.cli.image_files import MAX_SIZE, OUT_HELP, Fps, ImageFiles, is_video
from hgs_toolkit.cli.sources import (
    AssetArgument,
    Background,
    DropInvalid,
    Levels,
    Psi,
    Zoom,
    check_background,
    open_scene,
    parse_angles,
)
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.imaging.choices import Mode, SceneAnimation, Trajectory

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

VIDEO_FRAMES = 120
"""Number of frames of a video, unless told otherwise."""


def render(
    context: typer.Context,
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
    yaw: Annotated[
        str | None,
        typer.Option(
            "--yaw",
            help="Direction of the camera, degrees; 0 is the front, positive the subject's left; "
            "several, such as 0,90,180, make a grid.",
        ),
    ] = None,
    pitch: Annotated[
        str | None,
        typer.Option("--pitch", help="Height of the camera, degrees; 90 is from above; several make rows."),
    ] = None,
    zoom: Zoom = 1.0,
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
        refuse_unused(context, asset)
        angles = _angles(yaw, pitch, trajectory, frames)
        count = len(angles[0]) * len(angles[1]) if angles else frames or (VIDEO_FRAMES if is_video(out) else 1)
        files = ImageFiles.planned(report, out, count, fps, force)
        check_background(background, opaque="a video" if is_video(out) else "")
        shown = open_scene(asset, psi, device, levels, background, drop_invalid, subtree)
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.imaging.animation import animate as draw_images
        from hgs_toolkit.imaging.camera_paths import camera_path, fit_cameras, step_back, views
        from hgs_toolkit.imaging.scene_images import ImageSettings

        target, metadata = choose_device(device), shown.asset.metadata
        path = trajectory or ("orbit" if count > 1 else "frontal")
        lens = metadata.focal, metadata.radius
        cameras = views(*angles, *lens) if angles else camera_path(path, count, *lens)
        fit = step_back if metadata.generator else fit_cameras
        cameras = fit(cameras, shown.asset.scene)
        scene = _changed(shown.scene, opaque, by_level).to(target)
        cameras = cameras.with_focal(metadata.focal * zoom)
        settings = ImageSettings(size, shown.background, splat_scale, metadata.rasterize_mode)
        images = draw_images(scene, cameras.to(target), settings, mode, animate)
        compile_kernels(report, target)
        with report.progress("drawing", total=count) as task:
            files.write(report, task.counted(images))


def _angles(
    yaw: str | None, pitch: str | None, trajectory: str | None, frames: int | None
) -> tuple[list[float], list[float]] | None:
    """Yaws and pitches of the options, degrees; None if neither was given."""
    if yaw is None and pitch is None:
        return None
    if trajectory is not None or frames is not None:
        raise typer.BadParameter(
            "directions are a camera path of their own; choose one",
            param_hint="--yaw, --pitch / --trajectory, --frames",
        )
    return parse_angles(yaw or "0", "--yaw"), parse_angles(pitch or "0", "--pitch")


def _changed(scene: GaussianHierarchy, opaque: bool, by_level: bool) -> GaussianHierarchy:
    """The scene as --opaque and --by-level ask for it."""
    from hgs_toolkit.imaging import looks

    if opaque:
        scene = looks.opaque(scene)
    return looks.painted_by_level(scene) if by_level else scene
