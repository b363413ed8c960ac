"""The Gaussians of a scene that a mesh is made from: activated, axes sorted by size, invisible ones left out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.encoding import dc_to_rgb, log_scales_to_scales, logits_to_opacities, quats_to_rotmats
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy

Floats = NDArray[np.float32]

MIN_OPACITY = 0.02
"""Least opacity of a Gaussian: fainter ones fill space where an image shows nothing, and are left out."""

MIN_GAUSSIANS = 4
"""Least number of Gaussians: fewer centres cannot surround a volume."""


@dataclass(frozen=True, eq=False)
class VisibleGaussians:
    """N activated Gaussians of one scene, float32, in world units.

    Attributes:
        means: (N, 3) centres.
        scales: (N, 3) standard deviations, ascending.
        axes: (N, 3, 3) unit vectors; ``axes[n, k]`` belongs to ``scales[n, k]``, so ``axes[:, 0]`` are the normals of
            flat Gaussians, up to their sign.
        opacities: (N,) in 0..1.
        colors: (N, 3) display RGB in 0..1, the average over all views (degree 0 of the harmonics).
    """

    means: Floats
    scales: Floats
    axes: Floats
    opacities: Floats
    colors: Floats

    def __len__(self) -> int:
        return len(self.means)

    def select(self, wanted: NDArray[np.bool_]) -> VisibleGaussians:
        """The Gaussians where ``wanted`` (N,)."""
        return VisibleGaussians(*(getattr(self, field.name)[wanted] for field in fields(self)))

    def covariances(self, floor: float = 0.0) -> Floats:
        """(N, 3, 3) covariances, standard deviations bounded below by ``floor``."""
        variances = np.maximum(self.scales, floor) ** 2
        return np.asarray(np.einsum("nki,nk,nkj->nij", self.axes, variances, self.axes), np.float32)


def visible_gaussians(scene: GaussianHierarchy) -> VisibleGaussians:
    """The Gaussians of a scene (a batch of one) that a surface is made from: no background, none nearly transparent.

    Raises:
        ShapeError: if a value is NaN or infinite (counted), or the scene is not a batch of one.
        FormatError: if fewer than four Gaussians are left; the message says why.
    """
    if scene.batch != 1:
        raise ShapeError(f"a batch of {scene.batch} scenes; a mesh is made of one, pass scene[i] for each i")
    scene.replace()  # checks that every value is finite
    foreground = scene.level != BACKGROUND_LEVEL
    opacities = logits_to_opacities(scene.opacity_logits[0].detach().float())
    keep = foreground & (opacities >= MIN_OPACITY)
    if int(keep.sum()) < MIN_GAUSSIANS:
        raise FormatError(_too_few(scene.num_gaussians, int(foreground.sum()), int(keep.sum())))
    return _activated(scene.select(keep).detach(), opacities[keep])


def _too_few(total: int, foreground: int, visible: int) -> str:
    return (
        f"{visible} of {total} Gaussians can form a surface ({total - foreground} belong to the background, "
        f"{foreground - visible} are nearly transparent, opacity below {MIN_OPACITY}); "
        f"expected at least {MIN_GAUSSIANS}, check that this is the right file"
    )


def _activated(scene: GaussianHierarchy, opacities: Tensor) -> VisibleGaussians:
    scales = log_scales_to_scales(scene.log_scales[0].float())
    order = scales.argsort(dim=-1)  # (N, 3)
    axes = quats_to_rotmats(scene.quats[0].float()).mT  # (N, 3, 3), rows are the axes
    rgb = dc_to_rgb(scene.sh[0, :, 0].float()).clamp(0, 1)
    values = (
        scene.means[0].float(),
        scales.gather(1, order),
        axes.gather(1, order[..., None].expand(-1, -1, 3)),
        opacities,
        rgb,
    )
    _check_range(values[1])
    return VisibleGaussians(*(value.cpu().contiguous().numpy() for value in values))


def _check_range(scales: Tensor) -> None:
    """Raise a ShapeError for infinite sizes, which finite logarithms can still stand for."""
    endless = int((~scales.isfinite()).any(dim=-1).sum())
    if endless:
        raise ShapeError(f"{endless} Gaussians are larger than numbers can say; expected log-scales below 88")


def as_tensor(values: Floats, device: torch.device) -> Tensor:
    """``values`` on ``device``."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
