"""Whatever is brought becomes a set: recognised by its files, made once, resumed byte for byte."""

from __future__ import annotations

import os
import sys
import zipfile
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


def photos(folder: Path, sides: list[int]) -> Path:
    """Grey images of these sides."""
    folder.mkdir()
    for number, side in enumerate(sides):
        save_png(folder / f"{number}.png", np.full((side, side, 3), number * 10, np.uint8))
    return folder


def test_a_few_small_images_do_not_decide_how_large_all_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = photos(tmp_path / "photos", [96] * 8 + [17])
    save_png(source / "pixel.png", np.zeros((1, 1, 3), np.uint8))
    images = open_dataset(prepare_data(source, tmp_path / "run", 64))
    assert (len(images), images.resolution) == (8, 64)
    assert "1 of 9 images are left out, having fewer than 64 pixels a side: 8.png (17)" in caplog.text
    assert "pixel.png is 1 x 1; expected 8 pixels a side or more; it is left out" in caplog.text


def test_small_images_that_decide_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = open_dataset(prepare_data(photos(tmp_path / "photos", [96] * 5 + [17] * 3), tmp_path / "run", 64))
    assert (len(images), images.resolution) == (8, 16)
    assert "all images are made 16 pixels, since 2 of 8 have fewer than 64: " in caplog.text


def test_images_too_small_for_any_stage_leave_nothing_behind(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos", [12] * 6)
    with pytest.raises(DataError, match=r"too small .* such as 1\.png of 12 pixels; expected at least 16"):
        prepare_data(source, tmp_path / "run", 64)
    assert list((tmp_path / "run").iterdir()) == []


def test_too_few_images_that_can_be_decoded_leave_the_folder_to_a_mended_source(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos", [16] * LEAST_IMAGES)
    whole = (source / "1.png").read_bytes()
    (source / "1.png").write_bytes(whole[:60])
    with pytest.raises(DataError, match=r"has 3 images; expected at least 4, better thousands: 1\.png"):
        prepare_data(source, tmp_path / "run", 16)
    assert list((tmp_path / "run").iterdir()) == []
    (source / "1.png").write_bytes(whole)
    assert len(open_dataset(prepare_data(source, tmp_path / "run", 16))) == LEAST_IMAGES


def test_a_file_of_ones_own_in_the_place_of_the_set_is_left_alone(tmp_path: Path) -> None:
    source, run = photos(tmp_path / "photos", [16] * LEAST_IMAGES), tmp_path / "run"
    run.mkdir()
    (run / SET_FILE).write_text("mine")
    with pytest.raises(HgsError, match=r"data\.zip is in the way of the run's own images"):
        prepare_data(source, run, 16)
    assert (run / SET_FILE).read_text() == "mine"


def test_a_run_within_its_source_is_refused(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos", [16] * LEAST_IMAGES)
    with pytest.raises(DataError, match=r"run lies in .*photos, whose images it would join"):
        prepare_data(source, source / "run", 16)


def test_an_archive_of_models_that_cannot_be_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    monkeypatch.setattr("hgs_toolkit.datasets.preparing.RENDERED", (4, 4))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with zipfile.ZipFile(tmp_path / "models" / "b.zip", "w") as archive:
        archive.writestr("../b.obj", "v 0 0 0\n")
    assert len(open_dataset(prepare_data(tmp_path / "models", tmp_path / "run", 16))) == 4
    assert "unsafe file name '../b.obj'" in caplog.text
