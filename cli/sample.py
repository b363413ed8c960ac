"""``hgs sample``: scenes of seeds as files and images, a contact sheet and a manifest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, reporting
from hgs_toolkit.cli.given import refuse_given
from hgs_toolkit.cli.sources import (
    Background,
    ClassName,
    ModelArgument,
    Psi,
    check_background,
    check_class,
    open_model,
)
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hgs_toolkit.asset import Asset
    from hgs_toolkit.imaging.scene_images import ImageSettings

SHEET_SCENES = 100
"""Number of scenes on the contact sheet, at most; the first ones are taken."""

AHEAD = 2
"""Scenes that may be drawn but not written yet."""

IMAGE_SIZE = 256
"""Height and width of an image where no other is asked for, pixels."""

IMAGE = "png"
"""The kind of file that is an image; the others are splat formats."""


def sample(
    context: typer.Context,
    model: ModelArgument = None,
    *,
    named: Annotated[
        str | None,
        typer.Option("--model", help="The same by an option: --model NAME, see 'hgs models'.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files; it is made if needed.")],
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of the scenes, such as 0-31 or 1,5,9-12.")] = "0-15",
    class_name: ClassName = None,
    psi: Psi = DEFAULT_PSI,
    cutoff: Annotated[
        int | None,
        typer.Option(
            "--cutoff", min=0, help="Number of style slots that are truncated, the coarse ones first; by default all."
        ),
    ] = None,
    save: Annotated[
        str, typer.Option("--save", help="Files of each scene: png and suffixes of splat formats, joined by commas.")
    ] = "hgs,png",
    views: Annotated[int, typer.Option("--views", min=1, max=64, help="Images of each scene, side by side.")] = 1,
    size: Annotated[
        int, typer.Option("--size", min=8, max=4096, help="Height and width of an image, pixels.")
    ] = IMAGE_SIZE,
    background: Background = "auto",
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Sample scenes from a model; the same seed always gives the same scene."""
    with reporting(json_progress) as report:
        if named is not None:
            if model is not None:
                raise typer.BadParameter(f"{named} and {model} are both models; name one", param_hint="--model")
            model = Path(named)
        from hgs_toolkit.ranges import parse_seeds

        plan = SamplingPlan(out, parse_seeds(seeds), parse_kinds(save), views)
        if IMAGE not in plan.kinds:
            refuse_given(context, ["size", "views", "background"], f"--save {save} names no {IMAGE}")
        check_background(background)
        style = StyleOptions(psi, cutoff, class_name)
        sample_batch(report, model, plan, style, size=size, background=background, device=device, force=force)


def parse_kinds(text: str) -> list[str]:
    """The kinds of file of ``--save``, such as ``png, .PLY``: ``png`` and suffixes of splat formats, without their dot.

    Raises:
        ConfigError: naming the first that is neither.
    """
    from hgs_toolkit.exporters.table import FORMATS

    known = [IMAGE, *(row.suffix.removeprefix(".") for row in FORMATS)]
    kinds = [name.strip().lower().removeprefix(".") for name in text.split(",")]
    for kind in kinds:
        if kind not in known:
            hint = did_you_mean(kind, known)
            raise ConfigError(f"--save names '{kind}', which is no known format{hint}; known: {', '.join(known)}")
    return list(dict.fromkeys(kinds))


@dataclass(frozen=True)
class StyleOptions:
    """What is drawn of a model's variety; the defaults and meanings are those of the command's options."""

    psi: float = DEFAULT_PSI
    cutoff: int | None = None
    class_name: str | None = None


def sample_batch(
    report: Reporter, model: Path | None, plan: SamplingPlan, style: StyleOptions, *, size: int = IMAGE_SIZE,
    background: str = "auto", device: str = "auto", force: bool = False,
) -> None:  # fmt: skip
    """Sample what ``plan`` names, within a command; the arguments are the options of ``hgs sample``.

    Raises:
        HgsError: if something of it cannot be had, or a file is there already and ``force`` is off.
    """
    from hgs_toolkit.datasets.attribution import terms_of
    from hgs_toolkit.model_files import find_model, read_header

    header = read_header(find_model(model))
    name = header.config.name
    check_class(model, style.class_name)
    report.claim(plan.folder)
    plan.check(force)
    drawable = open_model(report, model, device, background, draws=IMAGE in plan.kinds)
    from hgs_toolkit.imaging.scene_images import ImageSettings
    from hgs_toolkit.sampling import sample_assets

    if style.cutoff is not None and style.cutoff > drawable.model.num_ws:
        raise ConfigError(f"--cutoff {style.cutoff}; this model has {drawable.model.num_ws} style slots")
    assets = sample_assets(drawable.model, plan.seeds, style.psi, style.cutoff, name, style.class_name)
    settings = ImageSettings(size, drawable.background)
    entries = write_scenes(report, plan, assets, settings, drawable.device)
    known = {"classes": list(drawable.model.config.classes.names)} if drawable.model.config.classes.size else {}
    facts = {"generator": name, "model": drawable.model.fingerprint, "psi": style.psi, "cutoff": style.cutoff}
    write_manifest(
        report, plan, entries, {**facts, "views": plan.views, "size": size, **known, **terms_of(header.facts)}
    )


@dataclass(frozen=True)
class SamplingPlan:
    """The files that a sampling makes.

    Attributes:
        folder: folder of all files.
        seeds: seeds of the scenes.
        kinds: ``png`` and suffixes of splat formats without their dot.
        views: number of images of each scene.
    """

    folder: Path
    seeds: list[int]
    kinds: list[str]
    views: int

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "contact.png"

    @property
    def manifest(self) -> Path:
        """What was made, as JSON."""
        return self.folder / "manifest.json"

    def file(self, seed: int, kind: str) -> Path:
        """The file of one scene."""
        return self.folder / f"seed{seed:04d}.{kind}"

    def check(self, force: bool) -> None:
        """Raise an HgsError if a kind is unknown or a file exists already, before anything is computed."""
        from hgs_toolkit.exporters.table import check_target
        from hgs_toolkit.files import make_folder, refuse_overwrite

        for kind in self.kinds:
            if kind != IMAGE:
                check_target(self.file(0, kind))
        sheet = [self.sheet] if IMAGE in self.kinds else []
        for path in [self.manifest, *sheet, *(self.file(seed, kind) for seed in self.seeds for kind in self.kinds)]:
            refuse_overwrite(path, force=force)
        make_folder(self.folder)


def write_scenes(
    report: Reporter, plan: SamplingPlan, assets: Iterator[Asset], settings: ImageSettings, device: torch.device
) -> list[dict[str, Any]]:
    """Write each scene's files and the contact sheet; return the manifest's entries."""
    from hgs_toolkit.imaging.images import grid, save_png

    entries: list[dict[str, Any]] = []
    strips: list[Tensor] = []
    # While a thread packs and writes a scene, the next one is made and drawn.
    with report.progress("sampling", total=len(plan.seeds)) as task, ThreadPoolExecutor(1, "writing") as writer:
        waiting: deque[Future[list[Path]]] = deque()

        def finish_one() -> None:
            for path in waiting.popleft().result():
                report.file(path)
            task.advance()

        try:
            for seed, asset in zip(plan.seeds, assets, strict=True):
                strip = _draw_strip(asset, plan.views, settings, device) if IMAGE in plan.kinds else None
                waiting.append(writer.submit(_write_scene, plan, seed, asset, strip))
                if strip is not None and len(strips) < SHEET_SCENES:
                    strips.append(strip)
                scene = asset.scene
                files = {kind: plan.file(seed, kind).name for kind in plan.kinds}
                kind = {"class": asset.metadata.class_name} if asset.metadata.class_name else {}
                entries.append({"seed": seed, **kind, "gaussians": scene.num_gaussians, "levels": scene.level_counts,
                                "files": files})  # fmt: skip
                if len(waiting) > AHEAD:
                    finish_one()
            while waiting:
                finish_one()
        except BaseException:
            writer.shutdown(cancel_futures=True)
            raise
    if strips:
        import torch

        columns = None if plan.views == 1 else 1
        save_png(plan.sheet, grid(torch.stack(strips), columns))
        report.file(plan.sheet)
    return entries


def _write_scene(plan: SamplingPlan, seed: int, asset: Asset, strip: Tensor | None) -> list[Path]:
    """Write the files of one scene, of which ``strip`` is the image; return them."""
    from hgs_toolkit.asset import save_asset
    from hgs_toolkit.exporters.table import export
    from hgs_toolkit.imaging.images import save_png

    paths = []
    for kind in plan.kinds:
        path = plan.file(seed, kind)
        if kind == IMAGE:
            assert strip is not None
            save_png(path, strip)
        elif kind == "hgs":
            save_asset(path, asset)
        else:
            export(asset.scene, path, metadata=asset.metadata, overwrite=True)
        paths.append(path)
    return paths


def _draw_strip(asset: Asset, views: int, settings: ImageSettings, device: torch.device) -> Tensor:
    """The views of a scene side by side."""
    import torch

    from hgs_toolkit.imaging.camera_paths import camera_path
    from hgs_toolkit.imaging.images import grid
    from hgs_toolkit.imaging.scene_images import draw_images

    cameras = camera_path("sweep", views, asset.metadata.focal, asset.metadata.radius)
    images = [image.cpu() for image in draw_images(asset.scene.to(device), cameras.to(device), settings)]
    return grid(torch.stack(images), columns=views)


def write_manifest(report: Reporter, plan: SamplingPlan, entries: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Write the last file, which tells what was made from what."""
    from hgs_toolkit import __version__
    from hgs_toolkit.files import write_json

    write_json(plan.manifest, {"hgs_toolkit": __version__, **facts, "scenes": entries})
    report.file(plan.manifest)
