"""From what readers found to one sound scene: several parts joined, broken rows repaired or refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.reading import Reading
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.parsing.distance import LEAST_LOG_SCALE

logger = logging.getLogger(__name__)


def joined(readings: list[Reading]) -> Reading:
    """The scenes of a file's parts as one, relative to the offset of the first part; there must be at least one."""
    first = readings[0]
    if len(readings) == 1:
        return first
    scenes = []
    for reading in readings:
        shift = torch.tensor(reading.offset, dtype=torch.float64) - torch.tensor(first.offset, dtype=torch.float64)
        means = (reading.scene.means.double() + shift).float() if bool(shift.any()) else reading.scene.means
        scenes.append(reading.scene.replace(means=means, check_finite=False))
    return replace(first, content=concatenate(scenes))


def cleaned(path: Path, scene: GaussianHierarchy, drop_invalid: bool) -> GaussianHierarchy:
    """``scene`` of a file, a batch of one, with every value finite; each change is logged with its count.

    Rows of zeros are left out, since they are no Gaussians. A log scale of -inf becomes that of the smallest size, an
    infinite logit the greatest one that float32 tells from opacity 0 or 1, and a quaternion of zeros no rotation.

    Args:
        path: the file, which messages name.
        scene: the Gaussians that were read; its tensors are changed.
        drop_invalid: leave out Gaussians whose other values are NaN or infinite; otherwise they are refused.

    Raises:
        FormatError: if a Gaussian has such a value and ``drop_invalid`` is false, or if no Gaussian is left.
    """
    if not scene.num_gaussians:
        return scene
    _bound_sizes(path, scene.log_scales)
    scene.opacity_logits.nan_to_num_(nan=torch.nan, posinf=MAX_OPACITY_LOGIT, neginf=-MAX_OPACITY_LOGIT)
    keep = _filled(path, scene)
    valid = _finite(path, scene, drop_invalid)
    keep = valid if keep is None else keep if valid is None else keep & valid
    if keep is not None:
        if not bool(keep.any()):
            raise FormatError(f"{path} holds no valid Gaussians; expected at least one")
        scene = scene.select(keep)
    unrotated = (scene.quats[0] == 0).all(dim=-1)
    if count := int(unrotated.sum()):
        logger.warning("%s: %d of %d Gaussians have a quaternion of zeros and are taken as not rotated",
                       path, count, len(unrotated))  # fmt: skip
        scene.quats[0, unrotated] = scene.quats.new_tensor([1.0, 0, 0, 0])
    return scene


def _bound_sizes(path: Path, log_scales: Tensor) -> None:
    """Replace log scales of -inf, in place."""
    empty = log_scales == -torch.inf
    if not bool(empty.any()):
        return
    logger.info("%s: %d Gaussians have a log scale of -inf, a size of 0; they get the smallest size",
                path, int(empty.any(dim=-1).sum()))  # fmt: skip
    log_scales[empty] = LEAST_LOG_SCALE


def _filled(path: Path, scene: GaussianHierarchy) -> Tensor | None:
    """(N,) bool: the rows that are not all zeros; None if all are."""
    empty = (scene.quats[0] == 0).all(dim=-1)
    if not bool(empty.any()):
        return None
    for value in scene.parameters().values():
        empty &= (value[0].flatten(1) if value.ndim > 2 else value[0, :, None]).eq(0).all(dim=-1)
    count = int(empty.sum())
    if not count:
        return None
    logger.warning("%s: %d of %d rows are zeros, not Gaussians, and are left out", path, count, len(empty))
    return ~empty


def _finite(path: Path, scene: GaussianHierarchy, drop_invalid: bool) -> Tensor | None:
    """(N,) bool: the Gaussians whose values are all finite; None if all are."""
    parameters = scene.parameters()
    # A sum is finite only if all its terms are, and is far quicker than looking at each.
    if all(bool(value.sum().isfinite()) for value in parameters.values()):
        return None
    valid = torch.ones(scene.num_gaussians, dtype=torch.bool)
    counts = {}
    for name, value in parameters.items():
        finite = value[0].isfinite()
        counts[name] = int(finite.numel() - finite.sum())
        valid &= finite if finite.ndim == 1 else finite.flatten(1).all(dim=-1)
    invalid = int((~valid).sum())
    if not invalid:
        return None
    found = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
    if not drop_invalid:
        raise FormatError(
            f"{path}: non-finite values in the Gaussians ({found}), in {invalid} of {len(valid)}; expected finite "
            "numbers only, --drop-invalid (in Python drop_invalid=True) leaves these Gaussians out"
        )
    logger.warning("%s: %d of %d Gaussians have NaN or infinite values (%s) and are left out",
                   path, invalid, len(valid), found)  # fmt: skip
    return valid
