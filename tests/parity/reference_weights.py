"""The weights of the golden numbers: not shipped, but a rule from a tensor's name and shape."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDENS = Path(__file__).parents[1] / "goldens"
CONSTANTS = {"scale_init", "scale_threshold", "rotation_init", "color_init", "opacity_init", "resample_filter"}

Array = NDArray[np.float32]


def reference_shapes(discriminator: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' generator, or of their discriminator at 64² (names without the ``D.``)."""
    shapes = json.loads((GOLDENS / "gsgan_state_dict_shapes.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items() if name.startswith("D.") == discriminator}


def reference_state(discriminator: bool = False) -> dict[str, Tensor]:
    """The deterministic weights under the authors' names; their constants are left out, since we compute them."""
    return {
        name: torch.from_numpy(_weight(name, shape))
        for name, shape in reference_shapes(discriminator).items()
        if name.rpartition(".")[2] not in CONSTANTS
    }


def normal_of_name(name: str, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers that depend on the name only."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return generator.standard_normal(shape).astype(np.float32)


def _weight(name: str, shape: tuple[int, ...]) -> Array:
    x = normal_of_name(name, shape)
    if name == "_xyz":
        return x * np.float32(0.5)
    if name == "_xyz_bg":
        x[:, 2] = -np.abs(x[:, 2])
        return x
    prefix, _, inner = name.partition(".")
    return _scaled(x, prefix, inner, inner.rpartition(".")[2])


def _scaled(x: Array, prefix: str, inner: str, last: str) -> Array:
    if last == "w_avg":
        return x * np.float32(0.1)
    if prefix == "mapping_network" and inner.startswith("fc"):
        return x * np.float32(100.0 if last == "weight" else 10.0)
    if last == "bias":
        x = x * np.float32(0.1) + np.float32("gamma" in inner or "affine" in inner)
    if last in ("ls", "layerscale"):
        x = x * np.float32(0.1)
    if ".ls" in inner and last in ("weight", "bias"):
        x = x * np.float32(0.1)
    if inner.startswith("out_layers") and last == "weight":
        x = x * np.float32(0.2)
    return x
