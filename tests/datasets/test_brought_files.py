"""What other people's sets look like: folders around folders, links, capital suffixes, turned and grey images."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.convert import Framing, convert_scenes
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import encode_png
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.world import KEEP_WORLD, PlacementOptions
from hgs_toolkit.errors import DataError
from tests.datasets.photographs import Photographs, colmap, colmap_binary, nerfstudio, write_binary_model

PHOTOGRAPHS = Photographs.take()
LABELS = from_yaw_pitch(torch.arange(4) * 0.3, torch.zeros(4)).labels.numpy()
TURNED = 6
"""EXIF orientation of a photograph taken with the camera on its side."""


def save_turned(image: np.ndarray[Any, Any], path: Path) -> None:
    """Store an image on its side, with the orientation that makes it upright."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    Image.fromarray(np.rot90(image)).save(path, exif=exif)


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A folder in the EG3D layout."""
    rng = np.random.default_rng(0)
    with open_writer(tmp_path / "outer" / "my set") as writer:
        for label in LABELS:
            writer.add(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), label)
    return tmp_path / "outer" / "my set"


def test_a_zip_or_folder_with_one_folder_around_the_set_is_read(inner: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(inner.rglob("*")):
            archive.write(file, file.relative_to(inner.parent))
        for extra in ("__MACOSX/my set/._dataset.json", "my set/.DS_Store", "Thumbs.db", "__MACOSX/dataset.json"):
            archive.writestr(extra, b"not for us")
    expected = open_dataset(inner)
    for outer in (path, inner.parent):
        dataset = open_dataset(outer)
        assert [dataset.name(i) for i in range(4)] == [expected.name(i) for i in range(4)]
        assert np.array_equal(dataset.labels, expected.labels)
        assert torch.equal(dataset.batch(range(4))[0], expected.batch(range(4))[0])
        assert dataset.digest == expected.digest
        report = check_dataset(outer)
        assert (report.images, report.labels, report.errors) == (4, 4, [])


def test_linked_folders_are_followed_and_circles_of_links_end(inner: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "00000").symlink_to(inner / "00000")
    (linked / "circle").symlink_to(linked)
    (linked / "nowhere").symlink_to(tmp_path / "none")
    os.link(inner / "dataset.json", linked / "dataset.json")
    assert torch.equal(open_dataset(linked).batch(range(4))[0], open_dataset(inner).batch(range(4))[0])


def test_names_in_another_case_are_found(tmp_path: Path) -> None:
    nerfstudio(PHOTOGRAPHS, tmp_path)
    for file in sorted((tmp_path / "images").iterdir()):
        file.rename(file.with_name(file.stem.upper() + ".PNG"))
    assert [shot.image for shot in read_scenes(tmp_path)[0].photographs][:2] == ["images/R_0.PNG", "images/R_1.PNG"]
    content = json.loads((tmp_path / "transforms.json").read_text())
    for frame in content["frames"]:
        frame["file_path"] = frame["file_path"].removesuffix(".png")
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert len(read_scenes(tmp_path)[0].photographs) == 8
    colmap("PINHOLE")(PHOTOGRAPHS, tmp_path / "scan")
    for file in sorted((tmp_path / "scan/images").iterdir()):
        file.rename(file.with_suffix(".PNG"))
    assert len(read_scenes(tmp_path / "scan")[0].photographs) == 8


def test_a_binary_model_is_read_as_its_text_and_goes_second_to_it(tmp_path: Path) -> None:
    colmap("OPENCV")(PHOTOGRAPHS, tmp_path / "text")
    colmap_binary(PHOTOGRAPHS, tmp_path / "binary")
    text, binary = (read_scenes(tmp_path / name)[0].photographs for name in ("text", "binary"))
    for one, other in zip(text, binary, strict=True):
        assert (one.image, one.lens) == (other.image, other.lens)
        assert np.allclose(one.cam_to_world, other.cam_to_world, atol=1e-12)
    (tmp_path / "text/sparse/0/cameras.bin").write_bytes(b"broken, but not looked at")
    (tmp_path / "text/sparse/0/images.bin").write_bytes(b"broken, but not looked at")
    assert len(read_scenes(tmp_path / "text")[0].photographs) == 8
    assert len(read_scenes(tmp_path / "binary/sparse/0/images.bin", images=tmp_path / "binary")[0].photographs) == 8


def test_each_of_several_models_is_a_scene_of_its_own(tmp_path: Path) -> None:
    PHOTOGRAPHS.save_images(tmp_path / "images")
    write_binary_model(PHOTOGRAPHS, tmp_path / "sparse/0", range(5))
    write_binary_model(PHOTOGRAPHS, tmp_path / "sparse/1", range(5, 8))
    scenes = read_scenes(tmp_path)
    assert [(scene.name, len(scene.photographs)) for scene in scenes] == [("sparse/0", 5), ("sparse/1", 3)]


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin"])
@pytest.mark.parametrize("length", [0, 5, 30, 70])
def test_a_truncated_binary_model_is_named(file: str, length: int, tmp_path: Path) -> None:
    colmap_binary(PHOTOGRAPHS, tmp_path)
    path = tmp_path / "sparse/0" / file
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=rf"sparse/0/{file} is (truncated|damaged)"):
        read_scenes(tmp_path)


def test_an_image_without_a_name_in_a_binary_model_is_named_by_its_number(tmp_path: Path) -> None:
    colmap_binary(PHOTOGRAPHS, tmp_path)
    path = tmp_path / "sparse/0/images.bin"
    path.write_bytes(path.read_bytes().replace(b"r_3.png\0", b"\0r_3.png"))
    with pytest.raises(DataError, match=r"sparse/0/images.bin is damaged: image 4 has no name"):
        read_scenes(tmp_path)


def test_models_of_fisheye_cameras_are_named(tmp_path: Path) -> None:
    colmap_binary(PHOTOGRAPHS, tmp_path)
    path = tmp_path / "sparse/0/cameras.bin"
    data = bytearray(path.read_bytes())
    data[12] = 5
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"OPENCV_FISHEYE.*image_undistorter"):
        read_scenes(tmp_path)
    data[12] = 77
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"camera model number 77; expected 0 \.\.\. 11"):
        read_scenes(tmp_path)
    nerfstudio(PHOTOGRAPHS, tmp_path / "nerf")
    content = json.loads((tmp_path / "nerf/transforms.json").read_text()) | {"is_fisheye": True}
    (tmp_path / "nerf/transforms.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="has a fisheye lens"):
        read_scenes(tmp_path / "nerf")


def converted(source: Path, out: Path, **options: Any) -> np.ndarray[Any, Any]:
    """The first image (H, W, 3) of the converted set."""
    convert_scenes(read_scenes(source, **options), out, PlacementOptions(), Framing("center"))
    return open_dataset(out).image(0)


def test_bare_images_on_their_side_are_made_upright(tmp_path: Path) -> None:
    plain, turned = tmp_path / "plain", tmp_path / "turned"
    plain.mkdir()
    turned.mkdir()
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(image).save(plain / "a.png")
    save_turned(image, turned / "a.png")
    poses = AssumedPoses("frontal")
    expected = converted(plain, tmp_path / "plain.zip", assumed=poses)
    assert np.array_equal(converted(turned, tmp_path / "turned.zip", assumed=poses), expected)


def test_the_size_of_a_camera_says_whether_it_is_one_for_the_upright_photograph(tmp_path: Path) -> None:
    nerfstudio(PHOTOGRAPHS, tmp_path / "plain")
    nerfstudio(PHOTOGRAPHS, tmp_path / "turned")
    for index in range(8):
        save_turned(PHOTOGRAPHS.image(index), tmp_path / f"turned/images/r_{index}.png")
    expected = converted(tmp_path / "plain", tmp_path / "plain.zip")
    assert np.array_equal(converted(tmp_path / "turned", tmp_path / "turned.zip"), expected)
    # The same files with a camera for the pixels as they are stored are left as they are.
    content = json.loads((tmp_path / "turned/transforms.json").read_text()) | {"w": 120, "h": 160}
    for frame in content["frames"]:
        frame |= {"cx": 55.0, "cy": 84.0}
    (tmp_path / "turned/transforms.json").write_text(json.dumps(content))
    stored = converted(tmp_path / "turned", tmp_path / "stored.zip")
    assert np.array_equal(stored, np.rot90(expected))


def test_images_of_a_set_are_upright_for_check_and_training(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    save_turned(image, tmp_path / "a.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [["a.png", LABELS[0].tolist()]]}))
    assert np.array_equal(open_dataset(tmp_path).image(0), image)


def test_grey_deep_and_palette_images_are_read_in_one_set_with_colour(tmp_path: Path) -> None:
    image = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image[..., 0]).save(tmp_path / "b.png")
    Image.fromarray(image[..., 0].astype(np.uint16) << 8).save(tmp_path / "c.png")
    Image.fromarray(image).convert("CMYK").save(tmp_path / "d.jpg", quality=100)
    labels = [[name, LABELS[0].tolist()] for name in ("a.png", "b.png", "c.png", "d.jpg")]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    dataset = open_dataset(tmp_path)
    assert dataset.batch(range(4))[0].shape == (4, 8, 8, 3)
    assert np.array_equal(dataset.image(1), np.repeat(image[..., :1], 3, axis=2))
    assert np.array_equal(dataset.image(2), dataset.image(1))
    report = check_dataset(tmp_path)
    assert report.errors == []
    assert set(report.kinds) == {"8 x 8 RGB", "8 x 8 L", "8 x 8 I;16", "8 x 8 CMYK"}
    (tmp_path / "e.png").write_bytes(encode_png(np.zeros((8, 8, 4), np.uint8)))
    assert any("differ in size or mode" in text for text in check_dataset(tmp_path).errors)


def test_a_world_that_is_kept_though_it_does_not_fit_is_said(tmp_path: Path) -> None:
    far = replace(PHOTOGRAPHS, position=PHOTOGRAPHS.position + np.array([4.5e6, 0, 0]))
    nerfstudio(far, tmp_path)
    kept = convert_scenes(read_scenes(tmp_path), tmp_path / "kept.zip", KEEP_WORLD, Framing())
    assert len(kept.misfits) == 3
    assert "from the origin; training expects about 2.7: leave --keep-world out" in kept.misfits[0]
    assert "float32, whose step is 0.5" in kept.misfits[2]
    placed = convert_scenes(read_scenes(tmp_path), tmp_path / "placed.zip", PlacementOptions(), Framing())
    assert placed.misfits == ()


def test_scenes_side_by_side_whose_images_have_the_same_names_keep_their_own(tmp_path: Path) -> None:
    for name in ("mug-01", "mug-02"):
        colmap("PINHOLE")(PHOTOGRAPHS, tmp_path / name)
    scenes = read_scenes(tmp_path)
    images = [[photograph.image for photograph in scene.photographs] for scene in scenes]
    assert images == [[f"{name}/images/r_{index}.png" for index in range(8)] for name in ("mug-01", "mug-02")]
    (tmp_path / "mug-01" / "copies").mkdir()
    (tmp_path / "mug-01" / "copies" / "r_3.png").write_bytes((tmp_path / "mug-01/images/r_3.png").read_bytes())
    with pytest.raises(DataError, match=r"r_3\.png, which can be mug-01/copies/r_3\.png or mug-01/images/r_3\.png"):
        read_scenes(tmp_path)
