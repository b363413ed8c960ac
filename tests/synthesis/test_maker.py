"""Two threads make a shard: they overlap, do not run away from each other, and fail together."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.errors import HgsError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample_w
from hgs_toolkit.settings_io import build, config_to_dict, merge
from hgs_toolkit.synthesis import maker
from hgs_toolkit.synthesis.drawing import PIXEL_BYTES, draw_layers
from hgs_toolkit.synthesis.formats.samples import SampleWriter
from tests.synthesis.conftest import Make

VIEWS = 3 * maker.QUEUE


class Drawn:
    """How many views have been drawn; ``reached(n)`` is set when there are n."""

    def __init__(self, target: int) -> None:
        self.count, self.target, self.reached = 0, target, threading.Event()

    def follow(self, layers: Iterator[Any]) -> Iterator[Any]:
        for layer in layers:
            self.count += 1
            if self.count >= self.target:
                self.reached.set()
            yield layer


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    counter = Drawn(3)
    monkeypatch.setattr(maker, "draw_layers", lambda *arguments: counter.follow(draw_layers(*arguments)))
    return counter


def test_drawing_goes_on_while_a_view_is_stored(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, went_on = SampleWriter.add, []

    def store_after_the_third_is_drawn(writer: SampleWriter, sample: Any) -> None:
        went_on.append(drawn.reached.wait(timeout=60))
        store(writer, sample)

    monkeypatch.setattr(SampleWriter, "add", store_after_the_third_is_drawn)
    make(tmp_path / "set", count=4, shard_images=4)
    assert went_on == [True] * 4


@pytest.mark.parametrize(("room", "queue"), [(1 << 26, maker.QUEUE), (2 * 16 * 16 * PIXEL_BYTES, 2), (0, 1)])
def test_drawing_waits_when_storing_is_far_behind(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, queue: int
) -> None:
    monkeypatch.setattr(maker, "QUEUE_BYTES", room)
    store, ahead = SampleWriter.add, list[int]()

    def store_the_first_when_drawing_halts(writer: SampleWriter, sample: Any) -> None:
        before = -1
        while not ahead and drawn.count > before:
            before = drawn.count
            time.sleep(0.2)
        ahead.append(drawn.count - len(ahead))
        store(writer, sample)

    monkeypatch.setattr(SampleWriter, "add", store_the_first_when_drawing_halts)
    outcome = make(tmp_path / "set", count=VIEWS, shard_images=VIEWS, annotations=["rgb"])
    in_hand = 2  # one view is being stored, one waits for room
    assert max(ahead) <= queue + in_hand
    assert outcome.made == VIEWS


def test_view_dependent_colour_follows_the_camera(make: Make, plain_config: Config, tmp_path: Path) -> None:
    config = build(Config, merge(config_to_dict(plain_config), {"generator": {"view_dependent_color": True}}), "")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Generator(config.generator).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.data += 0.1
    save_model(tmp_path / "model.safetensors", model, config)
    make(tmp_path / "set", model=tmp_path / "model.safetensors", format="eg3d", count=1, views=3, seed=5, psi=1.0)
    pictures = open_dataset(tmp_path / "set" / "dataset.zip")
    cameras = Cameras.from_labels(torch.from_numpy(pictures.labels))
    for index, camera in enumerate(cameras):
        scene = model.synthesize(sample_w(model, [5], 1.0), camera.forward[None])
        assert not torch.allclose(scene.sh, model.synthesize(sample_w(model, [5], 1.0)).sh, atol=0.02)
        images, alphas = render(scene, camera.reshape(1), 16, 16)
        straight = (images / alphas.clamp_min(1e-6)).clamp(0, 1)[0, 0].numpy()
        clear = alphas[0, 0, ..., 0].numpy() > 0.1
        assert clear.any()
        assert np.abs(pictures.image(index)[clear][:, :3] / 255 - straight[clear]).max() <= 0.51 / 255


def test_an_error_while_storing_stops_the_drawing_and_leaves_nothing(
    make: Make, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SampleWriter, "add", full)
    with pytest.raises(HgsError, match="No space left on device; nothing was changed"):
        make(tmp_path / "set", count=VIEWS, shard_images=VIEWS, annotations=["rgb"])
    assert drawn.count < VIEWS
    assert list((tmp_path / "set" / "shards").iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "hgs-finisher"]


def test_an_error_at_the_very_end_is_not_lost(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SampleWriter, "finish", full)
    with pytest.raises(HgsError, match="No space left on device"):
        make(tmp_path / "set", count=2)
