"""``hgs video``: looping videos over latents and levels."""

from __future__ import annotations

from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.image_files import MAX_SIZE, Fps, ImageFiles
from hgs_toolkit.cli.sources import (
    Background,
    ModelAndOut,
    Psi,
    check_background,
    model_and_out,
    open_model,
    parse_classes,
    parse_levels,
)
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.imaging.choices import AnimationKind, Mode, Trajectory

DEFAULT_SEEDS = 4
"""Number of scenes where none are named and the frames are enough."""


def video(
    paths: ModelAndOut,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            help="Seeds of the scenes, such as 0-5 or 1,5,9-12, no more than frames; by default the first four.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        AnimationKind,
        typer.Option(
            "--kind",
            help="interpolate walks from seed to seed and back to the first, mix keeps the first "
            "seed and takes the others' styles at --levels.",
        ),
    ] = "interpolate",
    frames: Annotated[int, typer.Option("--frames", min=1, max=100_000, help="Frames of one turn of the loop.")] = 120,
    fps: Fps = 30,
    size: Annotated[int, typer.Option("--size", min=8, max=MAX_SIZE, help="Height and width of a pane, pixels.")] = 256,
    panes: Annotated[
        int, typer.Option("--panes", min=1, max=100, help="Panes of a grid, each with its share of the seeds.")
    ] = 1,
    trajectory: Annotated[Trajectory, typer.Option("--trajectory", help="Camera path.")] = "ellipse",
    mode: Annotated[Mode, typer.Option("--mode", help="What the video shows.")] = "rgb",
    levels: Annotated[
        str | None,
        typer.Option(
            "--levels", help="Kind mix: levels whose styles change; by default the finest.", show_default=False
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME[,NAME...]",
            help="Class of all scenes, or one for each seed; by default each seed draws its own.",
            show_default=False,
        ),
    ] = None,
    background: Background = "auto",
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Make a video of a walk through the latents, of growing scenes or of levels; most kinds loop without a seam."""
    model_path, out = model_and_out(paths)
    with reporting(json_progress) as report:
        files = ImageFiles.planned(report, out, frames, fps, force)
        check_background(background, opaque="a video")
        chosen_seeds, chosen_levels = _seeds(seeds, frames), parse_levels(levels)
        classes = parse_classes(model_path, class_name, len(chosen_seeds))
        drawable = open_model(report, model_path, device, background)
        from hgs_toolkit.imaging.animation import AnimationSettings, draw_animation
        from hgs_toolkit.imaging.scene_images import ImageSettings

        image = ImageSettings(size, drawable.background)
        settings = AnimationSettings(frames, image, psi, trajectory, mode, chosen_levels, panes, classes)
        with report.progress("setting the pace"):
            images = draw_animation(kind, drawable.model, chosen_seeds, settings)
        with report.progress("drawing", total=frames) as task:
            files.write(report, task.counted(images))


def _seeds(text: str | None, frames: int) -> list[int]:
    """The seeds that are named, or the first few."""
    from hgs_toolkit.ranges import parse_seeds

    return list(range(min(DEFAULT_SEEDS, max(frames, 2)))) if text is None else parse_seeds(text)
