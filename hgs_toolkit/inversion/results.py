"""What an inversion leaves: latent, scene, images, numbers, and the tuned model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from hgs_toolkit.asset import Asset, AssetMetadata, save_asset
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config, DiscriminatorConfig
from hgs_toolkit.datasets.attribution import ATTRIBUTION, LICENCE
from hgs_toolkit.datasets.critters.drawing import Critter
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.files import atomic_path, sha256, without_nan, write_json
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import camera_path
from hgs_toolkit.imaging.images import save_png, save_video, to_uint8
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images
from hgs_toolkit.inversion.inversion import Inversion, draw_photographs
from hgs_toolkit.inversion.objective import FeatureMaps
from hgs_toolkit.inversion.quality import compare, novel_cameras, novel_views
from hgs_toolkit.inversion.sheet import sheet
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model_files import MODEL_FILE, ModelHeader, read_header

LATENT, SCENE, SHEET, FILM, METRICS = (
    "latent.safetensors", "scene.hgs", "sheet.png", "turntable.mp4", "metrics.json",
)  # fmt: skip

TURNTABLE_FRAMES, TURNTABLE_SIZE = 60, 256

TUNED_FROM = "tuned_from"
"""Fact of a tuned model: the fingerprint of the model that it was made of."""


def result_names(*, tuned: bool) -> list[str]:
    """Names of the files in the folder of results."""
    return [LATENT, SCENE, SHEET, FILM, METRICS, *([MODEL_FILE] if tuned else [])]


def left_over(out: Path, source: Path, *, tuned: bool) -> list[Path]:
    """The files of an earlier result in ``out`` that are not written anew: its tuned model, if none is ``tuned`` now.

    The model of a training run, which may lie there as well, belongs to no result; ``source``, the model whose scenes
    are searched, is still needed.
    """
    path = out / MODEL_FILE
    if tuned or not path.is_file() or path.samefile(source):
        return []
    try:
        return [path] if TUNED_FROM in read_header(path).facts else []
    except CheckpointError:
        return []


def for_files(found: Inversion) -> GaussianHierarchy:
    """The scene found, on the CPU and widened as sampled ones are: fit to be seen at any size."""
    return widen(found.scene, footprint(found.model.config)).to("cpu")


def write_results(
    out: Path,
    found: Inversion,
    target: Target,
    metrics: dict[str, Any],
    header: ModelHeader,
    truth: Critter | None = None,
) -> list[Path]:
    """Write every file of :func:`result_names` below ``out``; returns their paths.

    Args:
        metrics: of :func:`measure`.
        header: of the model's file; a tuned one keeps its licence and its credits.
        truth: what the photographs show, where that is known.
    """
    config = found.model.config
    focal, radius, name = config.focal, config.poses.radius, header.config.name
    tuned, fingerprint = found.before is not None, found.model.fingerprint
    if tuned:
        judge = DiscriminatorConfig(resolution=config.resolution, classes=config.classes.size)
        facts = {key: header.facts[key] for key in (LICENCE, ATTRIBUTION) if key in header.facts}
        name = f"{name}-tuned"
        save_model(out / MODEL_FILE, found.model, Config(name, "", config, judge), facts | {TUNED_FROM: fingerprint})
        fingerprint = sha256(out / MODEL_FILE)
    metadata = AssetMetadata(
        generator=name, model=fingerprint, focal=focal, radius=radius, class_name=found.fit.class_name
    )
    with atomic_path(out / LATENT) as temporary:
        save_file({"ws": found.fit.ws[0].cpu().contiguous()}, temporary)
    scene = for_files(found)
    save_asset(out / SCENE, Asset(scene, metadata, found.fit.ws[0]))
    save_png(out / SHEET, sheet(found, target, truth))
    turn = draw_images(scene, camera_path("orbit", TURNTABLE_FRAMES, focal, radius), ImageSettings(TURNTABLE_SIZE))
    save_video(out / FILM, map(to_uint8, turn))
    # NaN is of nothing seen, infinity of equal images.
    write_json(out / METRICS, without_nan(metrics))
    return [out / file for file in result_names(tuned=tuned)]


def measure(
    found: Inversion, target: Target, truth: Critter | None, networks: dict[str, FeatureMaps]
) -> dict[str, Any]:  # fmt: skip
    """The content of metrics.json: the photographs' views before and after tuning, and views that nobody saw.

    Args:
        truth: what the photographs show, where that is known.
        networks: in whose features images are compared.
    """
    photographs = target.over(found.fit.background).clamp(0, 1)
    metrics: dict[str, Any] = {
        "views": compare(draw_photographs(found.scene, target, found.fit), photographs, networks),
        "label": found.model.config.label_cameras(found.fit.cameras).labels[0].tolist(),
        "loss": found.losses[-1],
        "steps": len(found.fit.losses),
        "resolution": target.resolution,
        "model": found.model.fingerprint,
    }
    if found.fit.class_name:
        metrics["class"] = found.fit.class_name
    if found.estimate is not None:
        metrics["camera_estimate"] = {
            name: getattr(found.estimate, name) for name in ("yaw", "pitch", "yaw_std", "pitch_std")
        }
    if found.before is not None:
        metrics["views_before_tuning"] = compare(
            draw_photographs(found.before, target, found.fit), photographs, networks
        )
        metrics["tuning_steps"] = len(found.losses)
    if truth is not None:
        config = found.model.config
        cameras = novel_cameras(config.poses, config.focal)
        for key, scene in (("novel_views", found.scene), ("novel_views_before_tuning", found.before)):
            if scene is not None:
                metrics[key] = [asdict(view) for view in novel_views(scene, truth, cameras, target.resolution)]
    return metrics
