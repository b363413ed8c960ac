# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as arrays, in the terms of Blender's own splat attributes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .parsing.stored import ParsedSplats, ParseError

Array = np.ndarray[Any, Any]

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic."""

LEAST_LOG_SCALE = np.log(np.finfo(np.float32).tiny)
"""Log scale that stands for a size of 0."""

MAX_LOGIT = 16.0
"""Logit of an opacity of 1 in files, 1e-7 away from it; its negative stands for 0."""

MAX_LEVELS = 64
NO_PARENT = -1

INDEX = "hgs_index"
"""Attribute with the numbers that parents go by, which stay when Gaussians are deleted."""


TURN_X = {"y_up": math.pi / 2, "rdf": -math.pi / 2, "z_up": 0.0}
"""Rotation about x, in radians, that turns a file's frame upright in Blender, where z is up."""


class SplatError(ValueError):
    """A file that cannot be read as Gaussians; the message is for the user."""


@contextmanager
def parse_errors_as_splat_errors() -> Iterator[None]:
    """Turn the errors of the shared parsers into a :class:`SplatError` with the same message."""
    try:
        yield
    except ParseError as error:
        raise SplatError(str(error)) from error


@dataclass
class ActivatedSplats:
    """N Gaussians, activated.

    Attributes:
        position: (N, 3) centres, in the axes of ``frame``.
        scale: (N, 3) standard deviations along the Gaussian's own axes.
        rotation: (N, 4) unit quaternions wxyz, own axes to ``frame``.
        base: (N, 4) constant colour coefficients f_dc (rgb = 0.5 + 0.2821 f_dc) and opacity 0..1.
        harmonics: (N, K, 3) higher coefficients, K of 0, 3, 8 or 15.
        level, parent: (N,) int32, or None where the file has no tree.
        frame: ``y_up`` (ours, glTF) or ``rdf`` (COLMAP: y down).
        facts: what the file says about itself: seed, focal, ...
    """

    position: Array
    scale: Array
    rotation: Array
    base: Array
    harmonics: Array
    level: Array | None = None
    parent: Array | None = None
    frame: str = "rdf"
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.position)


def splats_from_stored(
    means: Array, log_scales: Array, quats: Array, coefficients: Array, logits: Array, **rest: Any
) -> ActivatedSplats:
    """Activate parameters as files store them: logarithms of scales, logits, any quaternions, (N, 1 + K, 3) colours.

    Raises:
        SplatError: if there is no Gaussian, or a value is NaN or infinite (counted; infinite logits are fine, and so
            are log scales of -inf, which are a size of 0).
    """
    if not len(means):
        raise SplatError("the file has no Gaussians")
    log_scales = np.where(np.isneginf(log_scales), LEAST_LOG_SCALE, log_scales)
    numbers = (means, log_scales, quats, coefficients, np.where(np.isinf(logits), 0, logits))
    broken = sum(int(np.count_nonzero(~np.isfinite(each))) for each in numbers)
    with np.errstate(over="ignore", invalid="ignore"):  # counted
        scale = np.exp(log_scales)
        opacity = 1 / (1 + np.exp(-logits))
    broken += int(np.count_nonzero(np.isinf(scale) & np.isfinite(log_scales)))
    if broken:
        raise SplatError(f"{broken} values are NaN or infinite; this leaves such Gaussians out: "
                         "hgs export FILE OUT.hgs --drop-invalid")  # fmt: skip
    quats = quats.astype(np.float64)  # whose squares do not overflow
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    # A quaternion without a direction is no rotation at all.
    unit = np.where(length > 0, quats / np.where(length > 0, length, 1), np.array([1, 0, 0, 0], np.float32))
    return ActivatedSplats(
        means, scale, unit.astype(np.float32), np.column_stack([coefficients[:, 0], opacity]).astype(np.float32),
        coefficients[:, 1:], **rest,
    )  # fmt: skip


def stored_values(splats: ActivatedSplats) -> ParsedSplats:
    """Gaussians as files store them, float32: the inverse of :func:`splats_from_stored`, in their own axes."""
    with np.errstate(divide="ignore"):
        opacity = splats.base[:, 3].astype(np.float64)
        logits = np.clip(np.log(opacity) - np.log1p(-opacity), -MAX_LOGIT, MAX_LOGIT)
        log_scales = np.maximum(np.log(splats.scale.astype(np.float64)), LEAST_LOG_SCALE)
    quats = splats.rotation / np.linalg.norm(splats.rotation, axis=1, keepdims=True)
    coefficients = np.concatenate([splats.base[:, None, :3], splats.harmonics], 1)
    return ParsedSplats(
        *(part.astype(np.float32) for part in (splats.position, log_scales, quats, coefficients, logits))
    )


def bytes_to_logits(opacities: Array) -> Array:
    """Logits (N,) of opacities 0 to 255, infinite at the ends."""
    table = np.arange(256) / 255
    with np.errstate(divide="ignore"):
        logits: Array = (np.log(table) - np.log1p(-table)).astype(np.float32)[opacities]
    return logits


def check_tree(level: Array, parent: Array) -> None:
    """Raise :class:`SplatError` unless ``level`` and ``parent`` are a forest as the toolkit writes it."""
    if level.min() < -1 or level.max() >= MAX_LEVELS:
        raise SplatError(f"levels {level.min()} to {level.max()}; expected -1 (background) or 0 to {MAX_LEVELS - 1}")
    children = np.flatnonzero(parent != NO_PARENT)
    parents = parent[children]
    if ((parents < 0) | (parents >= len(level))).any():
        raise SplatError(f"a parent lies outside 0 to {len(level) - 1}")
    if (level[parents] >= level[children]).any():
        raise SplatError("a parent is not of a lower level than its child")
