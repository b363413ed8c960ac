"""The models that ship with the package: names, licences, sizes, poses and figures; read without torch.

Every model is a file of ``pretrained/`` with a manifest beside it, a JSON object that names it under "file".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hgs_toolkit import model_files
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.pose_prior import describe_poses


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
        figures: measured figures by name, such as ``kid_squeeze_x1000``.
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
    folder = model_files.PRETRAINED.parent
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
    config = model_files.read_header(file).config
    return ShippedModel(
        file.stem, file, file == model_files.PRETRAINED, config.description, licence, config.generator.resolution,
        sum(config.generator.level_counts), describe_poses(config.generator.poses), file.stat().st_size, figures,
        attribution,
    )  # fmt: skip
