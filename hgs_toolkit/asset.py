"""The native file ``.hgs``: one scene with its tree, exact, and where it came from.

A ``.hgs`` file is a safetensors file. Its tensors are those of :class:`~hgs_toolkit.gaussians.GaussianHierarchy`
without the batch dimension: means (N, 3), log_scales (N, 3), quats (N, 4) wxyz, sh (N, K, 3), opacity_logits (N,),
level and parent (N,) int32; the same again under ``anchors.`` where the anchors are known; ``latent`` (..., w_dim)
where the generator's w is. Its safetensors metadata hold one entry, ``hgs``: the JSON text of :class:`AssetMetadata`
and ``format_version``. Frame: y up, right-handed, +z towards the frontal camera.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from hgs_toolkit.asset_metadata import FORMAT_VERSION, METADATA_KEY, parse_metadata
from hgs_toolkit.asset_metadata import AssetMetadata as AssetMetadata
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.files import atomic_path, read_safetensors
from hgs_toolkit.gaussians import PARAMETERS, GaussianHierarchy

logger = logging.getLogger(__name__)


RARE = {"offset": (0.0, 0.0, 0.0), "antialiased": False, "class_name": ""}
"""Entries of the metadata that are only written if they differ from these values."""

TREE = ("level", "parent")
WIDENED = {
    torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float32: torch.float32,
    torch.float64: torch.float64, torch.int32: torch.int64, torch.int64: torch.int64,
}  # fmt: skip
"""Types of tensors that a file may have, and those that they have in memory."""

ANCHORS = "anchors."
LATENT = "latent"


@dataclass(frozen=True, eq=False)
class Asset:
    """A scene (batch of one), its metadata and, where known, the latent w it was made from."""

    scene: GaussianHierarchy
    metadata: AssetMetadata = field(default_factory=AssetMetadata)
    latent: Tensor | None = None


def save_asset(path: str | Path, asset: Asset, *, force: bool = True) -> None:
    """Write ``asset`` as ``.hgs``, atomically; equal assets give equal bytes.

    Raises:
        ShapeError: if the scene is not a batch of one.
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    with atomic_path(path, force=force) as temporary:
        write_asset(temporary, asset)


def write_asset(path: Path, asset: Asset) -> None:
    """Write as :func:`save_asset` does, but straight to ``path``: for callers that make it atomic themselves.

    Raises:
        ShapeError: if the scene is not a batch of one.
        FormatError: if a number of the metadata is NaN or infinite, which JSON has no words for.
    """
    if asset.scene.batch != 1:
        raise ShapeError(f"a batch of {asset.scene.batch} scenes; a .hgs file holds one, save scene[i] for each i")
    tensors = _tensors(asset.scene, "")
    if asset.scene.anchors is not None:
        tensors |= _tensors(asset.scene.anchors, ANCHORS)
    if asset.latent is not None:
        tensors[LATENT] = asset.latent.detach().cpu().contiguous()
    entries = dataclasses.asdict(asset.metadata)
    for name, absent in RARE.items():
        if entries[name] == absent:
            del entries[name]
    try:
        text = json.dumps({"format_version": FORMAT_VERSION} | entries, allow_nan=False)
    except ValueError as error:
        numbers = {name: value for name, value in entries.items() if isinstance(value, float)}
        bad = ", ".join(f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value))
        raise FormatError(f"its metadata say {bad or 'NaN or infinity'}; expected finite numbers") from error
    save_file(tensors, path, metadata={METADATA_KEY: text})


def load_asset(path: str | Path, *, check_finite: bool = True) -> Asset:
    """Read a ``.hgs`` file; half-precision parameters become float32.

    Args:
        check_finite: refuse NaN and infinite values; without it those of the scene are the caller's business.

    Raises:
        FormatError: if it is missing, truncated, of another kind, of a newer version, or its tensors contradict
            each other.
    """
    path = Path(path)
    tensors, entries = read_safetensors(path)
    if METADATA_KEY not in entries:
        hint = " (it looks like a model: sample it with 'hgs sample')" if "hgs_model" in entries else ""
        raise FormatError(f"{path} is a safetensors file but not a Gaussian asset{hint}; expected a .hgs file")
    metadata = parse_metadata(path, entries[METADATA_KEY])
    try:
        anchors = _hierarchy(tensors, ANCHORS, None) if ANCHORS + "means" in tensors else None
        scene = _hierarchy(tensors, "", anchors, check_finite)
    except (ShapeError, KeyError) as error:
        reason = f"the tensor {error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{path} is broken: {reason}") from error
    return Asset(scene, metadata, tensors.get(LATENT))


def _tensors(scene: GaussianHierarchy, prefix: str) -> dict[str, Tensor]:
    values = {name: value[0] for name, value in scene.parameters().items()}
    values |= {name: getattr(scene, name).to(torch.int32) for name in TREE}
    return {prefix + name: value.detach().cpu().contiguous() for name, value in values.items()}


def _hierarchy(
    tensors: dict[str, Tensor], prefix: str, anchors: GaussianHierarchy | None, check_finite: bool = True
) -> GaussianHierarchy:
    parameters: dict[str, Any] = {name: _widened(name, tensors[prefix + name])[None] for name in PARAMETERS}
    level, parent = (_widened(name, tensors[prefix + name]) for name in TREE)
    return GaussianHierarchy(**parameters, level=level, parent=parent, anchors=anchors, check_finite=check_finite)


def _widened(name: str, value: Tensor) -> Tensor:
    """The types in memory of those that are only used in files."""
    if value.dtype not in WIDENED:
        found, *known = (str(dtype).removeprefix("torch.") for dtype in (value.dtype, *WIDENED))
        raise ShapeError(f"{name} is {found}; expected one of {', '.join(known)}")
    return value.to(WIDENED[value.dtype])
