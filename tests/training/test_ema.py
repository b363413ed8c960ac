"""The moving average of the weights."""

import copy

import pytest
import torch

from hgs_toolkit.config import TrainingConfig
from hgs_toolkit.training.ema import ema_decay, update_ema


def test_an_image_seen_one_half_life_ago_weighs_half() -> None:
    config = TrainingConfig(batch=20, ema_kimg=2.0, ema_rampup=None)
    assert ema_decay(config, 10**9) ** (2000 / 20) == pytest.approx(0.5)


def test_the_default_half_life_is_ten_kimg_for_the_reference_batch() -> None:
    config = TrainingConfig(batch=32, ema_rampup=None)
    assert ema_decay(config, 10**9) == pytest.approx(0.5 ** (32 / 10_000))


def test_early_on_the_half_life_is_a_fraction_of_what_was_seen() -> None:
    config = TrainingConfig(batch=10, ema_kimg=100.0, ema_rampup=0.05)
    assert ema_decay(config, 1000) == pytest.approx(0.5 ** (10 / 50))
    assert ema_decay(config, 0) == pytest.approx(0.0, abs=1e-6)


def test_parameters_move_by_the_decay_and_buffers_are_copied() -> None:
    model = torch.nn.BatchNorm1d(3)
    average = copy.deepcopy(model)
    with torch.no_grad():
        model.weight.add_(1)
        model.get_buffer("running_mean").add_(5)
    update_ema(average, model, 0.75)
    torch.testing.assert_close(average.weight, torch.full((3,), 1.25))
    torch.testing.assert_close(average.get_buffer("running_mean"), torch.full((3,), 5.0))
