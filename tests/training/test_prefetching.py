"""Reading images ahead in threads, and keeping them in memory or in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets import pixel_cache
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import DataError
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.prefetching import Prefetcher
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.state import read_state


def _with_workers(config: Config, workers: int) -> Config:
    return replace(config, training=replace(config.training, workers=workers))


def test_a_run_has_the_same_bits_for_any_number_of_workers_and_any_cache(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    results = []
    for workers, memory, disk in ((0, 2 << 30, False), (1, 0, False), (3, 0, True)):
        copy = tmp_path / "set.zip"
        copy.write_bytes(images.path.read_bytes())
        data = open_dataset(copy, cache_bytes=memory, disk_cache=disk)
        run = train(_with_workers(tiny, workers), data, tmp_path / f"run-{workers}")
        results.append(read_state(run.state_file)["generator"])
    for other in results[1:]:
        assert all(torch.equal(value, other[name]) for name, value in results[0].items())


def test_images_come_in_the_order_of_the_steps_from_any_step_on(tiny: Config, images: PosedImages) -> None:
    with Prefetcher(images, _with_workers(tiny, 0), 0, World()) as plain:
        expected = [plain.take(step) for step in range(12)]
    with Prefetcher(images, _with_workers(tiny, 2), 5, World()) as ahead:
        for step in range(5, 12):
            pixels, labels = ahead.take(step)
            assert torch.equal(pixels, expected[step][0])
            assert torch.equal(labels, expected[step][1])


def test_training_decodes_only_the_images_of_its_steps(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    data = open_dataset(images.path)
    train(_with_workers(tiny, 0), data, tmp_path / "run", minutes=1e-9)
    assert data._cache is not None
    assert int(data._cache.filled.sum()) <= 8  # a batch of four and the grid of four real images


def test_a_broken_image_ends_the_run_by_name_with_its_steps_saved(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    with open_writer(tmp_path / "set") as writer:
        names = [writer.add(images.image(index), images.labels[index]) for index in range(24)]
    (tmp_path / "set" / names[7]).write_bytes(b"broken")
    quiet = replace(tiny, training=replace(tiny.training, tick_kimg=1.0, grid=1, kimg=0.2))
    with pytest.raises(DataError, match=names[7]):
        train(quiet, open_dataset(tmp_path / "set"), tmp_path / "run")
    assert 0 < read_state(tmp_path / "run/state.pt")["step"] < 50


def test_decoded_images_of_a_large_set_are_kept_in_a_file_beside_it_and_used_again(
    images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(images.path.read_bytes())
    first = open_dataset(path, cache_bytes=0, disk_cache=True)
    first.preload()
    (file,) = (tmp_path / pixel_cache.FOLDER).iterdir()
    assert file.stat().st_size == 24 * (16 * 16 * 4 + 1)
    second = open_dataset(path, cache_bytes=0, disk_cache=True)
    monkeypatch.setattr(second, "_load", lambda index: pytest.fail(f"image {index} is decoded again"))
    assert np.array_equal(second.image(5), images.image(5))
    assert torch.equal(second.batch([3, 3, 9])[0], images.batch([3, 3, 9])[0])


def test_a_changed_set_gets_a_cache_of_its_own_and_the_old_one_goes(images: PosedImages, tmp_path: Path) -> None:
    for shift in (0, 1):
        with open_writer(tmp_path / "set.zip", force=True) as writer:
            for index in range(4):
                writer.add(images.image(index + shift), images.labels[index])
        data = open_dataset(tmp_path / "set.zip", cache_bytes=0, disk_cache=True)
        assert np.array_equal(data.image(0), images.image(shift))
    assert len(list((tmp_path / pixel_cache.FOLDER).iterdir())) == 1


def test_without_space_for_the_file_images_are_decoded_every_time(
    images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set.zip").write_bytes(images.path.read_bytes())
    monkeypatch.setattr(pixel_cache, "SPARE_BYTES", 1 << 62)
    monkeypatch.setenv("HGS_CACHE", str(tmp_path / "cache"))
    data = open_dataset(tmp_path / "set.zip", cache_bytes=0, disk_cache=True)
    assert data._cache is None
    assert np.array_equal(data.image(3), images.image(3))
