"""The page of a run, the comparison of several, and loggers of other programs."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import MissingExtraError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import TURNTABLE_FRAMES, turntable
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.reports.charts import line_chart
from hgs_toolkit.training.reports.page import different_settings, write_comparison
from hgs_toolkit.training.state import RunFolder


def _with_training(config: Config, **changes: Any) -> Config:
    return replace(config, training=replace(config.training, **changes))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def run(tiny: Config, images: PosedImages, runs: Path) -> RunFolder:
    """A short run; the same one for all tests."""
    folder = RunFolder(runs / "first")
    return folder if folder.state_file.exists() else train(_with_training(tiny, kimg=0.016), images, folder.path)


def test_a_run_has_a_page_that_stands_alone(run: RunFolder) -> None:
    page = (run.path / "report.html").read_text()
    assert "tiny: 0.016 of 0.016 kimg" in page
    for chart in ("losses", "mean logits of D", "gradient norms", "images a second"):
        assert f'aria-label="{chart}"' in page
    assert page.count("data:image/jpeg;base64,") == 3  # two ticks and the real images
    assert page.count("data:image/webp;base64,") == 1
    assert "discs.zip" in page
    assert "training.r1_gamma" in page
    sources = re.findall(r'(?:src|href)="([^"]{0,20})', page)
    assert all(source.startswith("data:") for source in sources)


def test_charts_are_well_formed_and_leave_out_what_cannot_be_drawn() -> None:
    series = {"a & b": [(0.0, 1.0), (1.0, float("nan")), (2.0, 100.0)], "one": [(1.0, 10.0)]}
    root = ElementTree.fromstring(line_chart("<kid>", series, log=True))
    first = root.findall("polyline")[0]
    points = [tuple(map(float, pair.split(","))) for pair in first.attrib["points"].split()]
    assert len(points) == 2
    (left, low), (right, high) = points
    assert left < right
    assert low > high  # up is a smaller y
    middle = float(root.findall("circle")[0].attrib["cy"])
    assert middle == pytest.approx((low + high) / 2, abs=0.1)  # 10 is half way from 1 to 100
    assert "nothing yet" in line_chart("empty", {"a": [(0.0, -1.0)]}, log=True)


def test_a_turntable_goes_around_one_scene(tiny: Config) -> None:
    torch.manual_seed(0)
    frames = turntable(Generator(tiny.generator).eval(), tiny)
    assert frames.shape == (TURNTABLE_FRAMES, 16, 16, 3)
    assert (frames[0] - frames[4]).abs().max() > 1e-3
    assert torch.allclose(frames[0], frames[8], atol=1e-5)  # to and fro passes the middle twice


def test_runs_are_compared_by_settings_and_curves(
    run: RunFolder, tiny: Config, images: PosedImages, runs: Path
) -> None:
    other = train(_with_training(tiny, kimg=0.008, r1_gamma=0.7), images, runs / "second")
    both = {"first": run, "second": other}
    assert different_settings(both) == [
        ("training.kimg", ["0.016", "0.008"]), ("training.r1_gamma", ["0.1", "0.7"]),
    ]  # fmt: skip
    page = write_comparison(runs / "both.html", both).read_text()
    assert "first loss_d" in page
    assert "second loss_d" in page
    assert "training.r1_gamma" in page


def test_a_missing_logger_names_its_extra_before_anything_is_trained(
    tiny: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[tensorboard\]'"):
        train(_with_training(tiny, loggers=("tensorboard",)), images, tmp_path / "run")


class Recorder:
    """Stands in for the writer of TensorBoard and for a run of Weights & Biases."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **_: self.calls.append((name, arguments))


def test_tensorboard_gets_scalars_a_grid_and_histograms_at_every_tick(
    tiny: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=lambda folder: recorder))
    train(_with_training(tiny, loggers=("tensorboard",), kimg=0.016), images, tmp_path / "run")
    scalars = [arguments for name, arguments in recorder.calls if name == "add_scalar"]
    assert {(name, images_shown) for name, _, images_shown in scalars} >= {("loss_d", 8), ("loss_g", 16)}
    grids = [arguments[1] for name, arguments in recorder.calls if name == "add_image"]
    assert [(grid.shape, grid.dtype) for grid in grids] == [((32, 32, 3), np.uint8)] * 2
    assert sum(name == "add_histogram" for name, _ in recorder.calls) > 10
    assert recorder.calls[-1][0] == "close"


def test_event_files_of_tensorboard_are_written(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra [tensorboard]")
    train(_with_training(tiny, loggers=("tensorboard",), kimg=0.008), images, tmp_path / "run")
    (events,) = (tmp_path / "run/tensorboard").iterdir()
    data = events.read_bytes()
    assert b"loss_d" in data
    assert b"\x89PNG" in data


def test_weights_and_biases_goes_through_the_same_interface(
    tiny: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    fake = SimpleNamespace(init=lambda **_: recorder, Histogram=len, Image=np.asarray)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    train(_with_training(tiny, loggers=("wandb",), kimg=0.008), images, tmp_path / "run")
    assert [name for name, _ in recorder.calls] == ["log", "finish"]
    assert {"loss_d", "kimg", "samples"} <= recorder.calls[0][1][0].keys()
