"""The measurement of a run."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.metrics import extractors
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training import ticks
from hgs_toolkit.training.ticks import TickMetric


@pytest.fixture
def measured(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The tiny run, measured with what every machine has."""
    monkeypatch.setattr(ticks, "tick_extractor", lambda: extractors.make_extractor("randconv"))
    return replace(tiny, training=replace(tiny.training, metric_kimg=0.01, metric_images=40))


def make_model(config: Config) -> Generator:
    torch.manual_seed(0)
    return Generator(config.generator).eval()


def test_a_run_without_an_interval_is_not_measured(tiny: Config, images: PosedImages) -> None:
    assert TickMetric.for_run(tiny, images) is None


def test_a_tick_gets_a_number_with_its_conditions(
    measured: Config, images: PosedImages, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        metric = TickMetric.for_run(measured, images)
    assert metric is not None
    assert "randconv" in caplog.text
    line = metric.measure(make_model(measured))
    (conditions,) = line.pop("measurements")
    assert line == {"kid_randconv": round(conditions["value"], 4)}
    assert conditions["real_count"] == len(images)  # no picture twice
    assert conditions["fake_count"] == 40
    assert json.loads(json.dumps(conditions)) == conditions


def test_the_same_model_has_the_same_number(measured: Config, images: PosedImages) -> None:
    numbers = []
    for _ in range(2):
        metric = TickMetric.for_run(measured, images)
        assert metric is not None
        numbers.append(metric.measure(make_model(measured)))
    assert numbers[0] == numbers[1]
