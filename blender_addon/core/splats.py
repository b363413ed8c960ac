# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as arrays, in the terms of Blender's own splat attributes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .parsing.distance import LEAST_LOG_SCALE, far_offset
from .parsing.stored import ParsedSplats, ParseError

Array = np.ndarray[Any, Any]

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic."""

MAX_LOGIT = 16.0
"""Logit of an opacity of 1 in files, 1e-7 away from it; its negative stands for 0."""

MAX_LEVELS = 64
NO_PARENT = -1

INDEX = "hgs_index"
"""Attribute with the numbers that parents go by, which stay when Gaussians are deleted."""

TURN = "hgs_turn"
"""Attribute with the rotation by which a Gaussian's harmonics are turned: of its copy, or of what bends it."""

PLAIN, SLOPE = "hgs_plain", "hgs_slope"
"""Attributes of what Blender composites in display colours: ``radiance:base`` as it was, and the factors (red, green,
blue) that were taken of the harmonics."""

OFFSET, ZERO_ROWS = "offset", "zero_rows"
"""Facts of a file: the point, in its axes, relative to which the coordinates are; the number of rows left out."""

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
    means: Array, log_scales: Array, quats: Array, coefficients: Array, logits: Array, *,
    level: Array | None = None, parent: Array | None = None, facts: dict[str, Any] | None = None, **rest: Any,
) -> ActivatedSplats:  # fmt: skip
    """Activate parameters as files store them: logarithms of scales, logits, any quaternions, (N, 1 + K, 3) colours.

    Centres far from the origin are recentred before they become single precision; the fact OFFSET says by how much.
    Rows of zeros are no Gaussians and are left out; the fact ZERO_ROWS counts them.

    Raises:
        SplatError: if there is no Gaussian, a value is NaN or infinite (counted; infinite logits are fine, and so
            are log scales of -inf, which are a size of 0), or the tree contradicts itself.
    """
    if not len(means):
        raise SplatError("the file has no Gaussians")
    facts = dict(facts or {})
    log_scales = np.where(np.isneginf(log_scales), np.float32(LEAST_LOG_SCALE), log_scales)
    _check_finite(means, log_scales, quats, coefficients, logits)
    if level is not None and parent is not None:
        check_tree(level, parent)
    parts = [means, log_scales, quats, coefficients, logits]
    filled = np.any([part.reshape(len(means), -1).any(axis=1) for part in parts], axis=0)
    if not filled.all():
        parts = [part[filled] for part in parts]
        level, parent = _tree_of(filled, level, parent)
        facts[ZERO_ROWS] = int(len(filled) - np.count_nonzero(filled))
        if not len(parts[0]):
            raise SplatError("all its rows are zeros; it has no Gaussians")
    means, log_scales, quats, coefficients, logits = parts
    if (shift := far_offset(means, log_scales)).any():
        means = means - shift
        facts[OFFSET] = [float(value) for value in shift + offset_of(facts)]
    quats = quats.astype(np.float64)  # whose squares do not overflow
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    # A quaternion without a direction is no rotation at all.
    unit = np.where(length > 0, quats / np.where(length > 0, length, 1), np.array([1, 0, 0, 0], np.float32))
    with np.errstate(over="ignore"):
        opacity = 1 / (1 + np.exp(-logits))
    return ActivatedSplats(
        means.astype(np.float32), np.exp(log_scales), unit.astype(np.float32),
        np.column_stack([coefficients[:, 0], opacity]).astype(np.float32), coefficients[:, 1:],
        level=level, parent=parent, facts=facts, **rest,
    )  # fmt: skip


def offset_of(facts: dict[str, Any]) -> Array:
    """The offset (3,) that the facts of a file state; zeros if they state none, or no three finite numbers."""
    values = facts.get(OFFSET)
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        return np.zeros(3)
    return np.nan_to_num(np.array(values, np.float64), nan=0, posinf=0, neginf=0)


def _check_finite(means: Array, log_scales: Array, quats: Array, coefficients: Array, logits: Array) -> None:
    numbers = (means, log_scales, quats, coefficients, np.where(np.isinf(logits), 0, logits))
    broken = sum(int(np.count_nonzero(~np.isfinite(each))) for each in numbers)
    with np.errstate(over="ignore", invalid="ignore"):  # counted
        broken += int(np.count_nonzero(np.isinf(np.exp(log_scales)) & np.isfinite(log_scales)))
        broken += int(np.count_nonzero(np.isinf(means.astype(np.float32)) & np.isfinite(means)))
    if broken:
        raise SplatError(f"{broken} values are NaN or infinite; this leaves such Gaussians out: "
                         "hgs export FILE OUT.hgs --drop-invalid")  # fmt: skip


def _tree_of(keep: Array, level: Array | None, parent: Array | None) -> tuple[Array | None, Array | None]:
    """The tree of the Gaussians where ``keep`` (N,) is true; those whose parent is gone have none."""
    if level is None or parent is None:
        return level, parent
    number = np.where(np.append(keep, True), np.append(np.cumsum(keep) - 1, NO_PARENT), NO_PARENT)
    return level[keep], number[parent[keep]].astype(np.int32)


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
