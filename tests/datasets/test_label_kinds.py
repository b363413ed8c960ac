"""Labels of other programs' sets: classes as StyleGAN writes them, cameras with a class, and neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.convert import Framing, convert_scenes, image_classes, label_classes
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.label_kinds import is_class
from hgs_toolkit.datasets.preparing import prepare_data
from hgs_toolkit.datasets.recognise import recognise
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.world import PlacementOptions
from hgs_toolkit.errors import DataError

CAMERAS = from_yaw_pitch(torch.arange(3) * 0.3, torch.zeros(3)).labels.tolist()
ONE_OF_25 = [0] * 24 + [1]


def write_set(path: Path, labels: list[Any] | None) -> Path:
    """Images with labels (three without any), as StyleGAN's dataset tool lays them out."""
    (path / "00000").mkdir(parents=True)
    names = [f"00000/img{index}.png" for index in range(3 if labels is None else len(labels))]
    for index, name in enumerate(names):
        Image.new("RGB", (16, 16), (80 * index, 0, 0)).save(path / name)
    pairs = None if labels is None else [list(pair) for pair in zip(names, labels, strict=True)]
    (path / "dataset.json").write_text(json.dumps({"labels": pairs}))
    return path


@pytest.mark.parametrize(
    ("labels", "vectors"),
    [
        ([2, 0, 2], [[0, 0, 1], [1, 0, 0], [0, 0, 1]]),
        ([[0, 1], [1, 0], [0, 1.0]], [[0, 1], [1, 0], [0, 1]]),
        ([[1, 1], [0, 0], [0, 1]], [[1, 1], [0, 0], [0, 1]]),
    ],
    ids=["numbers", "one-hot", "attributes"],
)
def test_the_classes_of_a_stylegan_set_are_kept(labels: list[Any], vectors: list[Any], tmp_path: Path) -> None:
    path = write_set(tmp_path / "in", labels)
    assert recognise(path) == "images"
    scenes = read_scenes(path, assumed=AssumedPoses("frontal"))
    convert_scenes(scenes, tmp_path / "out", PlacementOptions(), Framing(), classes=image_classes(scenes))
    found = open_dataset(tmp_path / "out").classes
    assert found is not None
    assert found.names == tuple(map(str, range(len(vectors[0]))))
    assert found.vectors.tolist() == vectors


def test_training_on_it_assumes_cameras_and_learns_its_classes(tmp_path: Path) -> None:
    around = tmp_path / "around"
    write_set(around / "my set", [1, 0, 1, 1])
    made = open_dataset(prepare_data(around, tmp_path / "run", 16))
    assert made.classes is not None
    assert made.classes.counts() == {"0": 1, "1": 3}
    assert "normal" in made.facts["poses"]


def test_a_set_without_any_label_is_one_of_bare_images(tmp_path: Path) -> None:
    path = write_set(tmp_path / "in", None)
    assert recognise(path) == "images"
    assert label_classes(read_scenes(path, assumed=AssumedPoses("frontal"))) is None
    with pytest.raises(DataError, match=r"has no labels; 'hgs dataset convert SET --law normal --classes' makes"):
        open_dataset(path)


def test_a_class_behind_each_camera_is_read_with_it(tmp_path: Path) -> None:
    classes = [[0, 1], [1, 0], [0.5, 0.5]]
    path = write_set(tmp_path / "in", [camera + vector for camera, vector in zip(CAMERAS, classes, strict=True)])
    assert recognise(path) == "set"
    found = open_dataset(path)
    assert found.labels.tolist() == open_dataset(write_set(tmp_path / "plain", CAMERAS)).labels.tolist()
    assert found.classes is not None
    assert found.classes.vectors.tolist() == classes
    assert check_dataset(path).classes == {"1": 1, "0": 1, "0=0.5+1=0.5": 1}


def test_cameras_are_no_classes_and_one_of_25_is_no_camera() -> None:
    assert not any(map(is_class, CAMERAS))
    assert is_class(ONE_OF_25)
    assert [is_class(label) for label in (0, -1, True, 0.5, None, "a", [], [0.2, 0.8], [1] * 24)] == [
        True, False, False, False, False, False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 2], r"the label of 00000/img0\.png is a class and no camera; 'hgs dataset convert"),
        ([CAMERAS[0], 1, CAMERAS[2]], r"the label of 00000/img1\.png is a class and no camera"),
        ([CAMERAS[0] + [1, 0], CAMERAS[1], CAMERAS[2]], r"the label of 00000/img0\.png has 27 values; expected 25"),
        (
            [CAMERAS[0] + [1, 0], CAMERAS[1] + [1, 0, 0], CAMERAS[2] + [0, 1]],
            r"the class of 00000/img0\.png is 2 values",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_named(labels: list[Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        open_dataset(write_set(tmp_path / "in", labels))


def test_the_check_says_that_classes_are_no_cameras(tmp_path: Path) -> None:
    (error,) = check_dataset(write_set(tmp_path / "in", [0, 1, 2, 0])).errors
    assert error.startswith(
        "4 labels in dataset.json are classes and no cameras ('hgs dataset convert SET --law normal"
    )
    mixed = check_dataset(write_set(tmp_path / "mixed", [0, [1.5], CAMERAS[2], CAMERAS[1]])).errors
    assert [error.partition(" in ")[0] for error in mixed] == ["1 labels", "1 labels"]


def test_an_image_without_a_class_is_named(tmp_path: Path) -> None:
    path = write_set(tmp_path / "in", [0, 1, 0])
    Image.new("RGB", (16, 16)).save(path / "00000" / "img3.png")
    with pytest.raises(DataError, match=r"leaves out 1 of 4 images, the first is 00000/img3\.png"):
        image_classes(read_scenes(path, assumed=AssumedPoses("frontal")))


def test_two_classes_for_an_image_are_refused(tmp_path: Path) -> None:
    path = write_set(tmp_path / "in", [0, 1, 0])
    content = json.loads((path / "dataset.json").read_text())
    content["labels"].append(["00000/img1.png", 0])
    (path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"two different classes for 00000/img1\.png; expected one"):
        image_classes(read_scenes(path, assumed=AssumedPoses("frontal")))
