"""The end of a run: by request, by its time limit, and in the middle of a measurement."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.metrics import extractors
from hgs_toolkit.settings_io import config_from_dict, config_to_dict
from hgs_toolkit.training import ticks
from hgs_toolkit.training.grids import real_chunks
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.stopping import StoppedError, StopRule
from hgs_toolkit.training.ticks import TickMetric


@pytest.fixture
def measured(tiny: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    """The tiny run, measured at every tick with what every machine has, nothing kept yet."""
    monkeypatch.setattr(ticks, "tick_extractor", lambda: extractors.make_extractor("randconv"))
    monkeypatch.setenv("HGS_CACHE", str(tmp_path / "cache"))
    return replace(tiny, training=replace(tiny.training, metric_kimg=0.008, metric_images=40))


@pytest.mark.parametrize("minutes", [0.0, -3.0, float("nan")])
def test_a_limit_that_is_not_above_zero_is_refused(
    minutes: float, tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="expected more than 0"):
        train(tiny, images, tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_guarded_work_ends_at_the_request() -> None:
    answers = iter([False, False, True])
    items = StopRule(lambda: next(answers)).guard(itertools.count())
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(StoppedError):
        next(items)


def test_a_request_during_the_measurement_ends_it_and_saves(
    measured: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = False

    def interrupted(*arguments: object) -> object:
        nonlocal asked
        for chunk in real_chunks(*arguments):  # type: ignore[arg-type]
            asked = True
            yield chunk

    monkeypatch.setattr(ticks, "real_chunks", interrupted)
    run = train(measured, images, tmp_path / "run", should_stop=lambda: asked)
    lines = run.read_log()
    assert [line["step"] for line in lines] == [2, 3]  # the step after the tick ends the run, without a measurement
    assert not any(name.startswith("kid_") for line in lines for name in line)
    assert run.state_file.is_file()


def test_the_features_of_real_images_are_kept_for_the_next_run(
    measured: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TickMetric.for_run(measured, images)
    assert first is not None
    run = train(measured, images, tmp_path / "run")
    before = run.read_log()[-1]["kid_randconv"]

    def decoded(*_: object) -> object:
        raise AssertionError("the real images are looked at again")

    monkeypatch.setattr(ticks, "real_chunks", decoded)
    assert train(measured, images, tmp_path / "again").read_log()[-1]["kid_randconv"] == before
    other = replace(measured, training=replace(measured.training, seed=3))  # another choice of real images
    with pytest.raises(AssertionError, match="again"):
        train(other, images, tmp_path / "other")


def test_a_measurement_for_which_no_time_is_left_is_left_out(
    measured: Config, images: PosedImages, tmp_path: Path
) -> None:
    run = train(measured, images, tmp_path / "run", minutes=1e-9)
    assert [line["step"] for line in run.read_log()] == [1]
    assert "kid_randconv" not in run.read_log()[-1]
    patient = train(measured, images, tmp_path / "patient", minutes=60)
    assert [line["step"] for line in patient.read_log()] == [2, 4, 6, 8, 10]
    assert all("kid_randconv" in line for line in patient.read_log())
    assert patient.best_file.is_file()


def test_an_interval_of_zero_switches_the_measurement_off_and_a_negative_one_is_refused(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    off = replace(tiny, training=replace(tiny.training, metric_kimg=0.0))
    assert TickMetric.for_run(off, images) is None
    assert "kid_randconv" not in train(off, images, tmp_path / "run").read_log()[-1]
    values = config_to_dict(tiny)
    values["training"]["metric_kimg"] = -1.0
    with pytest.raises(ConfigError, match=r"training\.metric_kimg is -1\.0; expected 0 or more"):
        config_from_dict(values)
