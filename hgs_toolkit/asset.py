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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.files import atomic_path
from hgs_toolkit.gaussians import PARAMETERS, GaussianHierarchy

logger = logging.getLogger(__name__)

SUFFIX = ".hgs"
FORMAT_VERSION = 1
FRAME = "y_up"

METADATA_KEY = "hgs"
"""The only entry of the safetensors metadata: with several, their order, and so the bytes, would be left to chance."""

RARE = {"offset": (0.0, 0.0, 0.0), "antialiased": False}
"""Entries of the metadata that are only written if they differ from these values."""

TREE = ("level", "parent")
ANCHORS = "anchors."
LATENT = "latent"


@dataclass(frozen=True)
class AssetMetadata:
    """Where an asset came from and how to look at it.

    Attributes:
        seed: seed of its latent; None where it has none (an inverted image, a foreign file).
        psi: truncation it was sampled with.
        generator: name of the generator's configuration.
        model: fingerprint (SHA-256) of the generator's weights.
        focal: normalised focal length (image widths) of the cameras it was trained under.
        radius: distance of those cameras from the origin, world units.
        frame: world frame of the file, always ``y_up``.
        units: what one unit of length is.
        offset: point of the world, in the frame ``y_up``, relative to which the scene's coordinates are given; not
            zero for scenes that lie far from the world's origin, such as surveys.
        antialiased: whether the scene was trained for antialiased rendering (Mip-Splatting).
        extra: anything else, JSON-able.
    """

    seed: int | None = None
    psi: float | None = None
    generator: str = ""
    model: str = ""
    focal: float = 2.0
    radius: float = 2.7
    frame: str = FRAME
    units: str = "scene units"
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    antialiased: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


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
    """As :func:`save_asset`, but straight to ``path``: for callers who make it atomic themselves."""
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
    text = json.dumps({"format_version": FORMAT_VERSION} | entries, allow_nan=False)
    save_file(tensors, path, metadata={METADATA_KEY: text})


def load_asset(path: str | Path) -> Asset:
    """Read a ``.hgs`` file; half-precision parameters become float32.

    Raises:
        FormatError: if it is missing, truncated, of another kind, of a newer version, or its tensors contradict
            each other.
    """
    path = Path(path)
    tensors, entries = read_safetensors(path)
    if METADATA_KEY not in entries:
        hint = " (it looks like a model: sample it with 'hgs sample')" if "hgs_model" in entries else ""
        raise FormatError(f"{path} is a safetensors file but not a Gaussian asset{hint}; expected a .hgs file")
    metadata = _metadata(path, entries[METADATA_KEY])
    try:
        anchors = _hierarchy(tensors, ANCHORS, None) if ANCHORS + "means" in tensors else None
        scene = _hierarchy(tensors, "", anchors)
    except (ShapeError, KeyError) as error:
        reason = f"the tensor {error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{path} is broken: {reason}") from error
    return Asset(scene, metadata, tensors.get(LATENT))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    The header's sizes are compared with the file's before anything is read, and nothing is executed.

    Raises:
        FormatError: if the file is missing, truncated or no safetensors file.
    """
    with open_safetensors(path) as file:
        # Copies: the originals are a map of the file, which must stay replaceable.
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def open_safetensors(path: Path) -> Any:
    """A safetensors file, opened as a context; raises as :func:`read_safetensors`."""
    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a file")
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise FormatError(f"{path} is truncated or no safetensors file ({error}); write or download it anew") from error
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def _tensors(scene: GaussianHierarchy, prefix: str) -> dict[str, Tensor]:
    values = {name: value[0] for name, value in scene.parameters().items()}
    values |= {name: getattr(scene, name).to(torch.int32) for name in TREE}
    return {prefix + name: value.detach().cpu().contiguous() for name, value in values.items()}


def _hierarchy(tensors: dict[str, Tensor], prefix: str, anchors: GaussianHierarchy | None) -> GaussianHierarchy:
    parameters: dict[str, Any] = {name: _widened(tensors[prefix + name])[None] for name in PARAMETERS}
    level, parent = (_widened(tensors[prefix + name]) for name in TREE)
    return GaussianHierarchy(**parameters, level=level, parent=parent, anchors=anchors)


def _widened(value: Tensor) -> Tensor:
    """The types in memory of those that are only used in files."""
    types = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.int32: torch.int64}
    return value.to(types.get(value.dtype, value.dtype))


def _metadata(path: Path, text: str) -> AssetMetadata:
    try:
        values = json.loads(text)
        version = values.pop("format_version")
    except (ValueError, AttributeError, KeyError) as error:
        raise FormatError(f"{path} carries no readable asset metadata; expected a .hgs file") from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FormatError(
            f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}; upgrade hgs_toolkit"
        )
    if values.get("frame", FRAME) != FRAME:
        raise FormatError(f"{path} is in the frame '{values['frame']}'; expected '{FRAME}'")
    known = {f.name for f in dataclasses.fields(AssetMetadata)}
    if isinstance(values.get("offset"), list):  # JSON has no tuples
        values["offset"] = tuple(values["offset"])
    metadata = AssetMetadata(**{name: value for name, value in values.items() if name in known})
    _check_types(path, metadata)
    if unknown := {name: value for name, value in values.items() if name not in known}:
        logger.debug("%s carries entries this version does not know: %s", path, ", ".join(unknown))
        metadata = dataclasses.replace(metadata, extra=metadata.extra | unknown)
    return metadata


def _check_types(path: Path, metadata: AssetMetadata) -> None:
    number, text = (int, float), (str,)
    kinds: dict[str, tuple[type, ...]] = {
        "seed": (int, type(None)), "psi": (*number, type(None)), "generator": text, "model": text,
        "focal": number, "radius": number, "units": text, "offset": (tuple,), "antialiased": (bool,), "extra": (dict,),
    }  # fmt: skip
    for name, kind in kinds.items():
        value = getattr(metadata, name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind != (bool,)):
            raise FormatError(f"{path}: its metadata say {name} = {value!r}; expected {kind[0].__name__}")
    if len(metadata.offset) != 3 or not all(isinstance(x, int | float) and abs(x) < 1e300 for x in metadata.offset):
        raise FormatError(f"{path}: its metadata say offset = {metadata.offset!r}; expected three numbers")
    if not (metadata.focal > 0 and metadata.radius > 0):
        raise FormatError(f"{path}: focal {metadata.focal} and radius {metadata.radius} must be more than 0")
