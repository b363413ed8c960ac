"""Random draws that depend on nothing but (seed, step, purpose), so that a run resumes exactly from any step.

Every rank draws for the whole global batch and takes its own rows: the trajectory of a run does not depend on how
many processes it is spread over (up to rounding), and no generator state has to be saved. Only where several cameras
share a scene (``training.views`` above 1, or fewer scenes than images) and D judges them one by one, they share it
within a process.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a draw is for; the numbers are part of a run's identity and must never be reused."""

    ORDER = 1
    MIRROR = 2
    BACKGROUND = 3
    LATENT_D = 4
    LATENT_G = 5
    POSE_SWAP = 6
    RANDOM_POSE = 7
    AUGMENT_REAL = 8
    AUGMENT_FAKE_D = 9
    AUGMENT_FAKE_G = 10
    GRID = 11
    METRIC = 12
    WEIGHTS = 13
    EVALUATION = 14
    CLASSES = 15
    ENCODER = 16
    GROWING = 17


def keyed_generator(seed: int, step: int, purpose: Purpose) -> torch.Generator:
    """A CPU generator whose stream is a function of its arguments alone."""
    key = np.random.SeedSequence([seed, step, int(purpose)]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(key))


def epoch_order(seed: int, epoch: int, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The order (size,) in which epoch ``epoch`` visits a dataset: a permutation, unless there are ``weights``.

    With ``weights`` (size,) of mean 1, image i appears weights[i] times in the mean, and at least its whole part.
    """
    rng = np.random.default_rng([seed, epoch, int(Purpose.ORDER)])
    if weights is None:
        return rng.permutation(size)
    # Systematic resampling: equal steps through the cumulated weights.
    places = np.searchsorted(np.cumsum(weights) * (size / weights.sum()), np.arange(size) + rng.random(), side="right")
    return rng.permutation(np.minimum(places, size - 1))


def dataset_indices(
    seed: int, position: int, count: int, size: int, weights: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """Indices (count,) of the images number ``position`` and following of the endless shuffled stream.

    ``weights`` (size,) repeat some images more often than others, see :func:`epoch_order`.
    """
    indices: list[np.ndarray] = []
    while count > 0:
        epoch, offset = divmod(position, size)
        part = epoch_order(seed, epoch, size, weights)[offset : offset + count]
        indices.append(part)
        position, count = position + len(part), count - len(part)
    return np.concatenate(indices)
