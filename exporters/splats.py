"""One scene as plain arrays: what writers of packed formats start from and their readers end with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats, sh_bases, sh_degree
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.frames import convert_frame
from hgs_toolkit.gaussians import GaussianHierarchy

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Splats:
    """N Gaussians, float32, as stored (not activated), in the frame of a file.

    Attributes:
        means: (N, 3) centres.
        log_scales: (N, 3) natural logarithm of the standard deviations.
        quats: (N, 4) wxyz; of unit length where they come from :func:`splats_of`.
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

    @property
    def sh_degree(self) -> int:
        """Degree of the stored spherical harmonics, 0 to 3."""
        return sh_degree(self.sh.shape[1])

    def take(self, index: NDArray[np.integer]) -> Splats:
        """The Gaussians of ``index`` (M,), in its order."""
        parts = (self.means, self.log_scales, self.quats, self.sh, self.logits)
        return Splats(*(part[index] for part in parts))


def splats_of(scene: GaussianHierarchy, frame: str) -> Splats:
    """The Gaussians of a batch of one in ``frame``; quaternions are normalised, logits bounded so that 0 and 1 last.

    Raises:
        FormatError: if ``frame`` is unknown.
    """
    scene = convert_frame(scene.detach().to("cpu", torch.float32), "y_up", frame)
    values = (
        scene.means, scene.log_scales, normalize_quats(scene.quats), scene.sh,
        scene.opacity_logits.clamp(-MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT),
    )  # fmt: skip
    return Splats(*(np.ascontiguousarray(value[0].numpy()) for value in values))


def scene_of(path: Path, splats: Splats, frame: str) -> GaussianHierarchy:
    """``splats`` of the file ``path``, given in ``frame``, as a batch of one in the ``y_up`` frame.

    Raises:
        FormatError: if a value is NaN or infinite (counted).
    """

    def tensor(part: Floats) -> torch.Tensor:  # (1, N, ...)
        return torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))[None]

    try:
        scene = GaussianHierarchy(
            means=tensor(splats.means), log_scales=tensor(splats.log_scales), quats=tensor(splats.quats),
            sh=tensor(splats.sh), opacity_logits=tensor(splats.logits),
        )  # fmt: skip
        return convert_frame(scene, frame, "y_up")
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
