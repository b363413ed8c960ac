"""One scene as NumPy arrays of stored values: where writers of packed formats start and their readers end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats, sh_bases, sh_degree
from hgs_toolkit.exporters.frames import turn_signs
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing import stored as parsed
from hgs_toolkit.parsing.stored import opacity_bytes as opacity_bytes

Floats = NDArray[np.float32]


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
    means, quats, sh = ((signs < 0).nonzero().flatten().tolist() for signs in turn_signs(source, target, bases))
    return means, quats, sh


def splats_of(scene: GaussianHierarchy, frame: str) -> StoredSplats:
    """The Gaussians of a batch of one in ``frame``, with unit quaternions and logits within +-MAX_OPACITY_LOGIT.

    Raises:
        FormatError: if ``frame`` is unknown.
    """
    result = StoredSplats.empty(scene.num_gaussians, scene.sh.shape[2])
    for rows, block in tensor_blocks(scene):
        for part, values in zip(result.parts, block, strict=True):
            part[rows] = values.numpy()
    for _, splats in result.blocks():
        splats.turn("y_up", frame)
    return result


def tensor_blocks(scene: GaussianHierarchy) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """The arrays of :func:`splats_of` in the ``y_up`` frame, as tensors of BLOCK rows, with the slice of their rows.

    A tensor may be a view of the scene, so it must not be changed.
    """
    source = [value[0].detach() for value in scene.parameters().values()]
    for start in range(0, scene.num_gaussians, BLOCK):
        rows = slice(start, start + BLOCK)
        means, log_scales, quats, sh, logits = (value[rows].to("cpu", torch.float32) for value in source)
        bounded = logits.clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
        yield rows, (means, log_scales, normalize_quats(quats), sh, bounded)


def logits_of_bytes(alphas: NDArray[np.uint8]) -> Floats:
    """Logits (N,) of opacities that are bytes; those of 0 and 255 are +-MAX_OPACITY_LOGIT."""
    return parsed.logits_of_bytes(alphas).clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)


def rest_bases(degree: int) -> int:
    """Number of coefficients per colour channel without the constant one."""
    return sh_bases(degree) - 1
