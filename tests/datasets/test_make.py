from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.datasets.critters.drawing import critter_image, make_critters
from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.images import Pixels
from hgs_toolkit.datasets.make import make_dataset
from hgs_toolkit.errors import HgsError


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    for workers in (1, 2):
        make_critters(tmp_path / f"{workers}.zip", 37, 16, seed=3, workers=workers)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_every_image_is_the_one_of_its_index(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_critters(tmp_path / "set.zip", 5, 16, seed=2, progress=lambda done, total: seen.append((done, total)))
    dataset = open_dataset(tmp_path / "set.zip")
    for index in range(5):
        image, label = critter_image(2, index, 16)
        assert np.array_equal(dataset.image(index), image)
        assert np.array_equal(dataset.labels[index], label)
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_a_longer_set_begins_with_the_shorter_one(tmp_path: Path) -> None:
    make_critters(tmp_path / "short", 3, 16)
    make_critters(tmp_path / "long", 6, 16)
    short, long = open_dataset(tmp_path / "short"), open_dataset(tmp_path / "long")
    assert np.array_equal(short.labels, long.labels[:3])
    assert np.array_equal(short.batch(range(3))[0], long.batch(range(3))[0])


def fail_at(bad: int, index: int) -> tuple[Pixels, Values]:
    if index == bad:
        raise HgsError(f"image {index} is cursed")
    return np.zeros((8, 8, 3), dtype=np.uint8), np.zeros(25, dtype=np.float32)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_any_process_arrives_as_it_is_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    with pytest.raises(HgsError, match="image 20 is cursed"):
        make_dataset(partial(fail_at, 20), 40, tmp_path / "set.zip", workers=workers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "resolution", "seed", "workers"),
    [(0, 64, 0, 1), (10**9, 64, 0, 1), (1, 4, 0, 1), (1, 10**5, 0, 1), (1, 64, -1, 1), (1, 64, 0, 0)],
)
def test_impossible_numbers_are_refused_before_anything_is_made(
    tmp_path: Path, count: int, resolution: int, seed: int, workers: int
) -> None:
    with pytest.raises(HgsError, match="expected"):
        make_critters(tmp_path / "set.zip", count, resolution, seed=seed, workers=workers)
    assert list(tmp_path.iterdir()) == []
