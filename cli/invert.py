"""``hgs invert``: photographs into a scene of a model, with everything needed to judge it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, Seed, reporting
from hgs_toolkit.cli.given import refuse_given
from hgs_toolkit.cli.sources import check_class
from hgs_toolkit.errors import ConfigError

if TYPE_CHECKING:
    from hgs_toolkit.cameras import Cameras
    from hgs_toolkit.datasets.critters.drawing import Critter
    from hgs_toolkit.inversion.inversion import Inversion, InversionSettings
    from hgs_toolkit.inversion.target import Target
    from hgs_toolkit.model.generator import Generator

CRITTER = "critter:"
Space = Literal["w", "w+", "pti"]
Perceptual = Literal["auto", "none", "discriminator", "squeeze", "lite0"]

SPLAT = "scene.ply"

MAX_VIEWS = 64
"""Views of one subject, which are all drawn in every step."""

CRITTER_DIGITS = 18
"""Digits that fit 63 bits."""

CRITTER_SET = 1
"""Seed of the set that critter:N is taken from; the shipped model learned from the set 0."""


def invert(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="An image, an EG3D folder or zip with several views of one subject, or critter:N of the demo set.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model.safetensors, a run folder, or a name that 'hgs models' lists; by default critters128.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for latent, scene, images and metrics.json.")],
    camera: Annotated[
        Path | None, typer.Option("--camera", help="JSON file with the image's EG3D camera label.")
    ] = None,
    yaw: Annotated[
        float | None,
        typer.Option(
            "--yaw", min=-360, max=360, help="Camera's yaw in degrees; 0 is the front, positive the subject's left."
        ),
    ] = None,
    pitch: Annotated[
        float | None, typer.Option("--pitch", min=-89, max=89, help="Camera's height above the horizon, degrees.")
    ] = None,
    refine: Annotated[bool, typer.Option("--refine", help="Correct the given camera during the search.")] = False,
    space: Annotated[
        Space, typer.Option("--space", help="Latent space of the search; pti is w+, then the generator is tuned.")
    ] = "w+",
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Class of the subject; by default that whose scenes come closest.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Number of steps of the latent's search.")] = 300,
    tuning_steps: Annotated[
        int, typer.Option("--tuning-steps", min=1, help="Number of steps of the tuning (pti).")
    ] = 200,
    mask: Annotated[Path | None, typer.Option("--mask", help="Image that is white where the subject is.")] = None,
    perceptual: Annotated[
        Perceptual, typer.Option("--perceptual", help="Network whose features are compared.")
    ] = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Find the scene of a model that shows an image; its camera is estimated if none is given."""
    with reporting(json_progress) as report:
        from hgs_toolkit.model_files import find_model, read_header

        if not (image.startswith(CRITTER) or Path(image).exists()):
            raise ConfigError(f"{image} does not exist; expected an image, a dataset of one subject or {CRITTER}N")
        if camera is not None and (yaw is not None or pitch is not None):
            raise typer.BadParameter("both were given; choose one", param_hint="--camera / --yaw, --pitch")
        if space != "pti":
            refuse_given(context, ["tuning_steps"], f"the space '{space}' is searched without tuning, pti is tuned")
        check_class(model, class_name)
        source = find_model(model)
        header = read_header(source)
        report.claim(out)
        from hgs_toolkit.checkpoint import load_model
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.exporters.table import export
        from hgs_toolkit.files import make_folder, refuse_overwrite
        from hgs_toolkit.inversion.inversion import invert as run_inversion
        from hgs_toolkit.inversion.networks import feature_networks
        from hgs_toolkit.inversion.objective import Objective
        from hgs_toolkit.inversion.results import for_files, left_over, measure, result_names, write_results
        from hgs_toolkit.training.stages.warm_start import load_discriminator

        old = left_over(out, source, tuned=space == "pti")
        for path in [*(out / name for name in (*result_names(tuned=space == "pti"), SPLAT)), *old]:
            refuse_overwrite(path, force=force)
        target_device = choose_device(device)
        generator = load_model(model, target_device)
        given = given_camera(generator, camera, yaw, pitch)
        target, truth = read_target(image, generator, given, mask)
        target = target.to(target_device)
        known = given is not None or truth is not None or len(target.cameras) > 1 or _is_dataset(image)
        settings = _settings(space, steps, tuning_steps, seed, class_name, refine=refine, estimate=not known)
        make_folder(out)
        compile_kernels(report, target_device)
        networks = feature_networks(
            perceptual, lambda: load_discriminator(model), generator.config.label_cameras(target.cameras),
            target.coverage,
        )  # fmt: skip
        with report.progress("searching", total=steps + (tuning_steps if space == "pti" else 0)) as task:
            found = run_inversion(
                generator, target, Objective(networks=networks), settings,
                lambda stage, _step, _steps, _loss: task.advance(text=stage),
            )  # fmt: skip
        _tell_camera(report, found)
        if found.fit.class_name and class_name is None:
            report.note(f"the class {found.fit.class_name} was chosen; --class names another one")
        metrics = measure(found, target, truth, networks)
        for file in write_results(out, found, target, metrics, header, truth):
            report.file(file)
        for path in old:
            path.unlink(missing_ok=True)
            report.note(f"{path} was of the earlier result and is removed")
        export(for_files(found), out / SPLAT, extras=True, overwrite=force)
        report.file(out / SPLAT)
        summary = metrics["views"][0]
        report.result("  ".join(f"{key} {value:.3g}" for key, value in summary.items()), **summary)


def _tell_camera(report: Reporter, found: Inversion) -> None:
    """Say which camera was estimated, and what to do where others fit nearly as well."""
    estimate = found.estimate
    if estimate is None:
        return
    angles = (
        f"yaw {estimate.yaw:.0f} +- {estimate.yaw_std:.0f} and pitch {estimate.pitch:.0f} +- "
        f"{estimate.pitch_std:.0f} degrees"
    )
    if estimate.is_sure:
        report.note(f"the camera was estimated: {angles}")
    else:
        report.note(
            f"the camera is not sure: {angles}; if the image was taken from elsewhere, give --yaw and --pitch, or "
            "--camera with its label",
            level="warning",
        )


def given_camera(
    model: Generator, camera: Path | None, yaw: float | None, pitch: float | None
) -> Cameras | None:  # fmt: skip
    """The camera (1,) of the flags; None if there is none."""
    import math

    import torch

    from hgs_toolkit.cameras import from_yaw_pitch
    from hgs_toolkit.inversion.target import read_camera

    if camera is not None:
        return model.config.render_cameras(read_camera(camera))
    if yaw is None and pitch is None:
        return None
    poses = model.config.poses
    angles = torch.tensor([math.radians(yaw or 0.0)]), torch.tensor([math.radians(pitch or 0.0)])
    return from_yaw_pitch(*angles, poses.radius, model.config.focal)


def read_target(
    image: str, model: Generator, camera: Cameras | None, mask: Path | None
) -> tuple[Target, Critter | None]:  # fmt: skip
    """The target that ``image`` means, and the critter it is, if it is one."""
    import torch

    from hgs_toolkit.cameras import Cameras, frontal
    from hgs_toolkit.datasets.critters.drawing import critter
    from hgs_toolkit.datasets.critters.prior import CritterPrior
    from hgs_toolkit.datasets.eg3d import open_dataset
    from hgs_toolkit.inversion.target import Target, read_photograph, subject_fill, target_of_rgba

    resolution = model.config.resolution
    if mask is not None and (_is_dataset(image) or image.startswith(CRITTER)):
        raise ConfigError(f"--mask {mask} belongs to one image; '{image}' brings its own alpha, leave the mask out")
    if image.startswith(CRITTER):
        number = image.removeprefix(CRITTER)
        if not number.isdecimal() or len(number) > CRITTER_DIGITS:
            raise ConfigError(f"'{image}'; expected critter:N with a number N of at most {CRITTER_DIGITS} digits")
        truth, around = critter(CRITTER_SET, int(number)), CritterPrior(poses=model.config.poses)
        if around.has_back:  # photographed from the front all the same
            truth = replace(critter(CRITTER_SET, int(number), around), label=truth.label)
        pixels = torch.from_numpy(truth.render(truth.label, resolution).rgba)[None].float() / 255
        label = torch.from_numpy(truth.label)[None]
        return target_of_rgba(pixels, camera or model.config.render_cameras(Cameras.from_labels(label))), truth
    if _is_dataset(image):
        views = open_dataset(image, resolution)
        if camera is not None:
            raise ConfigError(f"{image} names the camera of each view; leave --camera, --yaw and --pitch out")
        if len(views) > MAX_VIEWS:
            raise ConfigError(f"{image} holds {len(views)} images; expected at most {MAX_VIEWS} views of one subject")
        images, labels = views.batch(range(len(views)))
        return target_of_rgba(images.float() / 255, model.config.render_cameras(Cameras.from_labels(labels))), None
    colors, coverage = read_photograph(image, resolution, mask, subject_fill(model))
    if camera is None:
        camera = frontal(model.config.focal, model.config.poses.radius)
    return Target(colors[None], None if coverage is None else coverage[None], camera), None


def _is_dataset(image: str) -> bool:
    return Path(image).is_dir() or image.lower().endswith(".zip")


def _settings(
    space: str, steps: int, tuning_steps: int, seed: int, class_name: str | None, *, refine: bool, estimate: bool
) -> InversionSettings:  # fmt: skip
    from hgs_toolkit.inversion.inversion import InversionSettings
    from hgs_toolkit.inversion.latent import LatentSettings
    from hgs_toolkit.inversion.tuning import TuningSettings

    latent = LatentSettings(
        space="w" if space == "w" else "w+", steps=steps, seed=seed, refine_camera=refine, class_name=class_name
    )
    tuning = TuningSettings(steps=tuning_steps, seed=seed) if space == "pti" else None
    return InversionSettings(latent, tuning, estimate_camera=estimate)
