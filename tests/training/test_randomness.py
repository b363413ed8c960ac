"""Draws depend on seed, step and purpose alone; every image is shown once an epoch."""

import numpy as np
import pytest
import torch

from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator


def _numbers(seed: int, step: int, purpose: Purpose) -> list[float]:
    return torch.rand(4, generator=keyed_generator(seed, step, purpose)).tolist()


def test_the_same_key_draws_the_same_numbers_and_any_other_key_different_ones() -> None:
    assert _numbers(1, 2, Purpose.MIRROR) == _numbers(1, 2, Purpose.MIRROR)
    others = [(2, 2, Purpose.MIRROR), (1, 3, Purpose.MIRROR), (1, 2, Purpose.BACKGROUND)]
    assert all(_numbers(*key) != _numbers(1, 2, Purpose.MIRROR) for key in others)


@pytest.mark.parametrize("batch", [3, 7, 25])
def test_every_epoch_shows_each_image_once_whatever_the_batch_size(batch: int) -> None:
    size = 10
    stream = np.concatenate([dataset_indices(5, start, batch, size) for start in range(0, 10 * batch, batch)])
    epochs = stream[: len(stream) // size * size].reshape(-1, size)
    assert (np.sort(epochs, axis=1) == np.arange(size)).all()
    assert not (epochs[0] == epochs[1]).all()


def test_the_stream_can_be_entered_anywhere() -> None:
    whole = dataset_indices(5, 0, 40, 12)
    assert (dataset_indices(5, 17, 23, 12) == whole[17:]).all()
