"""``hgs dataset convert``: posed images of other programs, or images without cameras, as an EG3D set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgs_toolkit.cli.console import Force, JsonProgress, Reporter, Seed, reporting
from hgs_toolkit.cli.given import refuse_given
from hgs_toolkit.cli.sources import check_data, check_data_out, parse_background
from hgs_toolkit.errors import DataError

if TYPE_CHECKING:
    from hgs_toolkit.datasets.convert import Converted
    from hgs_toolkit.datasets.sources.bare import AssumedPoses
    from hgs_toolkit.datasets.world import PlacementOptions

WHITE = (1.0, 1.0, 1.0)
"""What ``--background auto`` means."""

MOST_ROWS = 10
"""Number of scenes and of problems that are listed."""


SourceKind = Literal["auto", "transforms", "cameras", "colmap", "bare"]
Crop = Literal["principal", "center", "pad"]
Up = Literal["auto", "cameras", "keep", "x", "-x", "y", "-y", "z", "-z"]
Front = Literal["keep", "mean"]
PoseKind = Literal["frontal", "normal", "uniform", "turntable"]


def convert(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="Folder, .zip, transforms.json or cameras.json.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A .zip archive or a folder to write.", show_default=False)],
    kind: Annotated[
        SourceKind, typer.Option("--from", help="What PATH holds; bare is images without cameras.")
    ] = "auto",
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder or archive of the images, if they are not in PATH.")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            help="Side of the images, pixels; by default the largest multiple of 16 in the smallest square.",
        ),
    ] = None,
    crop: Annotated[
        Crop, typer.Option("--crop", help="How squares are cut; principal is around the principal point.")
    ] = "principal",
    background: Annotated[
        str, typer.Option("--background", help="'transparent' keeps alpha; a colour is put behind it.")
    ] = "transparent",
    up: Annotated[
        Up, typer.Option("--up", help="Axis of the file that points up; cameras takes the images' mean up direction.")
    ] = "auto",
    front: Annotated[Front, typer.Option("--front", help="mean turns the mean camera to the front.")] = "keep",
    center: Annotated[
        str, typer.Option("--center", help="Point that becomes the origin: look-at, keep, or x,y,z.")
    ] = "look-at",
    radius: Annotated[
        float, typer.Option("--radius", help="Median distance of the cameras after scaling; 0 keeps the scale.")
    ] = 2.7,
    keep_world: Annotated[bool, typer.Option("--keep-world", help="Neither turn, nor centre, nor scale.")] = False,
    law: Annotated[
        PoseKind | None, typer.Option("--law", help="Distribution of assumed poses, for images without cameras.")
    ] = None,
    yaw: Annotated[float, typer.Option("--yaw", help="Spread of the assumed yaw, degrees.")] = 20,
    pitch: Annotated[float, typer.Option("--pitch", help="Spread of the assumed pitch, degrees.")] = 10,
    pitch_mean: Annotated[float, typer.Option("--pitch-mean", help="Mean of the assumed pitch, degrees.")] = 0,
    focal: Annotated[
        float, typer.Option("--focal", help="Assumed focal length over the image's shorter side.")
    ] = 4.2647,
    classes: Annotated[
        bool,
        typer.Option(
            "--classes",
            help="Keep the classes of a StyleGAN set's labels, or else take each image's first folder as its class.",
            show_default=False,
        ),
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that are missing or broken.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Convert images with the cameras of NeRF, 3D-GS or COLMAP, or bare images, to a set that hgs train reads."""
    with reporting(json_progress) as report:
        check_data(path)
        check_data_out(out, force=force)
        _refuse_unused(context, keep_world=keep_world, law=law)
        from hgs_toolkit.datasets.convert import Framing, convert_scenes, has_label_classes, image_classes
        from hgs_toolkit.datasets.eg3d_writer import refuse_within
        from hgs_toolkit.datasets.sources import CAMERA_SUFFIXES, read_scenes

        one_file = path.is_file() and path.suffix.lower() in CAMERA_SUFFIXES
        for source in (path.parent if one_file else path, *([images] if images is not None else [])):
            refuse_within(source, out)
        report.claim(out)

        world = _world(up, front, center, radius, keep_world)
        framing = Framing(crop, resolution, parse_background(background, WHITE))
        problems: list[str] | None = [] if skip_broken else None
        poses = _law(law, yaw, pitch, pitch_mean, focal, radius, seed)
        with report.progress("reading cameras"):
            scenes = read_scenes(path, kind, images, poses, problems)
        kinds = image_classes(scenes) if classes else None
        if kinds is None and has_label_classes(scenes):
            report.note("the labels of dataset.json are classes, which are left out; --classes keeps them")
        with report.progress("converting") as task:
            made = convert_scenes(
                scenes, out, world, framing, force=force, problems=problems,
                progress=lambda done, total: task.update(done, total), classes=kinds,
            )  # fmt: skip
        _say(report, made, problems or [])
        report.file(out, images=made.images, poses=made.assumed or "measured")


def _refuse_unused(context: typer.Context, *, keep_world: bool, law: str | None) -> None:
    """Refuse options that change nothing: of assumed poses where cameras are read, and of placing where none is."""
    placing, spread = ["up", "front", "center"], ["yaw", "pitch"]
    if law is None:
        refuse_given(context, [*spread, "pitch_mean", "focal"], "poses are assumed with --law alone")
    else:
        refuse_given(context, [*placing, "keep_world"], "assumed poses are in the world of training already")
    if law in ("frontal", "turntable"):
        refuse_given(context, spread, f"--law {law} has no spread")
    if keep_world:
        refuse_given(context, [*placing, "radius"], "--keep-world leaves the world as it is")


def _law(
    kind: str | None, yaw: float, pitch: float, pitch_mean: float, focal: float, radius: float, seed: int
) -> AssumedPoses | None:
    from hgs_toolkit.datasets.sources.bare import AssumedPoses

    return AssumedPoses(kind, yaw, pitch, pitch_mean, focal, radius, seed) if kind is not None else None


def _world(up: str, front: str, center: str, radius: float, keep_world: bool) -> PlacementOptions:
    from hgs_toolkit.datasets.world import KEEP_WORLD, PlacementOptions

    if keep_world:
        return KEEP_WORLD
    named = center in ("look-at", "keep")
    return PlacementOptions(up, front, center if named else _three(center), radius if radius != 0 else None)


def _three(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise DataError(f"--center {text}; expected look-at, keep or three numbers such as 0,0,1") from error
    return x, y, z


def _say(report: Reporter, made: Converted, problems: list[str]) -> None:
    """What was done to the images, and what a person should know about the result."""
    for problem in problems[:MOST_ROWS]:
        report.note(problem, level="warning")
    if made.unplaced:
        report.note(f"{made.unplaced} scenes are left out with all their images", level="warning")
    if images := len(problems) - made.unplaced:
        report.note(f"{images} images are left out", level="warning")
    for misfit in made.misfits[:MOST_ROWS]:
        report.note(misfit, level="warning")
    if made.assumed is not None:
        report.note(f"the poses are no measurement: no image was looked at; they are {made.assumed}", level="warning")
    if made.enlarged:
        report.note(f"{made.enlarged} images are enlarged to {made.resolution} pixels", level="warning")
    for name, images, placement in made.worlds[:MOST_ROWS] if made.assumed is None else ():
        report.note(f"{name}: {images} images, world: {placement}")
    if len(made.worlds) > MOST_ROWS:
        report.note(f"and {len(made.worlds) - MOST_ROWS} scenes more")
    report.note(f"{made.images} images, {made.resolution} x {made.resolution} {made.mode}")
