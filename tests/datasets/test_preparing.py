"""Whatever is brought becomes a set: recognised by its files, made once, resumed byte for byte."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.conventions import LEAST_IMAGES
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.images import Pixels
from hgs_toolkit.datasets.make import make_dataset, make_in_parts
from hgs_toolkit.datasets.preparing import SET_FILE, drawings, prepare_data
from hgs_toolkit.datasets.recognise import recognise
from hgs_toolkit.datasets.scene_prior import Values, camera_prior, draw_camera, generator
from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.imaging.images import save_png


def image_of(index: int) -> tuple[Pixels, Values]:
    rng = generator(0, index)
    return rng.integers(0, 256, (8, 8, 4), dtype=np.uint8), draw_camera(camera_prior(), rng)


class Interrupted:
    """Makes images until so many were made."""

    def __init__(self, limit: int) -> None:
        self.made, self.limit = list[int](), limit

    def __call__(self, index: int) -> tuple[Pixels, Values]:
        if len(self.made) == self.limit:
            raise KeyboardInterrupt
        self.made.append(index)
        return image_of(index)


def test_an_interrupted_set_goes_on_with_its_finished_parts_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgs_toolkit.datasets.make.PART", 4)
    make_dataset(image_of, 10, tmp_path / "whole.zip", facts={"a": 1})
    with pytest.raises(KeyboardInterrupt):
        make_in_parts(Interrupted(6), 10, tmp_path / "set.zip", tmp_path / "parts", facts={"a": 1})
    assert not (tmp_path / "set.zip").exists()
    rest, done = Interrupted(100), list[int]()
    make_in_parts(
        rest, 10, tmp_path / "set.zip", tmp_path / "parts", facts={"a": 1}, progress=lambda n, _: done.append(n)
    )
    assert rest.made == [4, 5, 6, 7, 8, 9]
    assert done[0] == 4
    assert done[-1] == 10
    assert (tmp_path / "set.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_torn_part_is_made_again(tmp_path: Path) -> None:
    make_in_parts(image_of, 3, tmp_path / "set.zip", tmp_path / "parts")
    whole = (tmp_path / "set.zip").read_bytes()
    part = next((tmp_path / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:50])
    make_in_parts(image_of, 3, tmp_path / "set.zip", tmp_path / "parts")
    assert (tmp_path / "set.zip").read_bytes() == whole


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("set", ("dataset.json", "a.png")),
        ("cameras", ("sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.ply", "images/a.jpg")),
        ("cameras", ("transforms_train.json", "train/a.png")),
        ("meshes", ("chair/chair.obj", "chair/chair.mtl", "chair/wood.jpg")),
        ("images", ("a.jpg", "b/c.webp")),
    ],
)
def test_a_folder_is_recognised_by_its_files(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    assert recognise(touch(tmp_path / "in", *names)) == kind


def test_a_folder_of_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds 1 files, but no dataset\.json, no cameras, no mesh and no image"):
        recognise(touch(tmp_path / "in", "notes.txt"))


def test_images_alone_get_assumed_poses_and_stay_what_they_were_made_of(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    for index in range(3):
        Image.new("RGB", (40, 50), (80 * index, 90, 100)).save(tmp_path / "faces" / f"{index}.png")
    with pytest.raises(DataError, match="faces has 3 images; expected at least 4, better thousands"):
        prepare_data(tmp_path / "faces", tmp_path / "run", 64)
    Image.new("RGB", (40, 50), (240, 90, 100)).save(tmp_path / "faces" / "3.png")
    made = prepare_data(tmp_path / "faces", tmp_path / "run", 64)
    images = open_dataset(made)
    assert (len(images), images.resolution, images.has_alpha) == (4, 32, False)
    assert "drawn at random" in images.facts["poses"]
    stamp = made.stat().st_mtime_ns
    assert prepare_data(tmp_path / "faces", tmp_path / "run", 16) == made
    assert made.stat().st_mtime_ns == stamp
    Image.new("RGB", (40, 50)).save(tmp_path / "faces" / "more.png")
    with pytest.raises(HgsError, match=r"holds images of faces, which is not .*faces as it is now"):
        prepare_data(tmp_path / "faces", tmp_path / "run", 64)


def test_meshes_are_rendered_and_a_set_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    monkeypatch.setattr("hgs_toolkit.datasets.preparing.RENDERED", (9, 9))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "models" / "broken.obj").write_text("v 0 0 zero\nf 1 2 3\n")
    made = prepare_data(tmp_path / "models", tmp_path / "run", 16)
    images = open_dataset(made)
    assert made == tmp_path / "run" / SET_FILE
    assert (len(images), images.resolution, images.has_alpha) == (9, 16, True)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["data.json", "data.zip"]
    assert prepare_data(made, tmp_path / "other", 16) == made
    assert not (tmp_path / "other").exists()


def test_more_models_are_drawn_more_often() -> None:
    assert drawings(3) < drawings(60) < drawings(500) == drawings(5000)


def test_a_conversion_that_failed_leaves_the_folder_to_a_mended_source(tmp_path: Path) -> None:
    source, run = tmp_path / "photos", tmp_path / "run"
    source.mkdir()
    for number in range(LEAST_IMAGES):
        (source / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError):
        prepare_data(source, run, 16)
    for number in range(LEAST_IMAGES):
        save_png(source / f"{number}.png", np.full((16, 16, 3), number * 10, np.uint8), force=True)
    assert len(open_dataset(prepare_data(source, run, 16))) == LEAST_IMAGES


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_file_names_of_old_archives_are_taken(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for number in range(LEAST_IMAGES):
        name = os.fsdecode(b"caf\xe9-%d.png" % number)
        save_png(source / name, np.full((16, 16, 3), number * 10, np.uint8))
    made = open_dataset(prepare_data(source, tmp_path / "run", 16))
    assert len(made.digest) == 64
