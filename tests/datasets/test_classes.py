"""Classes of a posed set: read and written beside the camera labels, and refused where they are incomplete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.cameras import frontal
from hgs_toolkit.config.classes import ClassPrior
from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.classes import MAX_KINDS, class_labels, read_classes
from hgs_toolkit.datasets.convert import Framing, convert_scenes, folder_classes
from hgs_toolkit.datasets.critters import coat, drawing
from hgs_toolkit.datasets.critters.anatomy import Anatomy
from hgs_toolkit.datasets.critters.drawing import CLASS_NAMES, critter_class, make_critters
from hgs_toolkit.datasets.critters.prior import CritterPrior
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.world import PlacementOptions
from hgs_toolkit.errors import DataError, ShapeError

IMAGES = ["a.png", "b.png", "c.png"]


def entry(*labels: Any, names: list[str] | None = None) -> dict[str, Any]:
    pairs = [[name, label] for name, label in zip(IMAGES, labels, strict=False)]
    return {"classes": {"labels": pairs} | ({} if names is None else {"names": names})}


def test_numbers_and_vectors_are_read_as_stylegan_writes_them() -> None:
    found = read_classes(entry(1, 0, 1, names=["chair", "table"]), IMAGES)
    assert found is not None
    assert found.vectors.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert found.counts() == {"chair": 1, "table": 2}
    mixed = read_classes(entry([1, 0.5], 1, [0, 0], names=["long", "hat"]), IMAGES)
    assert mixed is not None
    assert mixed.counts() == {"long+hat=0.5": 1, "none": 1, "hat": 1}
    unnamed = read_classes(entry(0, 2, 1), IMAGES)
    assert unnamed is not None
    assert unnamed.names == ("0", "1", "2")
    assert read_classes({}, IMAGES) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (entry(0, 1, names=["chair", "table"]), r"leaves out 1 of 3 images, the first is c\.png"),
        (
            entry([1, 0], [1, 0, 0], 0, names=["chair", "table"]),
            r"the class of b\.png is 3 values; expected .* 2 numbers",
        ),
        (entry(0, 1, 2, names=["chair", "table"]), r"the class of c\.png is 2; expected a number from 0 to 1"),
        (entry(0, True, "chair", names=["chair", "table"]), r"the class of b\.png is True"),
        (entry(0, 1, 1, names=["a+b", "c"]), r"holds 'a\+b'"),
        ({"classes": [1, 2]}, "is not"),
        (
            entry([1, 10**400], 0, 1, names=["a", "b"]),
            r"of a\.png is 2 values, not all of them finite numbers",
        ),
        (
            {"classes": {"labels": [["a.png", 0], ["b.png", 1], ["c.png", 1], ["a.png", 1]]}},
            r"two different classes for a\.png; expected one",
        ),
    ],
)
def test_a_broken_entry_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read_classes(given, IMAGES)
    assert "\n" not in str(caught.value)


def test_the_prior_keeps_what_occurs_and_how_often() -> None:
    prior = class_labels(["chair", "table"], [0, 0, 0, 1]).prior
    assert (prior.names, prior.vectors, prior.shares) == (("chair", "table"), (), (0.75, 0.25))
    prior = class_labels(["long", "hat"], [[1, 0], [1, 1], [1, 1], [1, 0]]).prior
    assert (prior.texts, prior.shares) == (("long+hat", "long"), ())


def test_critters_are_labelled_by_their_ears_and_hats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, labelled = tmp_path / "plain.zip", tmp_path / "labelled"
    make_critters(plain, 6, 16, seed=5)
    make_critters(labelled, 6, 16, seed=5, prior=CritterPrior(classes=True))
    without, with_classes = open_dataset(plain), open_dataset(labelled)
    assert without.classes is None
    assert with_classes.classes is not None
    for index in range(6):
        assert np.array_equal(without.image(index), with_classes.image(index))
    assert without.digest != with_classes.digest
    assert with_classes.classes.names == CLASS_NAMES
    assert with_classes.classes.vectors.tolist() == [critter_class(5, index) for index in range(6)]
    assert check_dataset(labelled).classes == with_classes.classes.counts()
    anatomies: list[Anatomy] = []  # what is drawn is what is written

    def noting(anatomy: Anatomy, rng: np.random.Generator) -> coat.Coat:
        anatomies.append(anatomy)
        return coat.dress(anatomy, rng)

    monkeypatch.setattr(drawing, "dress", noting)
    for index in range(6):
        anatomies.clear()
        drawing.critter(5, index)
        worn = {anatomies[0].ears, anatomies[0].hat} - {None}
        assert {name for name, has in zip(CLASS_NAMES, critter_class(5, index), strict=True) if has} == worn


def test_a_writer_wants_a_class_for_every_image_or_none(tmp_path: Path) -> None:
    pixels, label = np.zeros((8, 8, 3), np.uint8), frontal().labels[0].numpy()

    def write() -> None:
        with open_writer(tmp_path / "a.zip") as writer:
            writer.class_names = ["chair", "table"]
            writer.add(pixels, label, 0)
            writer.add(pixels, label)

    with pytest.raises(ShapeError, match="1 classes for 2 images"):
        write()
    assert not (tmp_path / "a.zip").exists()


def test_a_folder_for_each_class_is_converted(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / name)
    scenes = read_scenes(tmp_path / "in", "bare", None, AssumedPoses("frontal"), None)
    convert_scenes(scenes, tmp_path / "out", PlacementOptions(), Framing(), classes=folder_classes(scenes))
    found = open_dataset(tmp_path / "out").classes
    assert found is not None
    assert found.counts() == {"cat": 2, "dog": 1}
    written = json.loads((tmp_path / "out" / "dataset.json").read_text())["classes"]
    assert written["names"] == ["cat", "dog"]
    assert [number for _, number in written["labels"]] == [0, 0, 1]
    flat = read_scenes(tmp_path / "in" / "cat", "bare", None, AssumedPoses("frontal"), None)
    with pytest.raises(DataError, match=r"1\.png lies in no folder; expected a folder for each class"):
        folder_classes(flat)


def test_partly_labelled_sets_are_reported_by_the_check(tmp_path: Path) -> None:
    make_critters(tmp_path / "set", 3, 16, prior=CritterPrior(classes=True))
    file = tmp_path / "set" / "dataset.json"
    content = json.loads(file.read_text())
    del content["classes"]["labels"][1]
    file.write_text(json.dumps(content))
    assert any("leaves out 1 of 3 images" in error for error in check_dataset(tmp_path / "set").errors)


def test_images_are_counted_exactly_where_there_are_more_kinds_than_a_model_keeps() -> None:
    names = [str(number) for number in range(9)]
    kinds = [[(kind >> bit) & 1 for bit in range(9)] for kind in range(300)]
    classes = class_labels(names, [*kinds, kinds[7], kinds[7], kinds[299]])
    counts = classes.counts()
    assert counts["0+1+2"] == 3
    assert counts["0+1+3+5+8"] == 2
    assert counts["others, 44 kinds"] == 44
    assert sorted(set(counts.values())) == [1, 2, 3, 44]
    assert (len(counts), sum(counts.values())) == (MAX_KINDS + 1, 303)


def test_the_nearest_class_is_found_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    prior = ClassPrior(("a", "b", "c"), tuple(map(tuple, rng.random((5, 3)).tolist())))
    vectors = rng.random((11, 3), dtype=np.float32)
    wanted = [int(np.square(vector - prior.table).sum(axis=1).argmin()) for vector in vectors]
    allocated = list[int]()
    square = np.square

    def noting(values: Any) -> Any:
        allocated.append(values.size)
        return square(values)

    monkeypatch.setattr(np, "square", noting)
    monkeypatch.setattr("hgs_toolkit.config.classes.AT_ONCE", 40)
    assert prior.nearest(vectors).tolist() == wanted
    assert max(allocated) <= 40
