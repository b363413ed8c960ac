"""How often images are shown by their yaws: rare ones repeated, so that backs are learned, or the front alone."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.datasets.eg3d import PosedImages

SECTORS = 36
"""Number of equal sectors of yaw in which images are counted."""

SMOOTHING = (0.25, 0.5, 0.25)
"""Weights of a sector's neighbours and its own in its count, so that sectors have no hard edges."""

MAX_REPEATS = 10.0
"""Largest factor by which an image is shown more often than the average, so that no single camera dominates a set."""


@lru_cache(maxsize=2)
def yaw_weights(data: PosedImages, views: int, power: float) -> npt.NDArray[np.float64]:
    """How often each group of ``views`` images is shown, relative to the average: (share of its yaw) ** -``power``.

    A group counts by its first image. The mean of the weights (groups,) is 1.
    """
    yaw = _yaws(data, views)[:, 0]
    sector = ((yaw / (2 * math.pi) % 1) * SECTORS).astype(int) % SECTORS
    counts = np.bincount(sector, minlength=SECTORS).astype(float)
    left, middle, right = SMOOTHING
    smooth = left * np.roll(counts, 1) + middle * counts + right * np.roll(counts, -1)
    weights: npt.NDArray[np.float64] = np.maximum(smooth[sector], 1e-9) ** -power
    return _bounded(weights)


def _bounded(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The weights in proportion, of mean 1, those above MAX_REPEATS cut down to it."""
    while (weights := weights / weights.mean()).max() > MAX_REPEATS * (1 + 1e-6):
        weights = np.minimum(weights, MAX_REPEATS)
    return weights


def in_window(data: PosedImages, views: int, limit: float) -> npt.NDArray[np.bool_]:
    """Which groups (groups,) of ``views`` images have all their yaws within ``limit`` radians of the front."""
    inside = np.abs((_yaws(data, views) + math.pi) % (2 * math.pi) - math.pi) <= limit  # (groups, views)
    within: npt.NDArray[np.bool_] = np.all(inside, axis=1)
    return within


@lru_cache(maxsize=2)
def show_weights(data: PosedImages, views: int, power: float, limit: float | None) -> npt.NDArray[np.float64] | None:
    """How often each group is shown, of mean 1: as :func:`yaw_weights` says, and only those :func:`in_window`.

    None shows all of them equally often.
    """
    weights = yaw_weights(data, views, power) if power else None
    if limit is None:
        return weights
    within = in_window(data, views, limit)
    shown: npt.NDArray[np.float64] = within.astype(float) if weights is None else np.where(within, weights, 0.0)
    shown /= shown.mean()
    return shown


def _yaws(data: PosedImages, views: int) -> npt.NDArray[np.float64]:
    """Yaws (groups, views) in radians."""
    labels = torch.from_numpy(data.labels[: len(data) // views * views])
    yaw, _, _ = yaw_pitch_radius(Cameras.from_labels(labels.double()).cam_to_world)
    found: npt.NDArray[np.float64] = yaw.numpy().reshape(-1, views)
    return found
