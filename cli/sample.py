"""``hgs sample``: scenes of seeds as files and pictures, a contact sheet and a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, reporting
from hgs_toolkit.cli.sources import Background, ModelArgument, Psi, model_background

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hgs_toolkit.asset import Asset
    from hgs_toolkit.imaging.scene_images import ImageSettings

SHEET_SCENES = 100
"""Scenes on the contact sheet; the first ones, if there are more."""

PICTURE = "png"


def sample(
    model: ModelArgument = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")],
    seeds: Annotated[str, typer.Option("--seeds", help="Which seeds: 0-31 or 1,5,9-12.")] = "0-15",
    psi: Psi = 0.7,
    cutoff: Annotated[
        int | None, typer.Option("--cutoff", min=0, help="Truncate only the first so many style slots.")
    ] = None,
    save: Annotated[str, typer.Option("--save", help="What to write of each scene: hgs, ply, png, ...")] = "hgs,png",
    views: Annotated[int, typer.Option("--views", min=1, max=64, help="Pictures of each scene, side by side.")] = 1,
    size: Annotated[int, typer.Option("--size", min=8, max=4096, help="Height and width of a picture, pixels.")] = 256,
    background: Background = "auto",
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Sample scenes from a model; the same seed always gives the same scene."""
    with reporting(json_progress) as report:
        from hgs_toolkit.checkpoint import load_model, model_config
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.imaging.scene_images import ImageSettings
        from hgs_toolkit.sampling import parse_seeds, sample_assets

        plan = Plan(out, parse_seeds(seeds), [name.strip() for name in save.split(",")], views)
        plan.check(force)
        name = model_config(model).name
        target = choose_device(device)
        generator = load_model(model, target)
        color = model_background(background, generator)
        if PICTURE in plan.kinds:
            compile_kernels(report, target)
        assets = sample_assets(generator, plan.seeds, psi, cutoff, name)
        entries = write_scenes(report, plan, assets, ImageSettings(size, color), target)
        write_manifest(report, plan, entries, {"generator": name, "model": generator.fingerprint, "psi": psi,
                                               "cutoff": cutoff, "views": views, "size": size})  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Which files a sampling makes.

    Attributes:
        folder: where.
        seeds: of which scenes.
        kinds: ``png`` and suffixes of splat formats without their dot.
        views: pictures of each scene.
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
        """Raise an HgsError if a kind is unknown or a file is in the way, before anything is computed."""
        from hgs_toolkit.exporters.table import format_of
        from hgs_toolkit.files import make_folder, refuse_overwrite

        for kind in self.kinds:
            if kind != PICTURE:
                format_of(self.file(0, kind))
        sheet = [self.sheet] if PICTURE in self.kinds else []
        for path in [self.manifest, *sheet, *(self.file(seed, kind) for seed in self.seeds for kind in self.kinds)]:
            refuse_overwrite(path, force=force)
        make_folder(self.folder)


def write_scenes(
    report: Reporter, plan: Plan, assets: Iterator[Asset], shot: ImageSettings, device: torch.device
) -> list[dict[str, Any]]:
    """Write each scene's files and the contact sheet; return the manifest's entries."""
    from hgs_toolkit.imaging.images import grid, save_png

    entries: list[dict[str, Any]] = []
    strips: list[Tensor] = []
    with report.progress("sampling", total=len(plan.seeds)) as task:
        for seed, asset in zip(plan.seeds, assets, strict=True):
            strip = _write_scene(report, plan, seed, asset, shot, device)
            if strip is not None and len(strips) < SHEET_SCENES:
                strips.append(strip)
            scene = asset.scene
            files = {kind: plan.file(seed, kind).name for kind in plan.kinds}
            entries.append({"seed": seed, "gaussians": scene.num_gaussians, "levels": scene.level_counts,
                            "files": files})  # fmt: skip
            task.advance()
    if strips:
        import torch

        columns = None if plan.views == 1 else 1
        save_png(plan.sheet, grid(torch.stack(strips), columns))
        report.file(plan.sheet)
    return entries


def _write_scene(
    report: Reporter, plan: Plan, seed: int, asset: Asset, shot: ImageSettings, device: torch.device
) -> Tensor | None:
    """The files of one scene; the strip of its views, if pictures are wanted."""
    from hgs_toolkit.asset import save_asset
    from hgs_toolkit.exporters.table import export

    strip = None
    for kind in plan.kinds:
        path = plan.file(seed, kind)
        if kind == PICTURE:
            strip = _draw_strip(asset, plan.views, shot, path, device)
        elif kind == "hgs":
            save_asset(path, asset)
        else:
            export(asset.scene, path, metadata=asset.metadata)
        report.file(path)
    return strip


def _draw_strip(asset: Asset, views: int, shot: ImageSettings, path: Path, device: torch.device) -> Tensor:
    import torch

    from hgs_toolkit.imaging.camera_paths import camera_path
    from hgs_toolkit.imaging.images import grid, save_png
    from hgs_toolkit.imaging.scene_images import draw_images

    cameras = camera_path("sweep", views, asset.metadata.focal, asset.metadata.radius)
    pictures = [image.cpu() for image in draw_images(asset.scene.to(device), cameras.to(device), shot)]
    strip = grid(torch.stack(pictures), columns=views)
    save_png(path, strip)
    return strip


def write_manifest(report: Reporter, plan: Plan, entries: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """The last file: what was made, from what."""
    from hgs_toolkit import __version__
    from hgs_toolkit.files import write_json

    write_json(plan.manifest, {"hgs_toolkit": __version__, **facts, "scenes": entries})
    report.file(plan.manifest)
