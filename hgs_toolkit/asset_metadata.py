"""Provenance of an asset and how to look at it, as a ``.hgs`` file stores it; read without torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hgs_toolkit.errors import FormatError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
FRAME = "y_up"

LARGEST = 1e30
"""Greatest focal length and distance of a camera, far beyond those with which anything is seen."""

METADATA_KEY = "hgs"
"""The only entry of the safetensors metadata: with several, their order, and so the bytes, would be left to chance."""


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
        class_name: class of the scene, such as ``chair`` or ``floppy+hat``; empty for a model without classes.
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
    class_name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def rasterize_mode(self) -> str:
        """How the scene is to be drawn: see :func:`hgs_toolkit.rasterize`."""
        return "antialiased" if self.antialiased else "classic"


def parse_metadata(path: Path, text: str) -> AssetMetadata:
    """The metadata in the JSON text of the file ``path``; a FormatError if it is broken or of a newer version."""
    try:
        values = json.loads(text, parse_constant=_number, parse_float=_number)
        version = dict.pop(values, "format_version")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
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


def _number(text: str) -> float:
    """The number that ``text`` means; a ValueError for NaN and what a double cannot hold, which JSON does not know."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no finite number")
    return value


def _check_types(path: Path, metadata: AssetMetadata) -> None:
    number, text = (int, float), (str,)
    kinds: dict[str, tuple[type, ...]] = {
        "seed": (int, type(None)), "psi": (*number, type(None)), "generator": text, "model": text,
        "focal": number, "radius": number, "units": text, "offset": (tuple,), "antialiased": (bool,),
        "class_name": text, "extra": (dict,),
    }  # fmt: skip
    for name, kind in kinds.items():
        value = getattr(metadata, name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind != (bool,)):
            raise FormatError(f"{path}: its metadata say {name} = {value!r}; expected {kind[0].__name__}")
    if len(metadata.offset) != 3 or not all(isinstance(x, int | float) and abs(x) < 1e300 for x in metadata.offset):
        raise FormatError(f"{path}: its metadata say offset = {metadata.offset!r}; expected three numbers")
    for name in ("focal", "radius"):
        if not 0 < (value := getattr(metadata, name)) < LARGEST:
            raise FormatError(
                f"{path}: its metadata say {name} = {value!r:.20}; expected more than 0 and below {LARGEST:g}"
            )
