"""One flat scene as NumPy arrays of stored values: where writers of packed formats start and their readers end.

Nothing here needs torch, so that a file of one such format becomes one of another without it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import MAX_OPACITY_LOGIT, USUAL_LENGTHS, sh_bases, sh_degree
from hgs_toolkit.exporters.frames import turn_signs
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.parsing import stored as parsed
from hgs_toolkit.parsing.distance import LEAST_LOG_SCALE
from hgs_toolkit.parsing.stored import opacity_bytes as opacity_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

Values = TypeVar("Values", NDArray[np.float32], "Tensor")

MAX_LOG_SCALE = 80.0
"""Log scale of the largest size that is written linearly: single precision holds some thousand times e^80 (5.5e34)."""


@dataclass(frozen=True, eq=False)
class StoredSplats:
    """The stored (not activated) values of N Gaussians, float32, in the frame of a file.

    Attributes:
        means: (N, 3) centres.
        log_scales: (N, 3) natural logarithm of the standard deviations.
        quats: (N, 4) wxyz; of unit length if :func:`splats_of` made them.
        sh: (N, K, 3) coefficients, K = 1, 4, 9 or 16.
        logits: (N,) logits of the opacities.
    """

    means: Floats
    log_scales: Floats
    quats: Floats
    sh: Floats
    logits: Floats

    def __len__(self) -> int:
        return len(self.means)

    @classmethod
    def empty(cls, count: int, bases: int = 1) -> StoredSplats:
        """Uninitialised arrays for ``count`` Gaussians, which a reader fills."""
        shapes = (3,), (3,), (4,), (bases, 3), ()
        return cls(*(np.empty((count, *shape), np.float32) for shape in shapes))

    @property
    def parts(self) -> tuple[Floats, ...]:
        """The five arrays, in the order of the attributes."""
        return self.means, self.log_scales, self.quats, self.sh, self.logits

    @property
    def sh_degree(self) -> int:
        """Degree of the stored spherical harmonics, 0 to 3."""
        return sh_degree(self.sh.shape[1])

    @property
    def num_gaussians(self) -> int:
        """Number of Gaussians, N."""
        return len(self.means)

    @property
    def num_levels(self) -> int:
        """Number of levels: one, since arrays have no tree."""
        return 1

    @property
    def is_background(self) -> NDArray[np.bool_]:
        """(N,) bool: none, since arrays have no tree."""
        return np.zeros(len(self.means), np.bool_)

    @property
    def sound(self) -> bool:
        """Whether every value is finite and every quaternion a rotation, so that nothing is to be repaired."""
        # A sum is finite only if all its terms are, and is far quicker than looking at each.
        finite = all(np.isfinite(part.sum(dtype=np.float64)) for part in self.parts)
        return finite and not bool((self.quats == 0).all(axis=1).any())

    def take(self, index: NDArray[np.integer]) -> StoredSplats:
        """The Gaussians that ``index`` (M,) names, in its order."""
        return StoredSplats(*(part.take(index, axis=0) for part in self.parts))  # four times as fast as part[index]

    def blocks(self) -> Iterator[tuple[slice, StoredSplats]]:
        """Views of BLOCK rows each, with the slice of the rows that each shows."""
        for start in range(0, len(self), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, StoredSplats(*(part[rows] for part in self.parts))

    def turn(self, source: str, target: str) -> None:
        """Convert the arrays from the frame ``source`` to ``target``, in place.

        Raises:
            FormatError: if a frame is unknown.
        """
        columns = _mirrored_columns(source, target, self.sh.shape[1])
        with np.errstate(invalid="ignore"):  # a file may hold NaN, which is counted later
            for part, mirrored in zip((self.means, self.quats, self.sh), columns, strict=True):
                for column in mirrored:
                    # Not np.negative in place: NumPy 2.4 gets every fourth element wrong.
                    part[:, column] *= -1


@cache
def _mirrored_columns(source: str, target: str, bases: int) -> tuple[list[int], list[int], list[int]]:
    """The columns of means, quaternions and coefficients that change their sign from ``source`` to ``target``."""
    means, quats, sh = (np.flatnonzero(signs < 0).tolist() for signs in turn_signs(source, target, bases))
    return means, quats, sh


def splats_of(scene: GaussianHierarchy | StoredSplats, frame: str) -> StoredSplats:
    """The Gaussians of one scene in ``frame``, with unit quaternions and logits within +-MAX_OPACITY_LOGIT.

    Args:
        scene: a batch of one or arrays, in the ``y_up`` frame; it is not changed.

    Raises:
        FormatError: if ``frame`` is unknown.
    """
    result = StoredSplats.empty(scene.num_gaussians, sh_bases(scene.sh_degree))
    for rows, block in bounded_blocks(scene):
        for part, values in zip(result.parts, block.parts, strict=True):
            part[rows] = values
    for _, splats in result.blocks():
        splats.turn("y_up", frame)
    return result


def bounded_blocks(scene: GaussianHierarchy | StoredSplats) -> Iterator[tuple[slice, StoredSplats]]:
    """The arrays of :func:`splats_of` in the ``y_up`` frame, BLOCK rows at a time, with the slice of their rows.

    An array may be a view of the scene, so it must not be changed.
    """
    if isinstance(scene, StoredSplats):
        for rows, block in scene.blocks():
            yield rows, _bounded(*block.parts)
        return
    source = [value[0].detach() for value in scene.parameters().values()]
    for start in range(0, scene.num_gaussians, BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, _bounded(*(value[rows].cpu().float().numpy() for value in source))


def _bounded(means: Floats, log_scales: Floats, quats: Floats, sh: Floats, logits: Floats) -> StoredSplats:
    return StoredSplats(means, log_scales, unit_quats(quats), sh, logits.clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT))


def unit_quats(quats: Floats) -> Floats:
    """Quaternions (N, 4) wxyz at unit length, zeros as no rotation: ``encoding.normalize_quats`` without torch."""
    tiny = np.finfo(np.float32).tiny
    shortest, longest = USUAL_LENGTHS
    norm = _lengths(quats)
    unusual = ~((norm > shortest) & (norm < longest))[:, 0]
    if unusual.any():
        largest = np.abs(quats[unusual]).max(axis=1, keepdims=True)
        quats = quats.copy()
        quats[unusual] /= np.maximum(largest, tiny)
        norm = _lengths(quats)
    result: Floats = np.divide(quats, np.maximum(norm, tiny), dtype=np.float32)
    result[norm[:, 0] == 0] = 1, 0, 0, 0
    return result


def _lengths(quats: Floats) -> Floats:
    """The lengths (N, 1) of quaternions (N, 4)."""
    lengths: Floats = np.sqrt(np.einsum("nk,nk->n", quats, quats))[:, None]
    return lengths


def clamped(values: Values, low: float, high: float, what: str, suffix: str) -> Values:
    """``values`` between the bounds of a format; the log counts those beyond as ``what`` of ``suffix`` files."""
    tell_clamped(int(((values < low) | (values > high)).sum()), math.prod(values.shape), what, suffix)
    return values.clip(low, high)


def tell_clamped(beyond: int, size: int, what: str, suffix: str) -> None:
    """Log how many of ``size`` values lie beyond the range of a format, if any do."""
    if beyond:
        logger.warning("%d of %d %s lie beyond the range of %s files and were clamped", beyond, size, what, suffix)


def with_finite_sizes(log_scales: Values, suffix: str) -> Values:
    """Log scales (..., 3) for a format of single precision, whose sizes are neither 0 nor, times a few, infinite."""
    return clamped(log_scales, LEAST_LOG_SCALE, MAX_LOG_SCALE, "log scales", suffix)


def logits_of_bytes(alphas: NDArray[np.uint8]) -> Floats:
    """Logits (N,) of opacities that are bytes; those of 0 and 255 are +-MAX_OPACITY_LOGIT."""
    return parsed.logits_of_bytes(alphas).clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)


def rest_bases(degree: int) -> int:
    """Number of coefficients per colour channel without the constant one."""
    return sh_bases(degree) - 1
