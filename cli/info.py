"""``hgs info``: what a file or folder is, in a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hgs_toolkit.cli.console import JsonProgress, facts_text, format_bytes, reporting
from hgs_toolkit.cli.sources import DropInvalid

Facts = dict[str, Any]


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A splat file, a model, a run folder or a dataset.")],
    drop_invalid: DropInvalid = False,
    json_progress: JsonProgress = False,
) -> None:
    """Say what a splat file, model, run folder or dataset holds."""
    with reporting(json_progress) as report:
        facts = describe(path, drop_invalid)
        report.result(facts_text(facts), **facts)


def describe(path: Path, drop_invalid: bool = False) -> Facts:
    """Facts about what is at ``path``, ready to be printed; ``drop_invalid`` is as in ``table.load``.

    Raises:
        HgsError: if there is nothing, or nothing known.
    """
    from hgs_toolkit.checkpoint import MODEL_FILE
    from hgs_toolkit.errors import HgsError

    if not path.exists():
        raise HgsError(f"{path} does not exist; expected a splat file, model, run folder or dataset")
    if (path / "config.yaml").is_file() or (path / MODEL_FILE).is_file():
        return _run(path)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _dataset(path)
    return _model(path) if path.suffix.lower() == ".safetensors" else _asset(path, drop_invalid)


def _asset(path: Path, drop_invalid: bool) -> Facts:
    from hgs_toolkit.exporters.table import format_of, read_asset
    from hgs_toolkit.gaussians import BACKGROUND_LEVEL

    kind, asset = format_of(path), read_asset(path, drop_invalid=drop_invalid)
    scene, metadata = asset.scene, asset.metadata
    facts: Facts = {
        "kind": f"{kind.suffix} - {kind.description}",
        "size": format_bytes(path.stat().st_size),
        "gaussians": scene.num_gaussians,
        "levels": " ".join(map(str, scene.level_counts)),
        "background": int((scene.level == BACKGROUND_LEVEL).sum()),
        "sh degree": scene.sh_degree,
    }
    if scene.num_gaussians:
        low, high = scene.means[0].amin(0), scene.means[0].amax(0)
        facts["bounds"] = " ".join(f"{a}[{lo:.3f} {hi:.3f}]" for a, lo, hi in zip("xyz", low, high, strict=True))
    if any(metadata.offset):
        facts["offset"] = " ".join(f"{value:.15g}" for value in metadata.offset)
    if metadata.antialiased:
        facts["trained for"] = "antialiased rendering"
    if metadata.generator:
        facts |= {"generator": metadata.generator, "seed": metadata.seed, "psi": metadata.psi, "model": metadata.model}
    return facts | metadata.extra


def _model(path: Path) -> Facts:
    from hgs_toolkit.checkpoint import NETWORKS_KEY, load_model, read_header, read_metadata
    from hgs_toolkit.files import sha256

    if NETWORKS_KEY in read_metadata(path):
        return _networks(path)
    header = read_header(path)
    config = header.config.generator
    weights = sum(value.numel() for value in load_model(path, "cpu").state_dict().values())
    return {
        "kind": f"model '{header.config.name}' - {header.config.description or 'no description'}",
        "size": format_bytes(path.stat().st_size),
        "weights": f"{weights:,}",
        "resolution": config.resolution,
        "levels": " ".join(map(str, config.level_counts)),
        "hierarchy": config.hierarchy,
        "background": config.background,
        "sha256": sha256(path),
        **_readable(header.facts),
    }


def _readable(facts: dict[str, str]) -> Facts:
    """A model's facts, with one line for the credits of what it learned from."""
    from hgs_toolkit.datasets.attribution import ATTRIBUTION, read_credits, summarise

    if ATTRIBUTION not in facts:
        return dict(facts)
    return facts | {ATTRIBUTION: summarise(read_credits(facts[ATTRIBUTION]))}


def _networks(path: Path) -> Facts:
    from hgs_toolkit.checkpoint import NETWORKS_KEY, read_header
    from hgs_toolkit.files import sha256

    header = read_header(path, NETWORKS_KEY)
    return {
        "kind": f"networks to train on from: '{header.config.name}' (hgs train --init)",
        "size": format_bytes(path.stat().st_size),
        "resolution": header.config.generator.resolution,
        "levels": " ".join(map(str, header.config.generator.level_counts)),
        "discriminator": header.config.discriminator.kind,
        "sha256": sha256(path),
        **_readable(header.facts),
    }


def _run(folder: Path) -> Facts:
    from hgs_toolkit.checkpoint import MODEL_FILE
    from hgs_toolkit.training.stages.plan import PLAN_FILE
    from hgs_toolkit.training.state import RunFolder

    run = RunFolder(folder)
    facts: Facts = {"kind": "run folder"}
    facts |= _model(folder / MODEL_FILE) if run.model_file.is_file() else {"model": "none yet: no tick was reached"}
    log = run.read_log()
    if log:
        facts["last tick"] = json.dumps(log[-1])
    return facts | {"resumable": run.state_file.is_file() or (folder / PLAN_FILE).is_file()}


def _dataset(path: Path) -> Facts:
    from hgs_toolkit.datasets.attribution import ATTRIBUTION, read_credits, summarise
    from hgs_toolkit.datasets.eg3d import open_dataset

    images = open_dataset(path)
    known = read_credits(images.facts.get(ATTRIBUTION))
    return {
        "kind": "posed images (EG3D layout)",
        "images": len(images),
        "resolution": images.stored_resolution,
        "alpha": images.has_alpha,
        "views of a subject": images.views_per_subject,
        **({ATTRIBUTION: summarise(known)} if known else {}),
    }
