"""Sets brought together: every image, label, class and credit of each, and nothing that does not fit."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.datasets.attribution import ATTRIBUTION, Credit, credits_to_json, read_credits
from hgs_toolkit.datasets.classes import ClassLabel
from hgs_toolkit.datasets.eg3d import POSES, VIEWS, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.merging import merge_sets
from hgs_toolkit.errors import DataError, HgsError

Pixels = np.typing.NDArray[np.uint8]


def make_set(
    path: Path, count: int, *, seed: int = 0, side: int = 8, channels: int = 4, facts: dict[str, Any] | None = None,
    names: Sequence[str] = (), kinds: Sequence[ClassLabel] = (),
) -> list[Pixels]:  # fmt: skip
    """Write a set of random images; returns their pixels."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (side, side, channels), dtype=np.uint8) for _ in range(count)]
    with open_writer(path) as writer:
        writer.facts, writer.class_names = dict(facts or {}), names
        for index, image in enumerate(images):
            writer.add(image, rng.normal(size=25), kinds[index] if kinds else None)
    return images


@pytest.mark.parametrize("suffix", [".zip", ""])
def test_the_images_and_labels_of_all_sets_follow_one_another(tmp_path: Path, suffix: str) -> None:
    first = make_set(tmp_path / "a.zip", 3)
    second = make_set(tmp_path / "b", 2, seed=1)
    steps: list[tuple[int, int]] = []
    out = tmp_path / f"both{suffix}"
    count = merge_sets([tmp_path / "a.zip", tmp_path / "b"], out, progress=lambda *step: steps.append(step))
    merged = open_dataset(out)
    assert count == len(merged) == 5
    for index, image in enumerate(first + second):
        assert np.array_equal(merged.image(index), image)
    labels = [open_dataset(path).labels for path in (tmp_path / "a.zip", tmp_path / "b")]
    assert np.array_equal(merged.labels, np.concatenate(labels))
    assert steps == [(done, 5) for done in range(1, 6)]


def test_png_files_keep_their_bytes_and_others_their_pixels(tmp_path: Path) -> None:
    make_set(tmp_path / "a", 2, channels=3)
    pixels = BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(pixels, "JPEG")
    (tmp_path / "a/00000/img00000001.png").unlink()
    (tmp_path / "a/00000/img00000001.jpg").write_bytes(pixels.getvalue())
    labels = (tmp_path / "a/dataset.json").read_text().replace("00000001.png", "00000001.jpg")
    (tmp_path / "a/dataset.json").write_text(labels)
    merge_sets([tmp_path / "a", tmp_path / "a"], tmp_path / "twice.zip")
    with zipfile.ZipFile(tmp_path / "twice.zip") as archive:
        png = (tmp_path / "a/00000/img00000000.png").read_bytes()
        assert archive.read("00000/img00000002.png") == archive.read("00000/img00000000.png") == png
    twice = open_dataset(tmp_path / "twice.zip")
    assert np.array_equal(twice.image(1), open_dataset(tmp_path / "a").image(1))


def test_classes_stay_with_their_images(tmp_path: Path) -> None:
    names = ("floppy", "hat")
    make_set(tmp_path / "a.zip", 2, names=names, kinds=[0, [1, 1]])
    make_set(tmp_path / "b.zip", 2, names=names, kinds=[1, [0.5, 0]])
    merge_sets([tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "both.zip")
    classes = open_dataset(tmp_path / "both.zip").classes
    assert classes is not None
    assert classes.names == names
    assert classes.vectors.tolist() == [[1, 0], [1, 1], [0, 1], [0.5, 0]]


def test_what_the_sets_say_of_themselves_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chair, sofa = Credit("chair", "Ann", "CC0"), Credit("sofa", "Ben", "CC-BY-4.0")
    one = {ATTRIBUTION: credits_to_json([chair]), VIEWS: 2, POSES: "normal, yaw 20", "made by": "x", "pose_prior": 1}
    other = {ATTRIBUTION: credits_to_json([chair, sofa]), VIEWS: 4, "made by": "x", "pose_prior": 2, "rare": 3}
    make_set(tmp_path / "a.zip", 4, facts=one)
    make_set(tmp_path / "b.zip", 4, facts=other)
    merge_sets([tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "both.zip")
    merged = open_dataset(tmp_path / "both.zip")
    assert read_credits(merged.facts[ATTRIBUTION]) == [chair, sofa]
    assert merged.views_per_subject == 2  # of each four that show one subject, two do as well
    assert merged.facts[POSES] == "normal, yaw 20"
    assert (merged.facts["made by"], merged.facts["pose_prior"]) == ("x", [1, 2])
    assert "rare" not in merged.facts
    assert "the entry 'rare' of dataset.json is left out" in caplog.text
    assert "assumed poses" in caplog.text
    merge_sets([tmp_path / "both.zip", tmp_path / "b.zip"], tmp_path / "three.zip")
    assert open_dataset(tmp_path / "three.zip").facts["pose_prior"] == [1, 2, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"side": 16}, r"b\.zip has images of 16 x 16 pixels with alpha, .*a\.zip of 8 x 8 pixels with alpha"),
        ({"channels": 3}, "8 x 8 pixels without alpha"),
        ({"names": ["cat"], "kinds": [0, 0]}, r"b\.zip has the classes cat, .*a\.zip has no classes"),
    ],
)
def test_sets_that_do_not_fit_are_named(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    make_set(tmp_path / "a.zip", 2)
    make_set(tmp_path / "b.zip", 2, **given)
    with pytest.raises(DataError, match=message):
        merge_sets([tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "both.zip")
    assert not (tmp_path / "both.zip").exists()


def test_a_single_set_a_name_in_use_and_a_broken_image_are_refused(tmp_path: Path) -> None:
    make_set(tmp_path / "a", 2)
    with pytest.raises(DataError, match="1 set; expected at least two"):
        merge_sets([tmp_path / "a"], tmp_path / "both.zip")
    with pytest.raises(HgsError, match="exists"):
        merge_sets([tmp_path / "a", tmp_path / "a"], tmp_path / "a")
    (tmp_path / "a/00000/img00000001.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a: 00000/img00000001\.png is not a readable .*: it is empty"):
        merge_sets([tmp_path / "a", tmp_path / "a"], tmp_path / "both.zip")
    assert not (tmp_path / "both.zip").exists()


def test_a_set_is_neither_written_into_nor_taken_away(tmp_path: Path) -> None:
    make_set(tmp_path / "a", 2)
    make_set(tmp_path / "around/b", 2)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"inner lies in .*a, whose images it would join"):
        merge_sets([tmp_path / "a", tmp_path / "around/b"], tmp_path / "a/inner")
    with pytest.raises(DataError, match=r"b lies in .*around, which would be replaced"):
        merge_sets([tmp_path / "a", tmp_path / "around/b"], tmp_path / "around", force=True)
    assert sorted(tmp_path.rglob("*")) == before
    merge_sets([tmp_path / "a", tmp_path / "around/b"], tmp_path / "a", force=True)
    assert len(open_dataset(tmp_path / "a")) == 4


def test_labels_without_an_image_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_set(tmp_path / "a", 3)
    (tmp_path / "a/00000/img00000002.png").unlink()
    assert merge_sets([tmp_path / "a", tmp_path / "a"], tmp_path / "both.zip") == 4
    assert "labels 1 images that it does not hold, such as 00000/img00000002.png" in caplog.text
