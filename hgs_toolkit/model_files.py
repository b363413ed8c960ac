"""Model files without their weights: where they are, their headers, and the models that ship; read without torch.

Every model that ships is a file of ``pretrained/`` with a manifest of its name beside it, a JSON object that names it
under "file".
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.errors import CheckpointError, ConfigError, FormatError
from hgs_toolkit.files import open_safetensors
from hgs_toolkit.pose_prior import describe_poses
from hgs_toolkit.settings_io import config_from_dict

FORMAT_VERSION = 1

METADATA_KEY = "hgs_model"

NETWORKS_KEY = "hgs_networks"
"""The entry's name in a file of several networks to train on from; its content is the same."""

SCALE_SUFFIX = ".scale"
"""Ending, after the name of a tensor in eight bits, of its scales (:mod:`hgs_toolkit.model.quantized_weights`)."""

MODEL_FILE = "model.safetensors"
"""Name of the model within a run folder."""

STAGES = "stages"
"""Name of the folder of a plan that holds a run folder for each of its stages."""

PRETRAINED = Path(__file__).parent / "pretrained" / "critters128.safetensors"
"""The default of the models that ship with the package; the others lie beside it."""


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says without its weights: the run's configuration and facts such as its kimg."""

    config: Config
    facts: dict[str, str]


def newest_stage(folder: Path) -> Path:
    """The run folder of the newest stage that a plan in ``folder`` has trained; elsewhere ``folder`` itself."""
    trained = [file.parent for file in (folder / STAGES).glob("*/state.pt")]
    numbers = {
        int(stage.name.partition("-")[0]): stage for stage in trained if stage.name.partition("-")[0].isdecimal()
    }
    return numbers[max(numbers)] if numbers else folder


def model_config(path: str | Path | None = None) -> Config:
    """The whole configuration a model was trained with; ``path`` and errors as in :func:`load_model`."""
    return read_header(find_model(path)).config


def find_model(path: str | Path | None) -> Path:
    """The model file that ``path`` means: a file, a run folder, a name of the package, or None for the default.

    Raises:
        CheckpointError: if there is none; the message says how to get one.
    """
    if path is None:
        if not PRETRAINED.is_file():
            raise CheckpointError(
                "no model was named and none ships with this installation; name a model.safetensors or a run folder, "
                "or train one: hgs demo --out demo"
            )
        return PRETRAINED
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise CheckpointError(f"the folder {path} holds no {MODEL_FILE}; expected a run folder of 'hgs train'")
        return path / MODEL_FILE
    if path.is_file():
        return path
    shipped = shipped_file(path)
    if shipped is None:
        raise CheckpointError(
            f"{path} does not exist; expected a {MODEL_FILE}, a run folder, or a name that 'hgs models' lists"
        )
    return shipped


def shipped_file(name: str | Path) -> Path | None:
    """The file of the package's model of that name, such as ``critters128``; None if there is none."""
    name = Path(name)
    file = PRETRAINED.parent / f"{name}.safetensors"
    return file if name.name == str(name) and file.is_file() else None


def read_header(path: Path, key: str = METADATA_KEY) -> ModelHeader:
    """Configuration and facts of a model file (or, by ``key``, of one of several networks).

    Raises:
        CheckpointError: if the file is truncated, no model, of a newer version, or its configuration is not known.
    """
    entries = read_metadata(path)
    if key not in entries:
        what = (
            "holds networks to train on from, for 'hgs train --init'"
            if NETWORKS_KEY in entries
            else ("is a safetensors file but not a model of this toolkit")
        )
        raise CheckpointError(f"{path} {what}; expected {MODEL_FILE}")
    try:
        header = json.loads(entries[key])
        version, values, facts = header["format_version"], header["config"], header["facts"]
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, expected {FORMAT_VERSION}; upgrade hgs_toolkit"
            )
        return ModelHeader(config_from_dict(values), {str(name): str(value) for name, value in facts.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error) if isinstance(error, ConfigError) else "its metadata are damaged"
        raise CheckpointError(f"{path} carries no usable configuration: {reason}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; CheckpointError if it is none."""
    try:
        with open_safetensors(path) as file:
            return file.metadata() or {}
    except FormatError as error:
        raise CheckpointError(str(error)) from error


def count_weights(path: Path) -> int:
    """The number of weights of a safetensors file, by its header; the scales of weights in eight bits are none."""
    try:
        with open_safetensors(path) as file:
            names = set(file.keys())
            scales = {name + SCALE_SUFFIX for name in names}
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names - scales)
    except FormatError as error:
        raise CheckpointError(str(error)) from error


@dataclass(frozen=True)
class ShippedModel:
    """One model of the package.

    Attributes:
        name: what commands call it.
        file: where it is.
        default: whether commands take it where no model is named.
        description: one line.
        licence: its own.
        resolution: of its training images, pixels.
        gaussians: of a scene.
        poses: distribution of the cameras that it was trained under, in words.
        size: of the file, bytes.
        figures: measured figures by name, such as ``kid_squeeze_64px_x1000``.
        attribution: the works that it learned from, as the manifest lists them.
    """

    name: str
    file: Path
    default: bool
    description: str
    licence: str
    resolution: int
    gaussians: int
    poses: str
    size: int
    figures: dict[str, float] = field(default_factory=dict)
    attribution: list[dict[str, Any]] = field(default_factory=list)


def shipped_models() -> list[ShippedModel]:
    """All models of the package, the default one first.

    Raises:
        CheckpointError: if a manifest or the model that it names is broken.
    """
    folder = PRETRAINED.parent
    models = [_read(manifest) for manifest in sorted(folder.glob("*.json"))]
    return sorted(models, key=lambda model: (not model.default, model.name))


def _read(manifest: Path) -> ShippedModel:
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
        file = manifest.parent / values["file"]
        licence, figures = str(values["licence"]), {name: float(v) for name, v in values.get("figures", {}).items()}
        attribution = list(values.get("attribution", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{manifest} is not the manifest of a model: {error!r}; reinstall hgs_toolkit") from error
    config = read_header(file).config
    return ShippedModel(
        file.stem, file, file == PRETRAINED, config.description, licence, config.generator.resolution,
        sum(config.generator.level_counts), describe_poses(config.generator.poses), file.stat().st_size, figures,
        attribution,
    )  # fmt: skip
