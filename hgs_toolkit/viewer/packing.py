"""One scene as a compact block of bytes that the shared page unpacks.

The block is gzip of the arrays of :data:`ARRAYS`, one after the other, little-endian. Whole numbers q of 16 bits stand
for ``low + (high - low) q / 65535``, with an array's own bounds in the header, which is JSON-able.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy

STEPS = 65535
"""Largest whole number of 16 bits."""

ARRAYS = ("means", "log_scales", "quats", "opacity_logits", "sh", "level")
"""Order of the arrays; means are float32 (N, 3), level int8 (N,), the others 16 bits."""


@dataclass(frozen=True)
class PackedScene:
    """Bytes and how to read them.

    Attributes:
        header: ``count``, ``bases`` (SH coefficients a channel) and, for each array, name, type, components, bounds.
        block: compressed bytes.
    """

    header: dict[str, Any]
    block: bytes


def pack_scene(scene: GaussianHierarchy) -> PackedScene:
    """Pack a batch of one; equal scenes give equal bytes.

    Raises:
        ShapeError: if the batch is not one, or there is no Gaussian.
    """
    if scene.batch != 1 or not scene.num_gaussians:
        raise ShapeError(f"{scene.batch} scenes of {scene.num_gaussians} Gaussians; a page shows one scene of some")
    values = {name: value[0] for name, value in scene.parameters().items()}
    values["quats"] = normalize_quats(values["quats"])
    values["opacity_logits"] = values["opacity_logits"].clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
    values["level"] = scene.level
    entries, parts = [], []
    for name in ARRAYS:
        entry, data = _packed(name, values[name])
        entries.append(entry)
        parts.append(data.tobytes())
    header = {"count": scene.num_gaussians, "bases": scene.sh.shape[2], "arrays": entries}
    return PackedScene(header, gzip.compress(b"".join(parts), mtime=0))


def unpack_scene(packed: PackedScene) -> dict[str, NDArray[np.float32]]:
    """The arrays (N, components) by name, as the page reads them."""
    data, start, arrays = gzip.decompress(packed.block), 0, {}
    for entry in packed.header["arrays"]:
        size = packed.header["count"] * entry["components"]
        raw = np.frombuffer(data, entry["type"], size, start)
        start += raw.nbytes
        values = raw.astype(np.float32)
        if "low" in entry:
            values = entry["low"] + (entry["high"] - entry["low"]) / STEPS * values
        arrays[entry["name"]] = values.reshape(-1, entry["components"]).astype(np.float32)
    return arrays


def _packed(name: str, value: Tensor) -> tuple[dict[str, Any], NDArray[Any]]:
    flat = value.detach().cpu().numpy().reshape(len(value), -1)
    entry: dict[str, Any] = {"name": name, "components": flat.shape[1]}
    if name in ("means", "level"):
        kind = "<f4" if name == "means" else "i1"
        return entry | {"type": kind}, flat.astype(kind)
    low, high = float(flat.min()), float(flat.max())
    step = (high - low) / STEPS or 1.0
    return entry | {"type": "<u2", "low": low, "high": high}, np.rint((flat.astype(np.float64) - low) / step).astype(
        "<u2"
    )
