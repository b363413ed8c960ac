"""``hgs demo``: the whole chain on one machine in a few minutes, from data to files that other programs open."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, format_bytes, reporting

if TYPE_CHECKING:
    import torch

    from hgs_toolkit.asset import Asset
    from hgs_toolkit.training.loop import RunProgress
    from hgs_toolkit.training.state import RunFolder

PRESET = "critters32"
LEANER = (
    "generator.channels=[96,64,48]", "generator.level_blocks=[adain,adain]", "generator.transformer_blocks=2",
    "discriminator.channels=[32,64,96,128]", "training.batch=8", "training.warmup_steps=20", "training.blur_kimg=1",
    "training.blur_sigma=2", "training.ema_kimg=0.3", "training.generator_lr=0.002", "training.metric_kimg=null",
)  # fmt: skip
"""Changes to the preset for a run of minutes: a step costs a seventh; silhouettes appear after some 2.5 kimg."""

IMAGES = 2000
SEEDS = list(range(16))
PICTURE_SIZE = 256
MESH_RESOLUTION = 128
MESH_FACES = 20_000

TURNTABLE_FRAMES = 60
WORKERS = min(os.cpu_count() or 1, 4)

Made = dict[Path, str]
"""What opens each file that was made."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for all files.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, max=600, help="Training time, minutes.")] = 2.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the data and of training.")] = 0,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Make data, train on them, sample, draw and export: the whole chain in a few minutes."""
    with reporting(json_progress) as report:
        from hgs_toolkit.cli.kernels import compile_kernels
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.training.state import RunFolder

        data, run = out / "critters.zip", RunFolder(out / "run")
        target = choose_device(device)
        report.claim(out)
        refuse_leftovers(out, run, force)
        compile_kernels(report, target)
        _make_data(report, data, seed, force)
        _train(report, data, run, minutes, seed, target)
        made: Made = {
            data: "training images: any zip program",
            run.path: "the run: hgs info, hgs train --resume --out, hgs sample",
        }
        made |= _sample(report, out / "samples", run.model_file, target)
        _summarise(report, made)


def refuse_leftovers(out: Path, run: RunFolder, force: bool) -> None:
    """An earlier demo's run is replaced by ``--force`` only."""
    from hgs_toolkit.files import make_folder, refuse_overwrite

    make_folder(out)
    refuse_overwrite(out / "critters.zip", force=force)
    samples = out / "samples"
    for file in (run.state_file, run.model_file, *(sorted(samples.iterdir())[:1] if samples.is_dir() else ())):
        refuse_overwrite(file, force=force)


def _make_data(report: Reporter, path: Path, seed: int, force: bool) -> None:
    from hgs_toolkit.datasets.critters.drawing import make_critters
    from hgs_toolkit.settings_io import load_preset

    resolution = load_preset(PRESET).generator.resolution
    with report.progress(f"making {IMAGES} training images", total=IMAGES) as task:
        make_critters(
            path, IMAGES, resolution, seed=seed, workers=WORKERS, force=force,
            progress=lambda done, total: task.update(done, total),
        )  # fmt: skip
    report.file(path)


def _train(report: Reporter, data: Path, run: RunFolder, minutes: float, seed: int, device: torch.device) -> None:
    from hgs_toolkit.datasets.eg3d import open_dataset
    from hgs_toolkit.settings_io import load_preset
    from hgs_toolkit.training.distributed import World
    from hgs_toolkit.training.loop import train

    config = load_preset(PRESET, [*LEANER, f"training.seed={seed}"])
    started = time.monotonic()
    with report.progress("training", total=round(minutes * 60)) as task:

        def show(progress: RunProgress) -> None:
            elapsed = min(round(time.monotonic() - started), round(minutes * 60))
            task.update(elapsed, text=f"training, {progress.kimg * 1000:.0f} images shown, seconds")

        images = open_dataset(data)
        run.state_file.unlink(missing_ok=True)  # of an earlier demo, which --force replaces now and not before
        train(config, images, run.path, minutes=minutes, world=World(device=device), report=show)
    report.file(run.model_file)


def _sample(report: Reporter, folder: Path, trained: Path, device: torch.device) -> Made:
    """Scenes of the shipped model, or of the one just trained where none ships."""
    from hgs_toolkit.checkpoint import load_model
    from hgs_toolkit.cli.sample import SamplingPlan, write_manifest, write_scenes
    from hgs_toolkit.imaging.scene_images import ImageSettings
    from hgs_toolkit.model_files import PRETRAINED, model_config
    from hgs_toolkit.sampling import sample_assets

    file = PRETRAINED if PRETRAINED.is_file() else trained
    model, name = load_model(file, device), model_config(file).name
    plan = SamplingPlan(folder, SEEDS, ["hgs", "png"], views=1)
    plan.check(force=True)
    assets = list(sample_assets(model, SEEDS, name=name))
    entries = write_scenes(report, plan, iter(assets), ImageSettings(PICTURE_SIZE), device)
    write_manifest(report, plan, entries, {"generator": name, "model": model.fingerprint})
    made = {plan.sheet: f"{len(SEEDS)} samples of {'the shipped model' if file == PRETRAINED else 'your model'}"}
    made[plan.file(SEEDS[0], "hgs")] = "one scene with its tree: hgs render, hgs export"
    made |= _mesh(report, folder / "mesh.glb", assets[0])
    made |= _export(report, folder, assets[0]) | _page(report, folder / "page.html", assets[0])
    return made | _film(report, folder / "turntable.mp4", assets[0], device)


def _export(report: Reporter, folder: Path, asset: Asset) -> Made:
    """The first scene in every format of other programs."""
    from hgs_toolkit.exporters.table import FORMATS, NATIVE, export

    made = {}
    for known in FORMATS:
        if known.writer is not None and known.suffix != NATIVE:
            # A format whose files have a name of their own keeps to a folder.
            is_suffix = known.suffix.startswith(".")
            path = folder / (f"seed{SEEDS[0]:04d}{known.suffix}" if is_suffix else f"levels/{known.suffix}")
            export(asset.scene, path, metadata=asset.metadata, overwrite=True)
            report.file(path)
            made[path] = known.description
    return made


def _mesh(report: Reporter, path: Path, asset: Asset) -> Made:
    """A solid of the first scene; none where a model that saw little training has made no shape yet."""
    from hgs_toolkit.errors import FormatError
    from hgs_toolkit.exporters.meshes.meshing import mesh
    from hgs_toolkit.exporters.meshes.table import write_mesh

    try:
        made = mesh(asset.scene, resolution=MESH_RESOLUTION, faces=MESH_FACES)
    except FormatError as error:
        report.note(f"no mesh: {error}", "warning")
        return {}
    write_mesh(path, made, overwrite=True)
    report.file(path)
    return {path: "a closed mesh with colours: Blender, engines, any glTF viewer"}


def _page(report: Reporter, path: Path, asset: Asset) -> Made:
    from hgs_toolkit.viewer.page import PageSettings, save_page

    save_page(path, asset.scene, PageSettings.of(asset.metadata, f"Seed {SEEDS[0]}"))
    report.file(path)
    return {path: "the scene to turn and take apart: any browser, also offline"}


def _film(report: Reporter, path: Path, asset: Asset, device: torch.device) -> Made:
    from hgs_toolkit.imaging.camera_paths import camera_path
    from hgs_toolkit.imaging.images import save_video, to_uint8
    from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images

    cameras = camera_path("orbit", TURNTABLE_FRAMES, asset.metadata.focal, asset.metadata.radius).to(device)
    with report.progress("filming", total=TURNTABLE_FRAMES) as task:
        pictures = task.counted(draw_images(asset.scene.to(device), cameras, ImageSettings(PICTURE_SIZE)))
        save_video(path, map(to_uint8, pictures))
    report.file(path)
    return {path: "turntable film: any player or browser"}


def _summarise(report: Reporter, made: Made) -> None:
    rows = [(path, format_bytes(_size(path)), opened_by) for path, opened_by in made.items()]
    report.table(["made", "size", "opens in"], rows)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
