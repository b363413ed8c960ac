"""``hgs info``: what a file or folder is, in a few lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hgs_toolkit.cli.console import JsonProgress, facts_text, format_bytes, reporting
from hgs_toolkit.cli.sources import RUN_FILES, DropInvalid

if TYPE_CHECKING:
    from hgs_toolkit.config import ClassPrior
    from hgs_toolkit.model_files import ModelHeader


@dataclass(frozen=True)
class Fact:
    """One line of the answer.

    Attributes:
        name: its heading in the text.
        text: its value in the text.
        key: its key in JSON, with the unit where there is one; empty for the name.
        value: its value in JSON; None for the text.
    """

    name: str
    text: object
    key: str = ""
    value: Any = None


def info(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A splat file, a model (or its name), a run folder or a dataset.", show_default=False
        ),
    ],
    drop_invalid: DropInvalid = False,
    json_progress: JsonProgress = False,
) -> None:
    """Tell what a splat file, model, run folder or dataset holds."""
    with reporting(json_progress) as report:
        facts = describe(path, drop_invalid)
        texts = {fact.name: fact.text for fact in facts}
        report.result(facts_text(texts), **{f.key or f.name: f.text if f.value is None else f.value for f in facts})


def describe(path: Path, drop_invalid: bool = False) -> list[Fact]:
    """Facts about what is at ``path``; ``drop_invalid`` is as in ``table.load``.

    Raises:
        HgsError: if there is nothing, or nothing known.
    """
    from hgs_toolkit.errors import HgsError
    from hgs_toolkit.model_files import MODEL_FILE, shipped_file

    if not path.exists():
        shipped = shipped_file(path)
        if shipped is None:
            raise HgsError(
                f"{path} does not exist; expected a splat file, model, run folder or dataset, or a name that "
                "'hgs models' lists"
            )
        path = shipped
    if any((path / name).is_file() for name in (*RUN_FILES, MODEL_FILE)):
        return _run(path)
    if (path / "plan.json").is_file():
        return _synthesized(path)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _dataset(path)
    return _model(path) if path.suffix.lower() == ".safetensors" else _asset(path, drop_invalid)


def _size(path: Path) -> Fact:
    size = path.stat().st_size
    return Fact("size", format_bytes(size), "size_bytes", size)


def _levels(counts: list[int] | tuple[int, ...]) -> Fact:
    return Fact("levels", " ".join(map(str, counts)), "gaussians_per_level", list(counts))


def _number(value: str) -> Any:
    """The number that a text of a model's facts is, or the text."""
    try:
        return float(value) if "." in value or "e" in value.lower() else int(value)
    except ValueError:
        return value


def _asset(path: Path, drop_invalid: bool) -> list[Fact]:
    from hgs_toolkit.exporters.table import format_of

    known = format_of(path)
    from hgs_toolkit.exporters.summary import summarize_splats

    found = summarize_splats(path, drop_invalid=drop_invalid)
    metadata = found.metadata
    facts = [
        Fact("kind", f"{known.suffix} - {known.description}"), _size(path), Fact("gaussians", found.gaussians),
        _levels(found.level_counts), Fact("background", found.background, "background_gaussians"),
        Fact("sh degree", found.sh_degree, "sh_degree"),
    ]  # fmt: skip
    if found.low:
        text = " ".join(f"{a}[{lo:.3f} {hi:.3f}]" for a, lo, hi in zip("xyz", found.low, found.high, strict=True))
        facts.append(Fact("bounds", text, "bounds_world_units", [found.low, found.high]))
    if any(metadata.offset):
        text = " ".join(f"{value:.15g}" for value in metadata.offset)
        facts.append(Fact("offset", text, "offset_world_units", list(metadata.offset)))
    if metadata.antialiased:
        facts.append(Fact("trained for", "antialiased rendering", "trained_for"))
    if metadata.generator:
        facts += [Fact(name, getattr(metadata, name)) for name in ("generator", "seed", "psi", "model")]
    return facts + [Fact(name, value) for name, value in metadata.extra.items()]


def _facts_of(header: ModelHeader) -> list[Fact]:
    """Facts of a model file, with one line for the credits of what it learned from."""
    facts = dict(header.facts)
    if "attribution" in facts:
        from hgs_toolkit.datasets.attribution import credits_in, summarise

        facts["attribution"] = summarise(credits_in(facts))
    return [Fact(name, value, value=_number(value)) for name, value in facts.items()]


def _model(path: Path) -> list[Fact]:
    from hgs_toolkit.files import sha256
    from hgs_toolkit.model_files import NETWORKS_KEY, count_weights, read_header, read_metadata

    if NETWORKS_KEY in read_metadata(path):
        return _networks(path)
    header = read_header(path)
    config = header.config.generator
    weights = count_weights(path)
    return [
        Fact("kind", f"model '{header.config.name}' - {header.config.description or 'no description'}"), _size(path),
        Fact("weights", f"{weights:,}", value=weights), Fact("resolution", config.resolution, "resolution_pixels"),
        _levels(config.level_counts), Fact("hierarchy", config.hierarchy), Fact("background", config.background),
        *_classes(config.classes), Fact("sha256", sha256(path)), *_facts_of(header),
    ]  # fmt: skip


def _classes(prior: ClassPrior) -> list[Fact]:
    """What a model tells apart: names, and the class vectors that occur in its dataset, by their texts."""
    if not prior.size:
        return []
    occurring = [Fact("occurring classes", ", ".join(prior.texts), "occurring_classes", list(prior.texts))]
    return [Fact("classes", ", ".join(prior.names), value=list(prior.names)), *occurring * bool(prior.vectors)]


def _networks(path: Path) -> list[Fact]:
    from hgs_toolkit.files import sha256
    from hgs_toolkit.model_files import NETWORKS_KEY, read_header

    header = read_header(path, NETWORKS_KEY)
    generator = header.config.generator
    return [
        Fact("kind", f"networks to train on from: '{header.config.name}' (hgs train --init)"), _size(path),
        Fact("resolution", generator.resolution, "resolution_pixels"), _levels(generator.level_counts),
        *_classes(generator.classes), Fact("discriminator", header.config.discriminator.kind),
        Fact("sha256", sha256(path)), *_facts_of(header),
    ]  # fmt: skip


def _run(folder: Path) -> list[Fact]:
    from hgs_toolkit.model_files import MODEL_FILE, newest_stage

    facts = [Fact("kind", "run folder")]
    if (folder / MODEL_FILE).is_file():
        facts += [fact for fact in _model(folder / MODEL_FILE) if fact.name != "kind"]
    else:
        facts.append(Fact("model", "none yet: no tick was reached"))
    if (tick := _last_tick(newest_stage(folder) / "log.jsonl")) is not None:
        facts.append(Fact("last tick", json.dumps(tick), "last_tick", tick))
    resumable = (folder / "state.pt").is_file() or (folder / "plan.yaml").is_file()
    return [*facts, Fact("resumable", resumable)]


def _last_tick(log: Path) -> dict[str, Any] | None:
    """The last whole line of a run's log."""
    if not log.is_file():
        return None
    for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            tick: dict[str, Any] = json.loads(line)
        except (ValueError, RecursionError):  # a line that a killed run left unfinished
            continue
        return tick
    return None


def _synthesized(folder: Path) -> list[Fact]:
    from hgs_toolkit.errors import DataError

    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        settings = plan["settings"]
        images = settings["count"] * settings["views"]
        facts = [
            Fact("kind", f"synthesised dataset, format '{settings['format']}' (hgs synth)"),
            Fact("images", images), Fact("scenes", settings["count"]), Fact("views", settings["views"]),
            Fact("resolution", settings["size"], "resolution_pixels"),
            Fact("annotations", ", ".join(settings["annotations"]), value=settings["annotations"]),
            Fact("model", plan["model"]), Fact("model sha256", plan["model_sha256"], "model_sha256"),
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{folder / 'plan.json'} is no plan of 'hgs synth'; expected a synthesised dataset") from error
    shards = sum(1 for _ in (folder / "shards").glob("*.json"))
    complete = (folder / "manifest.json").is_file()
    return [*facts, Fact("finished shards", shards, "finished_shards"), Fact("complete", complete)]


def _dataset(path: Path) -> list[Fact]:
    from hgs_toolkit.datasets.attribution import ATTRIBUTION, credits_in, summarise
    from hgs_toolkit.datasets.eg3d import open_dataset

    images = open_dataset(path)
    known = credits_in(images.facts)
    counts = {} if images.classes is None else images.classes.counts()
    text = ", ".join(f"{name} {count}" for name, count in counts.items())
    counted = [Fact("classes", text, "images_per_class", counts)] if counts else []
    return [
        Fact("kind", "posed images (EG3D layout)"), Fact("images", len(images)),
        Fact("resolution", images.stored_resolution, "resolution_pixels"), Fact("alpha", images.has_alpha),
        Fact("views of a subject", images.views_per_subject, "views_of_a_subject"),
        *([Fact(ATTRIBUTION, summarise(known))] if known else []), *counted,
    ]  # fmt: skip
