"""One scene as plain arrays: what writers of packed formats start from and their readers end with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats, sh_bases, sh_degree
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.frames import turn_signs
from hgs_toolkit.gaussians import GaussianHierarchy

Floats = NDArray[np.float32]

BLOCK = 4096
"""Rows that are worked on at a time: a megabyte with all harmonics."""


@dataclass(frozen=True, eq=False)
class Splats:
    """N Gaussians, float32, as stored (not activated), in the frame of a file.

    Attributes:
        means: (N, 3) centres.
        log_scales: (N, 3) natural logarithm of the standard deviations.
        quats: (N, 4) wxyz; of unit length where they come from a scene.
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
    def empty(cls, count: int, bases: int = 1) -> Splats:
        """Room for ``count`` Gaussians, to be filled by a reader."""
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

    def take(self, index: NDArray[np.integer]) -> Splats:
        """The Gaussians of ``index`` (M,), in its order."""
        return Splats(*(part[index] for part in self.parts))

    def blocks(self) -> Iterator[tuple[slice, Splats]]:
        """Views of a few thousand rows each, small enough for a processor's cache, and which rows they are."""
        for start in range(0, len(self), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, Splats(*(part[rows] for part in self.parts))

    def turn(self, source: str, target: str) -> None:
        """Express coordinates of the frame ``source`` in ``target``, in place.

        Raises:
            FormatError: if a frame is unknown.
        """
        turn = turn_signs(source, target, self.sh.shape[1])
        for part, signs in zip((self.means, self.quats, self.sh), turn, strict=True):
            for column in (signs < 0).nonzero().flatten().tolist():
                with np.errstate(invalid="ignore"):  # NaN from a file, counted later
                    # Not np.negative in place: NumPy 2.4 gets every fourth element wrong.
                    part[:, column] *= -1


def splats_of(scene: GaussianHierarchy, frame: str) -> Splats:
    """The Gaussians of a batch of one in ``frame``; quaternions are normalised, logits bounded so that 0 and 1 last.

    Raises:
        FormatError: if ``frame`` is unknown.
    """
    result = Splats.empty(scene.num_gaussians, scene.sh.shape[2])
    for rows, block in tensor_blocks(scene):
        for part, values in zip(result.parts, block, strict=True):
            part[rows] = values.numpy()
    for _, splats in result.blocks():
        splats.turn("y_up", frame)
    return result


def tensor_blocks(scene: GaussianHierarchy) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """The parts of :class:`Splats` as tensors of a few thousand rows, in the ``y_up`` frame, and which rows they are.

    They are ready to be written, as :func:`splats_of` says, but may be views of the scene: not to be changed.
    """
    source = [value[0].detach() for value in scene.parameters().values()]
    for start in range(0, scene.num_gaussians, BLOCK):
        rows = slice(start, start + BLOCK)
        means, log_scales, quats, sh, logits = (value[rows].to("cpu", torch.float32) for value in source)
        bounded = logits.clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT)
        yield rows, (means, log_scales, normalize_quats(quats), sh, bounded)


def scene_of(path: Path, splats: Splats, frame: str) -> GaussianHierarchy:
    """``splats`` of the file ``path``, given in ``frame``, as a batch of one in the ``y_up`` frame.

    The arrays are turned in place and become the scene's.

    Raises:
        FormatError: if a value is NaN or infinite (counted).
    """
    own = Splats(*(np.require(part, np.float32, ["C", "W"]) for part in splats.parts))
    for _, block in own.blocks():
        block.turn(frame, "y_up")
    means, log_scales, quats, sh, logits = (torch.from_numpy(part)[None] for part in own.parts)
    try:
        return GaussianHierarchy(means=means, log_scales=log_scales, quats=quats, sh=sh, opacity_logits=logits)
    except ShapeError as error:
        raise FormatError(f"{path}: {error}") from error


def opacity_bytes(logits: Floats) -> NDArray[np.uint8]:
    """Opacities (N,) as 0..255, rounded."""
    return np.round(255 / (1 + np.exp(-logits))).astype(np.uint8)


def logits_of_bytes(alphas: NDArray[np.uint8]) -> Floats:
    """Logits (N,) of opacities 0..255; 0 and 255 become the bounds of what float32 tells from 0 and 1."""
    table = np.arange(256) / 255
    with np.errstate(divide="ignore"):
        logits = np.log(table) - np.log1p(-table)
    return logits.clip(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT).astype(np.float32)[alphas]


def rest_bases(degree: int) -> int:
    """Coefficients per channel above the constant one."""
    return sh_bases(degree) - 1
