"""Decoded images in a file: as large as the set on the disk itself, shared by processes that start together."""

from __future__ import annotations

import os
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.datasets import pixel_cache
from hgs_toolkit.datasets.pixel_cache import PixelCache

SHAPE = (8, 16, 16, 4)


def cache(folder: Path, digest: str = "a" * 64) -> PixelCache:
    found = PixelCache.on_disk(folder / "set.zip", digest, SHAPE)
    assert found is not None
    return found


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files are sparse where space cannot be claimed")
def test_the_disk_holds_the_whole_file_before_anything_is_written(tmp_path: Path) -> None:
    cache(tmp_path)
    (file,) = (tmp_path / ".hgs-cache").iterdir()
    assert file.stat().st_blocks * 512 >= file.stat().st_size > 0


def test_those_that_start_together_share_one_file_and_older_ones_go(tmp_path: Path) -> None:
    cache(tmp_path, "b" * 64).put(0, np.ones(SHAPE[1:], np.uint8))
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: cache(tmp_path), range(16)))
    assert len(list((tmp_path / ".hgs-cache").iterdir())) == 1
    opened[0].put(3, np.full(SHAPE[1:], 7, np.uint8))
    assert all(other.filled[3] and (other.pixels[3] == 7).all() for other in opened)
    assert not opened[0].filled[0]


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 0))
    monkeypatch.setattr(pixel_cache, "cache_folder", lambda: tmp_path / "own")
    assert PixelCache.on_disk(tmp_path / "set.zip", "a" * 64, SHAPE) is None
    assert not list(tmp_path.rglob("*.pixels"))
