import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import Pixels
from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

LABELS = PosePrior().sample(12, torch.Generator().manual_seed(0)).labels.numpy()


def random_images(count: int, size: int = 8, channels: int = 4) -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, channels), dtype=np.uint8) for _ in range(count)]


def write_set(path: Path, images: list[Pixels]) -> Path:
    with open_writer(path) as writer:
        for image, label in zip(images, LABELS, strict=False):
            writer.add(image, label)
    return path


def write_raw(path: Path, files: dict[str, bytes], labels: Any) -> Path:
    """A zip of exactly these files, whatever they are."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        if labels is not None:
            archive.writestr("dataset.json", json.dumps(labels))
    return path


def png(mode: str = "RGB", size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["set.zip", "folder"])
@pytest.mark.parametrize("channels", [3, 4])
def test_what_is_written_is_read_back_exactly(tmp_path: Path, name: str, channels: int) -> None:
    images = random_images(5, channels=channels)
    dataset = open_dataset(write_set(tmp_path / name, images))
    assert (len(dataset), dataset.resolution, dataset.has_alpha) == (5, 8, channels == 4)
    assert np.array_equal(dataset.labels, LABELS[:5])
    for index, image in enumerate(images):
        assert np.array_equal(dataset.image(index), image)


def test_a_batch_holds_the_asked_images_in_the_asked_order(tmp_path: Path) -> None:
    images = random_images(6)
    dataset = open_dataset(write_set(tmp_path / "set.zip", images))
    pixels, labels = dataset.batch([4, 0, 4])
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.numpy(), np.stack([images[4], images[0], images[4]]))
    assert np.array_equal(labels.numpy(), LABELS[[4, 0, 4]])


def test_a_batch_does_not_change_the_cache_when_it_is_changed(tmp_path: Path) -> None:
    dataset = open_dataset(write_set(tmp_path / "set.zip", random_images(2)))
    first = dataset.batch(torch.tensor([1]))[0]
    kept = first.clone()
    first.zero_()
    assert torch.equal(dataset.batch([1])[0], kept)


def test_without_a_cache_the_images_are_the_same(tmp_path: Path) -> None:
    path = write_set(tmp_path / "set.zip", random_images(4))
    cached, streamed = open_dataset(path), open_dataset(path, cache_bytes=0)
    assert torch.equal(cached.batch(range(4))[0], streamed.batch(range(4))[0])
    assert np.array_equal(cached.image(2), streamed.image(2))


def test_images_come_in_the_order_of_their_sorted_paths_each_with_its_own_label(tmp_path: Path) -> None:
    names = ["b/1.png", "a/2.jpg", "a/10.webp", "c.jpeg"]
    kinds = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", "jpeg": "JPEG"}
    files = {name: png(kind=kinds[name[-4:]]) if name[-4:] in kinds else png(kind="WEBP") for name in names}
    pairs = [[name, LABELS[index].tolist()] for index, name in enumerate(names)]
    dataset = open_dataset(write_raw(tmp_path / "set.zip", files | {"notes.txt": b"hi"}, {"labels": pairs}))
    assert [dataset.name(index) for index in range(4)] == ["a/10.webp", "a/2.jpg", "b/1.png", "c.jpeg"]
    assert np.array_equal(dataset.labels, LABELS[[2, 1, 0, 3]])


def test_shrinking_averages_blocks_of_pixels(tmp_path: Path) -> None:
    images = random_images(1, size=8, channels=3)
    dataset = open_dataset(write_set(tmp_path / "set.zip", images), resolution=2)
    expected = images[0].reshape(2, 4, 2, 4, 3).mean(axis=(1, 3))
    assert np.abs(dataset.image(0) - expected).max() <= 0.5


def test_shrinking_ignores_the_colour_of_transparent_pixels(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 4), dtype=np.uint8)
    image[..., 1] = 255
    image[::2, ::2] = [200, 10, 20, 255]
    dataset = open_dataset(write_set(tmp_path / "set.zip", [image]), resolution=2)
    assert np.array_equal(dataset.image(0), np.broadcast_to([200, 10, 20, 64], (2, 2, 4)))


def test_composing_commutes_with_shrinking(tmp_path: Path) -> None:
    image = random_images(1)[0]
    small = open_dataset(write_set(tmp_path / "set.zip", [image]), resolution=2).image(0)

    def on_gray(pixels: Pixels) -> Any:
        alpha = pixels[..., 3:] / 255
        return pixels[..., :3] * alpha + 100 * (1 - alpha)

    assert np.abs(on_gray(small) - on_gray(image).reshape(2, 4, 2, 4, 3).mean(axis=(1, 3))).max() < 1.5


@pytest.mark.parametrize("resolution", [3, 16, 0, -2])
def test_a_size_that_does_not_divide_the_stored_one_is_refused(tmp_path: Path, resolution: int) -> None:
    path = write_set(tmp_path / "set.zip", random_images(1))
    with pytest.raises(DataError, match="divisor of the stored size"):
        open_dataset(path, resolution)


def with_label(label: Any) -> Callable[[Path], Path]:
    return lambda path: write_raw(path, {"x.png": png()}, {"labels": [["x.png", label]]})


def with_file(data: bytes, name: str = "y.png") -> Callable[[Path], Path]:
    pairs = [["a.png", [0.0] * 25], [name, [0.0] * 25]]
    return lambda path: write_raw(path, {"a.png": png(), name: data}, {"labels": pairs})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_label([0.0] * 24), "label of x.png has 24 values; expected 25"),
        (with_label([0.0] * 24 + [float("nan")]), "label of x.png .* not a finite number"),
        (with_label([0.0] * 24 + [1e39]), "label of x.png .* not a finite number"),
        (with_label([0.0] * 24 + ["1"]), "label of x.png .* not a finite number"),
        (with_label(None), "label of x.png has NoneType"),
        (with_file(png(size=(16, 16))), "y.png is 16 x 16 RGB; expected 8 x 8 RGB like a.png"),
        (with_file(png("RGBA")), "y.png is 8 x 8 RGBA; expected 8 x 8 RGB"),
        (with_file(png(size=(8, 6)), "A.png"), "A.png is 8 x 6; expected a square image"),
        (with_file(png()[:-25]), "y.png is broken: image file is truncated"),
        (with_file(b"GIF89a, not really"), "y.png is not a readable PNG"),
        (with_file(b""), "y.png is not a readable PNG"),
        (lambda p: write_raw(p, {"a.png": png()}, {"labels": []}), "no label for a.png"),
        (lambda p: write_raw(p, {"a.png": png()}, {"labels": None}), "has no labels; .hgs dataset convert"),
        (lambda p: write_raw(p, {"a.png": png()}, [1]), "is not {"),
        (lambda p: write_raw(p, {"a.png": png()}, {"labels": [["a.png"]]}), "is not {"),
        (lambda p: write_raw(p, {"a.png": png()}, None), "has no dataset.json at its top level"),
        (lambda p: write_raw(p, {"dataset.json": b"{"}, None), "not valid JSON"),
        (lambda p: write_raw(p, {"dataset.json": b"[" * 100_000}, None), "not valid JSON"),
        (lambda p: write_raw(p, {"a.txt": b""}, {"labels": []}), "no PNG, JPEG or WebP image"),
        (lambda p: write_raw(p, {"../a.png": png()}, {"labels": []}), "unsafe file name '../a.png'"),
        (lambda p: write_raw(p, {"/a.png": png()}, {"labels": []}), "unsafe file name"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    path = make(tmp_path / "set.zip")
    with pytest.raises(DataError, match=message):
        open_dataset(path).preload()


def test_two_different_labels_of_one_image_are_refused_and_two_equal_ones_are_not(tmp_path: Path) -> None:
    one, other = [0.0] * 25, [1.0] * 25
    same = write_raw(tmp_path / "a.zip", {"x.png": png()}, {"labels": [["x.png", one], ["x.png", one]]})
    assert len(open_dataset(same)) == 1
    different = write_raw(tmp_path / "b.zip", {"x.png": png()}, {"labels": [["x.png", one], ["x.png", other]]})
    with pytest.raises(DataError, match=r"two different labels for x\.png"):
        open_dataset(different)


def test_an_image_that_unpacks_to_gigabytes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    huge = png("RGB", (5000, 5000))
    assert len(huge) < 1_000_000
    with pytest.raises(DataError, match=r"A\.png is 5000 x 5000; expected at most 4096"):
        open_dataset(with_file(huge, "A.png")(tmp_path / "a.zip"))
    bomb = tmp_path / "b.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes((1 << 26) + 1))
        archive.writestr("dataset.json", json.dumps({"labels": [["x.png", [0.0] * 25]]}))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"x\.png has 67,108,865 bytes"):
        open_dataset(bomb)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "set.zip")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        open_dataset(tmp_path / "set.zip")


def test_damaged_and_missing_archives_are_refused(tmp_path: Path) -> None:
    good = write_set(tmp_path / "set.zip", random_images(3)).read_bytes()
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "none.zip")
    for name, data, message in (
        ("cut", good[: len(good) // 2], "neither a folder nor a zip"),
        ("text", b"hello", "neither a folder nor a zip"),
        ("flipped", good[:60] + b"\xff\xff\xff\xff" + good[64:], "cannot read 00000/img00000000.png"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            open_dataset(path).preload()


def test_only_files_of_the_folder_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    dataset = open_dataset(write_set(tmp_path / "set", random_images(1)))
    with pytest.raises(DataError, match="has no file"):
        dataset._store.read("../secret.png", 1000)


def _sum_of_images(dataset: PosedImages) -> int:
    return int(dataset.batch(range(len(dataset)))[0].sum(dtype=torch.int64))


def test_threads_read_the_same_archive_at_once(tmp_path: Path) -> None:
    images = random_images(12, size=32)
    dataset = open_dataset(write_set(tmp_path / "set.zip", images), cache_bytes=0)
    expected = sum(int(image.sum(dtype=np.int64)) for image in images)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(_sum_of_images, [dataset] * 8)) == {expected}


FORKED = """
import multiprocessing, sys
import torch
from hgs_toolkit.datasets.eg3d import open_dataset

dataset = open_dataset(sys.argv[1], cache_bytes=0)

def total(_):
    return int(dataset.batch(range(len(dataset)))[0].sum(dtype=torch.int64))

with multiprocessing.get_context("fork").Pool(3) as processes:
    print(*processes.map(total, range(6)))
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_forked_processes_read_the_same_archive_at_once(tmp_path: Path) -> None:
    images = random_images(12, size=32)
    path = write_set(tmp_path / "set.zip", images)
    expected = sum(int(image.sum(dtype=np.int64)) for image in images)
    # An interpreter of its own: forking one in which other tests have started threads can leave a lock taken for good.
    result = subprocess.run([sys.executable, "-c", FORKED, str(path)], capture_output=True, text=True, timeout=300)
    assert set(result.stdout.split()) == {str(expected)}, result.stderr


def test_a_dataset_survives_pickling(tmp_path: Path) -> None:
    dataset = open_dataset(write_set(tmp_path / "set.zip", random_images(3)))
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy.batch([2, 0])[0], dataset.batch([2, 0])[0])


def test_preloading_reports_every_image_and_then_needs_the_archive_no_more(tmp_path: Path) -> None:
    path = write_set(tmp_path / "set.zip", random_images(3))
    dataset, seen = open_dataset(path), []
    dataset.preload(lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    dataset.close()
    path.unlink()
    assert dataset.batch([0, 1, 2])[0].shape == (3, 8, 8, 4)
