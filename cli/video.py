"""``hgs video``: looping films over latents and levels."""

from __future__ import annotations

from typing import Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, reporting
from hgs_toolkit.cli.footage import MAX_SIZE, Footage, Fps, Trajectory
from hgs_toolkit.cli.sources import (
    Background,
    ModelAndOut,
    Psi,
    model_and_out,
    model_background,
    parse_levels,
)


def video(
    paths: ModelAndOut,
    seeds: Annotated[str, typer.Option("--seeds", help="Which seeds: 0-5 or 1,5,9-12.")] = "0-3",
    kind: Annotated[
        str,
        typer.Option("--kind", help="interpolate (from seed to seed and back to the first), mix (the first seed, with "
                                    "the others' styles at --levels), grow, shrink or levels."),
    ] = "interpolate",
    frames: Annotated[int, typer.Option("--frames", min=1, max=100_000, help="Frames of one turn of the loop.")] = 120,
    fps: Fps = 30,
    size: Annotated[int, typer.Option("--size", min=8, max=MAX_SIZE, help="Height and width of a pane, pixels.")] = 256,
    panes: Annotated[
        int, typer.Option("--panes", min=1, max=100, help="Films in a grid, each of its share of the seeds.")
    ] = 1,
    trajectory: Trajectory = "ellipse",
    mode: Annotated[str, typer.Option("--mode", help="What to draw, as in hgs render.")] = "rgb",
    levels: Annotated[
        str | None, typer.Option("--levels", help="Kind mix: levels whose style changes; default the finest.")
    ] = None,
    background: Background = "auto",
    psi: Psi = 0.7,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:  # fmt: skip
    """Film a walk through the latents, the growth of scenes or their levels; films loop without a seam."""
    model_path, out = model_and_out(paths)
    with reporting(json_progress) as report:
        from hgs_toolkit.checkpoint import load_model
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.imaging.animation import AnimationSettings, draw_animation
        from hgs_toolkit.imaging.scene_images import ImageSettings
        from hgs_toolkit.sampling import parse_seeds

        footage = Footage.planned(out, frames, fps, force)
        if background == "transparent":
            raise ConfigError("films have no transparency; choose a colour for --background")
        target = choose_device(device)
        model = load_model(model_path, target)
        shot = ImageSettings(size, model_background(background, model))
        direction = AnimationSettings(frames, shot, psi, trajectory, mode, parse_levels(levels), panes)
        compile_kernels(report, target)
        with report.progress("setting the pace"):
            pictures = draw_animation(kind, model, parse_seeds(seeds), direction)
        with report.progress("filming", total=frames) as task:
            footage.write(report, task.counted(pictures))
